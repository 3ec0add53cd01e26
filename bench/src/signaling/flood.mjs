/**
 * One server with quiet rooms, and strangers who send nonsense, or far too much: what do the rooms notice?
 *
 *   node flood.mjs '{"malformed":100000,"flooders":1000}'      prints one JSON object; exit code 1 when something is amiss
 */
import { setTimeout as delay } from 'node:timers/promises'
import { joinRoom } from '@floe/signaling'
import { quantile } from '../rounds.mjs'
import { end, residentMegabytes, start } from './processes.mjs'

const plan = {
  /** Rooms of two, in each of which one message goes to and fro. */
  rooms: 50,
  /** Milliseconds between the messages of a room; and for how long each phase lasts at least. */
  pause: 100,
  phase: 8_000,
  malformed: 100_000,
  flooders: 1_000,
  ...JSON.parse(process.argv[2] ?? '{}'),
}

const server = await start('server.mjs', [JSON.stringify({ trustedProxies: 1 })])
const { pid } = server.child
let latencies = []
const rooms = await Promise.all(Array.from({ length: plan.rooms }, (_, index) => open(`quiet-${index}`)))
await delay(2_000) // compiled and warm
const before = await phase('before', () => delay(plan.phase))
const megabytes = [await residentMegabytes(pid)]
const malformed = await phase('malformed', () => attack('malformed', plan.malformed, megabytes))
const flood = await phase('flood', () => attack('flood', plan.flooders, megabytes))
await delay(2_000)
const after = await phase('after', () => delay(plan.phase))
megabytes.push(await residentMegabytes(pid))
const alive = rooms.every(({ state }) => state === 'open')
const result = { plan, before, malformed, flood, after, megabytes, alive }
// Twice a millisecond is two: below that it is the machine that is measured.
const bound = 2 * Math.max(before.p95, 1)
result.ok = alive && malformed.p95 <= bound && flood.p95 <= bound && Math.max(...megabytes) - megabytes[0] < 100
console.log(JSON.stringify(result))
for (const room of rooms) room.leave()
await end(server.child)
process.exit(result.ok ? 0 : 1)

async function open(name) {
  const [first, second] = await Promise.all([1, 2].map(() => joinRoom(server.url, { room: name })))
  const echo = (peer) => {
    peer.onmessage = (message) => peer.send(message)
  }
  second.onpeer = echo
  first.onpeer = async (peer) => {
    for (;;) {
      const answered = new Promise((resolve) => {
        peer.onmessage = resolve
      })
      const sent = performance.now()
      peer.send({ candidate: { candidate: 'candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host', sdpMid: '0' } })
      await answered
      latencies.push(performance.now() - sent)
      await delay(plan.pause)
    }
  }
  return first
}

async function phase(_name, run) {
  latencies = []
  const from = performance.now()
  const attackResult = await run()
  const milliseconds = Math.round(performance.now() - from)
  const numbers = [0.5, 0.95, 0.99].map((share) => Math.round(quantile(latencies, share) * 100) / 100)
  return { milliseconds, round: latencies.length, p50: numbers[0], p95: numbers[1], p99: numbers[2], ...attackResult }
}

/** The strangers live in a process of their own. */
async function attack(kind, count, memory) {
  let outcome
  const attacker = await start('attacker.mjs', [server.url, kind, `${count}`], (record) => {
    outcome = record
  })
  const watch = setInterval(async () => memory.push(await residentMegabytes(pid)), 1_000)
  await new Promise((resolve) => attacker.child.once('exit', resolve))
  clearInterval(watch)
  return outcome
}
