/**
 * How long two peers take from a path to an open data channel when the path is slow and loses packets. Real sockets on
 * loopback; above ICE each datagram is held for 40 ms in its direction, or lost. Seeded: SEED=… repeats a run's losses.
 */
import { IceTransport } from '@floe/ice/node'
import { RTCPeerConnection } from '@floe/webrtc'
import { RTCPeerConnection as Werift } from 'werift'
import { report } from './report.mjs'
import { quantile } from './rounds.mjs'

const LATENCY_MS = 40
const LOSS_PERCENT = [0, 1, 5, 10, 20, 30]
const CONNECTIONS = 40
/** One after the other, so that no more than a few share the processor. */
const START_EVERY_MS = 100
const GIVE_UP_MS = 15_000
/** werift takes its time, or never opens: fewer of them, for less long. */
const WERIFT = { loss: [0, 10], connections: 16, giveUp: 8000 }

/** Milliseconds that the 95th percentile of opening may take: some times what a quiet machine shows. */
const LIMITS = { 0: 1500, 1: 2000, 5: 2500, 10: 3000, 20: 5000, 30: 8000 }

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32)
const random = mulberry32(seed)
const loopback = { ice: { includeLoopback: true, interfaceFilter: ({ name }) => name === 'lo' } }

let loss = 0
const send = IceTransport.prototype.send
IceTransport.prototype.send = function (bytes) {
  if (random() >= loss) setTimeout(() => this.state !== 'closed' && send.call(this, bytes), LATENCY_MS)
  return true
}

const rows = []
const notes = [`seed ${seed}; ${CONNECTIONS} connections at each loss, in both directions`]
const werift = new Map()
for (const percent of WERIFT.loss) {
  loss = percent / 100
  const results = await openMany(WERIFT.connections, () => openWerift(WERIFT.giveUp))
  werift.set(percent, results)
  const opened = results.filter(({ open }) => open < Number.POSITIVE_INFINITY).length
  notes.push(
    `werift alone at ${percent} % loss: ${opened} of ${results.length} opened within ${WERIFT.giveUp / 1000} s`,
  )
}
for (const percent of LOSS_PERCENT) {
  loss = percent / 100
  const results = await openMany(CONNECTIONS, () => openOurs(GIVE_UP_MS))
  const row = (what, field, fraction, limit) => {
    const theirs = werift.get(percent)
    const peer =
      theirs && field === 'open'
        ? quantile(
            theirs.map((each) => each[field]),
            fraction,
          )
        : undefined
    const finite = Number.isFinite(peer) ? { peer } : {}
    rows.push({
      what: `${percent} % loss, ${what}`,
      unit: 'ms',
      ours: quantile(
        results.map((each) => each[field]),
        fraction,
      ),
      ...finite,
      better: 'lower',
      ...(limit !== undefined && { limit }),
    })
  }
  row('DTLS connected, p50', 'dtls', 0.5)
  row('DTLS connected, p95', 'dtls', 0.95)
  row('channel open, p50', 'open', 0.5)
  row('channel open, p95', 'open', 0.95, LIMITS[percent])
}

const title = `Handshake: from a path to an open channel at both ends, ${LATENCY_MS} ms latency each way`
report('handshake', title, 'werift', rows, notes)
// What did not open has timers of its own.
process.exit()

async function openMany(count, open) {
  const running = []
  for (let i = 0; i < count; i++) {
    running.push(open())
    await wait(START_EVERY_MS)
  }
  return Promise.all(running)
}

/** Milliseconds until both ends have their DTLS connected, and their channel open; Infinity for never. */
async function openOurs(giveUp) {
  const [a, b] = [new RTCPeerConnection(loopback), new RTCPeerConnection(loopback)]
  const channels = [a, b].map((peer) => peer.createDataChannel('x', { negotiated: true, id: 0 }))
  const path = Promise.all([a, b].map((peer) => until(peer, 'iceconnectionstatechange', () => isUp(peer))))
  await negotiate(a, b)
  const dtls = [a, b].map(({ sctp }) => sctp.transport)
  await path
  const start = performance.now()
  const after = async (events) => {
    await Promise.all(events)
    return performance.now() - start
  }
  const result = await Promise.race([
    Promise.all([
      after(dtls.map((transport) => until(transport, 'statechange', () => transport.state === 'connected'))),
      after(channels.map((channel) => until(channel, 'open', () => channel.readyState === 'open'))),
    ]),
    wait(giveUp),
  ])
  await Promise.all([a.close(), b.close()])
  const [dtlsTime, open] = result ?? [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  return { dtls: dtlsTime, open }
}

/** werift as it is, with the same wire under it. */
async function openWerift(giveUp) {
  const options = { iceServers: [], iceUseIpv6: false, iceAdditionalHostAddresses: ['127.0.0.1'] }
  const [a, b] = [new Werift(options), new Werift(options)]
  const channels = [a, b].map((peer) => peer.createDataChannel('x', { negotiated: true, id: 0 }))
  await a.setLocalDescription(await a.createOffer())
  await b.setRemoteDescription(a.localDescription)
  for (const peer of [a, b]) {
    const { connection } = peer.iceTransports[0]
    const sendOn = connection.send.bind(connection)
    connection.send = async (bytes) => {
      const copy = Buffer.from(bytes)
      if (random() >= loss) setTimeout(() => sendOn(copy).catch(() => {}), LATENCY_MS)
    }
  }
  const path = Promise.all([a, b].map((peer) => subscribed(peer.iceConnectionStateChange, () => isUp(peer))))
  await b.setLocalDescription(await b.createAnswer())
  await a.setRemoteDescription(b.localDescription)
  await Promise.race([path, wait(giveUp)])
  const start = performance.now()
  const opened = Promise.all(
    channels.map((channel) => subscribed(channel.stateChanged, () => channel.readyState === 'open')),
  )
  const open = await Promise.race([opened.then(() => performance.now() - start), wait(giveUp)])
  await Promise.all([a.close(), b.close()]).catch(() => {})
  return { open: open ?? Number.POSITIVE_INFINITY }
}

async function negotiate(a, b) {
  await a.setLocalDescription()
  await until(a, 'icegatheringstatechange', () => a.iceGatheringState === 'complete')
  await b.setRemoteDescription(a.localDescription)
  await b.setLocalDescription()
  await until(b, 'icegatheringstatechange', () => b.iceGatheringState === 'complete')
  await a.setRemoteDescription(b.localDescription)
}

function isUp({ iceConnectionState }) {
  return iceConnectionState === 'connected' || iceConnectionState === 'completed'
}

function until(target, type, condition) {
  return new Promise((resolve) => {
    const look = () => condition() && resolve()
    target.addEventListener(type, look)
    look()
  })
}

function subscribed(event, condition) {
  return new Promise((resolve) => {
    const look = () => condition() && resolve()
    event.subscribe(look)
    look()
  })
}

function wait(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** A small seeded generator. */
function mulberry32(start) {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
