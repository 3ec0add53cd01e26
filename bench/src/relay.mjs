/**
 * Packets of 1200 bytes through a real coturn and back, over UDP: floe's agent that may use nothing but its relay, beside
 * a bare socket that does nothing but write and read ChannelData, and beside werift's agent; all on one coturn, round by
 * round in turn.
 *
 * Rates: WINDOW packets are in flight; each one that comes back has another one sent. A packet goes through coturn twice.
 * By the clock everybody on the way counts, coturn and the peer's echo included. Per second of CPU time it is the client
 * alone: what speaking TURN below an ICE agent costs. Ratios are medians of the rounds' ratios.
 *
 * Latency: one packet in flight. What the relay adds is the round trip less that of the same client without a relay.
 */
import { startCoturn } from './coturn.mjs'
import { CLIENTS, DIRECT } from './relay-clients.mjs'
import { report } from './report.mjs'
import { median, quantile } from './rounds.mjs'

const BYTES = 1200
/** What fits the buffers of coturn's sockets, so that nothing is lost. */
const WINDOW = 16
const ROUNDS = 100
const WARM_UP = 10
const MILLISECONDS = 50
const ROUND_TRIPS = 100
/** Milliseconds after which what has not come back will not. */
const DRAINED_AFTER = 200

const server = await startCoturn()
const streams = {}
for (const name in CLIENTS) streams[name] = stream(await CLIENTS[name](server))
const direct = {}
for (const name in DIRECT) direct[name] = stream(await DIRECT[name]())

const rounds = []
const roundTrips = Object.fromEntries(Object.keys(streams).map((name) => [name, []]))
const directTrips = Object.fromEntries(Object.keys(direct).map((name) => [name, []]))
let lost = 0
for (let round = -WARM_UP; round < ROUNDS; round++) {
  const rates = {}
  for (const name in streams) {
    rates[name] = await streams[name].rate()
    const times = await streams[name].roundTrips()
    if (round < 0) continue
    lost += rates[name].lost
    roundTrips[name].push(...times)
  }
  for (const name in direct) {
    const times = await direct[name].roundTrips()
    if (round >= 0) directTrips[name].push(...times)
  }
  if (round >= 0) rounds.push(rates)
}
for (const { close } of [...Object.values(streams), ...Object.values(direct)]) await close()
await server.stop()

const rate = (what, peer, quantity, target) => ({
  what,
  unit: '1/s',
  ours: median(rounds.map((rates) => rates.floe[quantity])),
  peer: median(rounds.map((rates) => rates[peer][quantity])),
  ratio: median(rounds.map((rates) => rates.floe[quantity] / rates[peer][quantity])),
  better: 'higher',
  target,
})
const time = (what, peer, fraction, target) => ({
  what,
  unit: 'ms',
  ours: quantile(roundTrips.floe, fraction),
  peer: quantile(roundTrips[peer], fraction),
  better: 'lower',
  target,
})
const added = (name) => quantile(roundTrips[name], 0.5) - quantile(directTrips[name], 0.5)
report(
  'relay',
  `Packets of ${BYTES} bytes through coturn and back`,
  'beside',
  [
    rate('echoes, beside a bare socket', 'bare', 'perSecond', 0.9),
    rate('echoes, beside werift', 'werift', 'perSecond', 1),
    rate("echoes per second of the client's CPU time, beside a bare socket", 'bare', 'perCpuSecond'),
    rate("echoes per second of the client's CPU time, beside werift", 'werift', 'perCpuSecond', 1),
    time('round trip, median, beside a bare socket', 'bare', 0.5, 0.9),
    time('round trip, median, beside werift', 'werift', 0.5),
    time('round trip, 95th percentile, beside a bare socket', 'bare', 0.95),
    {
      what: 'added to a round trip by the relay, median, beside a bare socket',
      unit: 'ms',
      ours: added('floe'),
      peer: added('bare'),
      better: 'lower',
      target: 0.9,
    },
  ],
  lost > 0 ? [`${lost} packets were lost.`] : [],
)

function stream({ send, onreceive, close }) {
  const bytes = Buffer.alloc(BYTES, 0x80) // Neither STUN nor DTLS, RFC 7983.
  let onecho = () => {}
  onreceive(() => onecho())
  return { rate, roundTrips, close }

  async function rate() {
    let [sent, received] = [0, 0]
    onecho = () => {
      received++
      sent++
      send(bytes)
    }
    const start = performance.now()
    const cpu = process.cpuUsage()
    for (; sent < WINDOW; sent++) send(bytes)
    await new Promise((resolve) => setTimeout(resolve, MILLISECONDS))
    const { user, system } = process.cpuUsage(cpu)
    const perSecond = (received / (performance.now() - start)) * 1e3
    const perCpuSecond = (received / (user + system)) * 1e6
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, DRAINED_AFTER)
      onecho = () => {
        received++
        if (received < sent) return
        clearTimeout(timer)
        resolve()
      }
    })
    return { perSecond, perCpuSecond, lost: sent - received }
  }

  async function roundTrips() {
    const times = []
    for (let i = 0; i < ROUND_TRIPS; i++) {
      const start = performance.now()
      const came = await new Promise((resolve) => {
        const timer = setTimeout(resolve, DRAINED_AFTER, false)
        onecho = () => {
          clearTimeout(timer)
          resolve(true)
        }
        send(bytes)
      })
      if (came) times.push(performance.now() - start)
    }
    return times
  }
}
