/**
 * One server with quiet rooms, and strangers who send nonsense, or far too much: what do the rooms notice?
 *
 *   node flood.mjs '{"malformed":100000,"flooders":1000}'      prints one JSON object; exit code 1 when something is amiss
 *
 * The server has a processor of its own, and the strangers share the other one with the rooms, which go first; so it is the
 * server that is measured, and not who gets a processor. What cannot be parted is the strangers' work in the kernel, memory
 * and caches: hence `elsewhere`, the same strangers at another server on their own processor, which is what the rest is
 * compared with. On a machine with one processor, or without the right to set priorities, everything shares everything.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { quantile } from '../rounds.mjs'
import { end, place, prefer, residentMegabytes, start } from './processes.mjs'

const plan = {
  /** Rooms of two, in each of which one message goes to and fro. */
  rooms: 50,
  /** Milliseconds between the messages of a room; and for how long each phase lasts at least. */
  pause: 100,
  phase: 8_000,
  malformed: 100_000,
  flooders: 1_000,
  /** From how many addresses the flooders come: those of a single attacker, and each from its own. */
  few: 4,
  ...JSON.parse(process.argv[2] ?? '{}'),
}

/** Where they run: before what else this machine does, for a flood that is none shows nothing. */
const STRANGERS = { processor: 1, priority: -5 }

/** Milliseconds between two attacks, in which addresses are forgiven and what is left of connections is cleared away. */
const BREAK = 4_000

/** Megabytes more in use after all attacks than before: addresses are remembered, and the compiler has been busy. */
const LEFT = 10

let inUse
/** Those who are gone are forgotten within the breaks. */
const options = JSON.stringify({ resumeGrace: 1_000 })
const server = await start('server.mjs', [options], ({ megabytes }) => inUse?.(megabytes))
const { pid } = server.child
let latencies = []
let lost = 0
const rooms = await start('quiet-rooms.mjs', [server.url, JSON.stringify(plan)], ({ event, milliseconds }) => {
  if (event === 'round') latencies.push(milliseconds)
  else lost += 1
})
const placed = [
  place(pid, { processor: 0, priority: -15 }),
  place(rooms.child.pid, { processor: 1, priority: -15 }),
  prefer(rooms.child.pid),
].every(Boolean)
await delay(2_000) // compiled and warm
const flooders = { flooders: plan.flooders, seconds: plan.phase / 1_000 }
const many = { ...flooders, addresses: plan.flooders }
const before = await phase(() => delay(plan.phase))
before.inUse = await memoryInUse()
const elsewhere = await phase(() => attackElsewhere(many))
const malformed = await phase(() => attack(server.url, { malformed: plan.malformed }))
const fewAddresses = await phase(() => attack(server.url, { ...flooders, addresses: plan.few }))
await delay(BREAK)
const manyAddresses = await phase(() => attack(server.url, many))
await delay(BREAK)
const onceMore = await phase(() => attack(server.url, many))
await delay(BREAK)
const after = await phase(() => delay(plan.phase))
after.inUse = await memoryInUse()
const phases = { before, elsewhere, malformed, fewAddresses, manyAddresses, onceMore, after }
// Twice a millisecond is two: below that it is the machine that is measured.
const bound = Math.round(200 * Math.max(elsewhere.p95, 1)) / 100
const worst = Math.max(...[malformed, fewAddresses, manyAddresses, onceMore].map(({ p95 }) => p95))
const ok = lost === 0 && worst <= bound && after.inUse <= before.inUse + LEFT
console.log(JSON.stringify({ plan, placed, ...phases, bound, worst, mostInUse: before.inUse + LEFT, lost, ok }))
await end(rooms.child, 'SIGKILL')
await end(server.child)
process.exit(ok ? 0 : 1)

/** Round trips of the rooms while `run` lasts, and the most memory that the server had. */
async function phase(run) {
  latencies = []
  const memory = [await residentMegabytes(pid)]
  const watch = setInterval(async () => memory.push(await residentMegabytes(pid)), 500)
  const from = performance.now()
  const outcome = await run()
  const milliseconds = Math.round(performance.now() - from)
  clearInterval(watch)
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => Math.round(quantile(latencies, share) * 100) / 100)
  return { milliseconds, rounds: latencies.length, p50, p95, p99, megabytes: Math.max(...memory), ...outcome }
}

/** Megabytes on the server's heap and beside it, garbage not counted. */
function memoryInUse() {
  server.child.kill('SIGUSR2')
  return new Promise((resolve) => {
    inUse = resolve
  })
}

/** The strangers live in a process of their own. */
async function attack(url, what) {
  let outcome
  const attacker = await start('attacker.mjs', [url, JSON.stringify(what)], (record) => {
    outcome = record
  })
  place(attacker.child.pid, STRANGERS)
  await new Promise((resolve) => attacker.child.once('exit', resolve))
  return outcome
}

async function attackElsewhere(what) {
  const other = await start('server.mjs', [options])
  place(other.child.pid, STRANGERS)
  const outcome = await attack(other.url, what)
  await end(other.child, 'SIGKILL')
  return outcome
}
