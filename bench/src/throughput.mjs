/**
 * Packets per second of 1200 bytes, one way, through two connected agents of one process, beside two bare sockets of
 * node:dgram that do nothing else.
 *
 * WINDOW packets are in flight at any time: each one that arrives has another one sent. So the receiver's buffer never
 * overflows, nothing is counted that was not received, and sending and receiving take turns as in a real exchange. A
 * packet lost all the same would shrink the window: it ends the benchmark.
 *
 * The rates are packets per second by the clock. The ratios are of packets per second of CPU time, because that is what
 * every stream is short of, and what other programs on the machine take away the least: each is the median of the ratios
 * of short rounds that take turns. `dgram` is used as its documentation shows; `dgram, lookup passed` knows the trick that
 * floe uses too (passThrough in packages/ice/src/node/sockets.ts), which leaves the agent's own cost as difference.
 */
import { createSocket } from 'node:dgram'
import { CONNECT } from './agents.mjs'
import { report } from './report.mjs'
import { median } from './rounds.mjs'

const BYTES = 1200
/** 64 datagrams take less than the 208 KiB that Linux gives a socket by default. */
const WINDOW = 64
const ROUNDS = 150
const WARM_UP = 15
const MILLISECONDS = 40

/** With a lookup that answers at once: addresses are no names. */
const lookup = (ip, _options, callback) => callback(null, ip, 4)
const connections = {
  ...CONNECT,
  dgram: () => connectSockets({ type: 'udp4' }),
  'dgram, lookup passed': () => connectSockets({ type: 'udp4', lookup }),
}

const streams = {}
for (const [name, connect] of Object.entries(connections)) streams[name] = stream(await connect())

const rounds = []
for (let round = -WARM_UP; round < ROUNDS; round++) {
  const rates = {}
  for (const name in streams) rates[name] = await streams[name].rate(MILLISECONDS)
  if (round >= 0) rounds.push(rates)
}
for (const name in streams) await streams[name].close()

const row = (peer, target) => ({
  what: `floe beside ${peer}`,
  unit: '1/s',
  ours: median(rounds.map((rates) => rates.floe.perSecond)),
  peer: median(rounds.map((rates) => rates[peer].perSecond)),
  ratio: median(rounds.map((rates) => rates.floe.perCpuSecond / rates[peer].perCpuSecond)),
  better: 'higher',
  target,
})
report('throughput', `Packets of ${BYTES} bytes through two connected agents of one process`, 'beside', [
  row('dgram', 0.95),
  row('dgram, lookup passed'),
  row('werift', 1),
])

function stream({ send, onreceive, close }) {
  const bytes = Buffer.alloc(BYTES, 0x80) // Neither STUN nor DTLS, RFC 7983.
  let received = 0
  let sent = 0
  let running = false
  let drained
  onreceive(() => {
    received++
    if (running) {
      sent++
      send(bytes)
    } else if (received === sent) drained?.()
  })
  return { rate, close }

  async function rate(milliseconds) {
    sent = received = 0
    running = true
    const start = performance.now()
    const cpu = process.cpuUsage()
    for (; sent < WINDOW; sent++) send(bytes)
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    const { user, system } = process.cpuUsage(cpu)
    const perSecond = (received / (performance.now() - start)) * 1e3
    const perCpuSecond = (received / (user + system)) * 1e6
    const lost = setTimeout(() => {
      throw new Error(`${sent - received} of ${sent} packets were lost`)
    }, 1000)
    running = false
    await new Promise((resolve) => {
      drained = resolve
    })
    clearTimeout(lost)
    return { perSecond, perCpuSecond }
  }
}

async function connectSockets(options) {
  const [a, b] = [createSocket(options), createSocket(options)]
  for (const socket of [a, b]) await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = b.address()
  return {
    send: (bytes) => a.send(bytes, port, '127.0.0.1'),
    onreceive: (consumer) => b.on('message', consumer),
    close: () => Promise.all([a, b].map((socket) => new Promise((resolve) => socket.close(resolve)))),
  }
}
