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

const server = await start('server.mjs', ['{}'])
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
const phases = { before: await phase(() => delay(plan.phase)) }
const megabytes = [await residentMegabytes(pid)]
phases.elsewhere = await phase(() => attackElsewhere({ ...flooders, addresses: plan.flooders }))
phases.malformed = await phase(() => attack(server.url, { malformed: plan.malformed }))
phases.fewAddresses = await phase(() => attack(server.url, { ...flooders, addresses: plan.few }))
phases.manyAddresses = await phase(() => attack(server.url, { ...flooders, addresses: plan.flooders }))
await delay(2_000)
phases.after = await phase(() => delay(plan.phase))
megabytes.push(await residentMegabytes(pid))
// Twice a millisecond is two: below that it is the machine that is measured.
const bound = 2 * Math.max(phases.elsewhere.p95, 1)
const worst = Math.max(...['malformed', 'fewAddresses', 'manyAddresses'].map((name) => phases[name].p95))
const ok = lost === 0 && worst <= bound && Math.max(...megabytes) - megabytes[0] < 100
console.log(JSON.stringify({ plan, placed, ...phases, bound, worst, megabytes, lost, ok }))
await end(rooms.child, 'SIGKILL')
await end(server.child)
process.exit(ok ? 0 : 1)

async function phase(run) {
  latencies = []
  const from = performance.now()
  const outcome = await run()
  const milliseconds = Math.round(performance.now() - from)
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => Math.round(quantile(latencies, share) * 100) / 100)
  return { milliseconds, round: latencies.length, p50, p95, p99, ...outcome }
}

/** The strangers live in a process of their own. */
async function attack(url, what) {
  let outcome
  const attacker = await start('attacker.mjs', [url, JSON.stringify(what)], (record) => {
    outcome = record
  })
  place(attacker.child.pid, STRANGERS)
  const watch = setInterval(async () => megabytes.push(await residentMegabytes(pid)), 1_000)
  await new Promise((resolve) => attacker.child.once('exit', resolve))
  clearInterval(watch)
  return outcome
}

async function attackElsewhere(what) {
  const other = await start('server.mjs', ['{}'])
  place(other.child.pid, STRANGERS)
  const outcome = await attack(other.url, what)
  await end(other.child, 'SIGKILL')
  return outcome
}
