/**
 * The signaling server under attack, and a cluster of three in which things die: runs `signaling/flood.mjs` and
 * `signaling/cluster.mjs`, which say what they do and take plans of other sizes, and reports what must hold.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { report } from './report.mjs'

const flood = run('flood')
const cluster = run('cluster')

const { elsewhere, bound } = flood
const calm = (what, phase, more = { limit: bound }) => ({
  what: `round trip of quiet rooms, ${what}`,
  unit: 'ms, p95',
  ours: phase.p95,
  peer: elsewhere.p95,
  better: 'lower',
  ...more,
})
const { malformed, flooders, few, rooms } = flood.plan
report(
  'signaling-flood',
  `${rooms} quiet rooms of a signaling server, and strangers`,
  'attack elsewhere',
  [
    calm('no attack', flood.before, {}),
    calm(`${malformed} malformed messages`, flood.malformed),
    calm(`${flooders} clients flood from ${few} addresses`, flood.fewAddresses),
    calm(`${flooders} clients flood from as many addresses`, flood.manyAddresses),
    calm('the same once more', flood.onceMore),
    { what: 'memory in use, before', unit: 'MB', ours: flood.before.inUse, better: 'lower' },
    {
      what: 'memory in use, after all attacks',
      unit: 'MB',
      ours: flood.after.inUse,
      better: 'lower',
      limit: flood.mostInUse,
    },
    { what: 'resident memory, at most in the flood', unit: 'MB', ours: flood.manyAddresses.megabytes, better: 'lower' },
    { what: 'resident memory, once more', unit: 'MB', ours: flood.onceMore.megabytes, better: 'lower' },
    { what: 'rooms lost', unit: '1', ours: flood.lost, better: 'lower', limit: 0 },
  ],
  flood.placed ? [] : ['Without the right to set priorities: strangers and server share the processors as they come.'],
)

const { clients } = cluster.plan
const failed = Object.values(cluster.errors).reduce((sum, count) => sum + count, 0)
report(
  'signaling-cluster',
  `Three servers on one Redis, ${clients} clients in ${cluster.plan.rooms} rooms; one server is killed, Redis restarts empty`,
  'wanted',
  [
    {
      what: 'pairs that heard everything of each other',
      unit: '1',
      ours: cluster.pairs.complete,
      peer: cluster.pairs.all,
      better: 'higher',
      target: 1,
    },
    { what: 'messages sent', unit: '1', ours: cluster.sent, better: 'higher' },
    {
      what: 'messages in a wrong room, twice or out of order, and errors',
      unit: '1',
      ours: cluster.strays + cluster.outOfOrder + failed,
      better: 'lower',
      limit: 0,
    },
    { what: 'from sending to receiving', unit: 'ms, p50', ours: cluster.latency.p50, better: 'lower' },
    { what: 'from sending to receiving', unit: 'ms, p95', ours: cluster.latency.p95, better: 'lower' },
    { what: 'from sending to receiving, at most', unit: 'ms', ours: cluster.longest, better: 'lower' },
    { what: 'memory of a server', unit: 'MB', ours: Math.max(...cluster.megabytes), better: 'lower' },
  ],
)

function run(name) {
  const { stdout } = spawnSync(process.execPath, [join(import.meta.dirname, 'signaling', `${name}.mjs`)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  return JSON.parse(stdout)
}
