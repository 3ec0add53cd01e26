/**
 * Packets per second of 1200 bytes, one way, through two connected agents of one process, beside two bare sockets of
 * node:dgram that do nothing else.
 *
 * WINDOW packets are in flight at any time: each one that arrives has another one sent. So the receiver's buffer never
 * overflows, nothing is counted that was not received, and sending and receiving take turns as in a real exchange. A
 * packet lost all the same would shrink the window: it ends the benchmark.
 *
 * Each competitor has a process of its own, so that none is charged for another's garbage or shape of code; they take
 * turns in short rounds, in an order drawn anew each time. The rates are packets per second by the clock. The ratios are
 * of packets per second of CPU time, because that is what every stream is short of, and what other programs on the machine
 * take away the least: each is the median of the rounds' own ratios. `dgram` is used as its documentation shows; `dgram,
 * lookup passed` knows the trick that floe uses too (passThrough in packages/ice/src/node/sockets.ts), which leaves the
 * agent's own cost as the difference.
 */
import { fork } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
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
const COMPETITORS = {
  ...CONNECT,
  dgram: () => connectSockets({ type: 'udp4' }),
  'dgram, lookup passed': () => connectSockets({ type: 'udp4', lookup }),
}

const [competitor] = process.argv.slice(2)
if (competitor) await serveRounds(COMPETITORS[competitor])
else await compare()

async function compare() {
  const names = Object.keys(COMPETITORS)
  const children = Object.fromEntries(names.map((name) => [name, start(name)]))
  for (const name of names) await once(children[name], 'message')
  const rounds = []
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const rates = {}
    for (const name of shuffled(names)) rates[name] = await roundOf(children[name])
    if (round >= 0) rounds.push(rates)
  }
  for (const name of names) children[name].disconnect()
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
}

async function roundOf(child) {
  child.send('go')
  const [rates] = await once(child, 'message')
  return rates
}

function start(name) {
  const child = fork(import.meta.filename, [name])
  child.on('exit', (code) => {
    if (code) throw new Error(`the process of ${name} ended with ${code}`)
  })
  return child
}

function shuffled(names) {
  return names
    .map((name) => ({ name, draw: Math.random() }))
    .sort((a, b) => a.draw - b.draw)
    .map(({ name }) => name)
}

/** In a child: one round for each message. */
async function serveRounds(connect) {
  const { send, onreceive } = await connect()
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
    } else if (received === sent) drained()
  })
  process.on('message', async () => {
    sent = received = 0
    running = true
    const start = performance.now()
    const cpu = process.cpuUsage()
    for (; sent < WINDOW; sent++) send(bytes)
    await new Promise((resolve) => setTimeout(resolve, MILLISECONDS))
    const { user, system } = process.cpuUsage(cpu)
    const perSecond = (received / (performance.now() - start)) * 1e3
    const perCpuSecond = (received / (user + system)) * 1e6
    running = false
    await allArrived()
    process.send({ perSecond, perCpuSecond })
  })
  process.on('disconnect', () => process.exit())
  process.send('ready')

  function allArrived() {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${sent - received} of ${sent} packets were lost`)), 1000)
      drained = () => resolve(clearTimeout(late))
    })
  }
}

async function connectSockets(options) {
  const [a, b] = [createSocket(options), createSocket(options)]
  for (const socket of [a, b]) await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = b.address()
  return {
    send: (bytes) => a.send(bytes, port, '127.0.0.1'),
    onreceive: (consumer) => b.on('message', consumer),
  }
}
