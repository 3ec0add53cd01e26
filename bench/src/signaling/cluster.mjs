/**
 * Three servers on one Redis; clients exchange candidates while one server is killed and Redis is restarted, empty.
 *
 *   node cluster.mjs '{"clients":2000,"rooms":500}'      prints one JSON object; exit code 1 when something is amiss
 */
import { setTimeout as delay } from 'node:timers/promises'
import { joinRoom } from '@floe/signaling'
import { quantile } from '../rounds.mjs'
import { end, Redis, residentMegabytes, start } from './processes.mjs'

const plan = {
  clients: 2_000,
  rooms: 500,
  /** From each to each in its room: a description, and this many candidates. */
  messages: 12,
  /** Over which they are spread, in ms. */
  duration: 30_000,
  /** When which happens, in ms of that. */
  kill: 8_000,
  restart: 18_000,
  /** How long Redis is away, in ms. */
  outage: 1_500,
  /** Until everything must have arrived, in ms after the last was sent. */
  patience: 60_000,
  ...JSON.parse(process.argv[2] ?? '{}'),
}

const redis = await Redis.start()
const limits = Object.fromEntries(
  ['connectionsPerAddress', 'connectionsPerSecondPerAddress', 'connectionBurstPerAddress'].map((name) => [name, 1e6]),
)
Object.assign(limits, { messagesPerSecondPerAddress: 1e6, messageBurstPerAddress: 1e6 }) // they all come from here
const options = JSON.stringify({ redis: { url: redis.url }, limits })
const servers = [
  await start('server.mjs', [options]),
  await start('server.mjs', [options]),
  await start('server.mjs', [options]),
]
const balancer = await start(
  'balancer.mjs',
  servers.map(({ url }) => url),
)

const result = { plan, sent: 0, delivered: 0, strays: 0, outOfOrder: 0, errors: {} }
const latencies = []
const clients = await joinAll()
await settled('everybody sees everybody', () => clients.every(({ room }) => room.peers.size === perRoom() - 1))
result.joined = clients.length
const started = performance.now()
await Promise.all([exchange(), faults()])
const expected = result.sent
await settled('everything has arrived', () => result.delivered >= expected)
result.longest = Math.round(latencies.reduce((longest, value) => Math.max(longest, value), 0))
result.latency = {
  p50: round(quantile(latencies, 0.5)),
  p95: round(quantile(latencies, 0.95)),
  p99: round(quantile(latencies, 0.99)),
}
result.pairs = pairs()
await settled('everybody still sees everybody', () => clients.every(({ room }) => room.peers.size === perRoom() - 1))
result.megabytes = await Promise.all(servers.slice(1).map(({ child }) => residentMegabytes(child.pid)))
result.ok =
  result.pairs.complete === result.pairs.all && result.strays === 0 && result.outOfOrder === 0 && !result.amiss
console.log(JSON.stringify(result))
for (const { room } of clients) room.leave()
await Promise.all(servers.slice(1).map(({ child }) => end(child)))
await end(balancer.child, 'SIGKILL')
await redis.stop()
process.exit(result.ok ? 0 : 1)

function perRoom() {
  return plan.clients / plan.rooms
}

async function joinAll() {
  const joined = []
  for (let from = 0; from < plan.clients; from += 50) {
    const some = Array.from({ length: Math.min(50, plan.clients - from) }, (_, index) => join(from + index))
    joined.push(...(await Promise.all(some)))
  }
  return joined
}

async function join(index) {
  const name = `room-${index % plan.rooms}`
  const room = await joinRoom(balancer.url, { room: name, timeout: 30_000, reconnectTimeout: 120_000 })
  const client = { room, heard: new Map() }
  room.addEventListener('error', ({ error }) => {
    result.errors[error.code] = (result.errors[error.code] ?? 0) + 1
  })
  room.onpeer = (peer) => {
    peer.onmessage = (message) => take(client, peer, message)
  }
  return client
}

function take(client, peer, { candidate }) {
  const { room: name, from, to, number, at } = JSON.parse(candidate.candidate)
  latencies.push(performance.now() - at)
  result.delivered += 1
  if (name !== client.room.name || from !== peer.id || to !== client.room.id) result.strays += 1
  const last = client.heard.get(from) ?? 0
  if (number !== last + 1) result.outOfOrder += 1
  client.heard.set(from, number)
}

/** Everybody says its part to everybody, at a moment of its own. */
async function exchange() {
  await Promise.all(
    clients.map(async ({ room }, index) => {
      const step = plan.duration / plan.messages
      await delay((step * index) / clients.length)
      for (let number = 1; number <= plan.messages; number++) {
        for (const peer of [...room.peers.values()]) {
          const content = { room: room.name, from: room.id, to: peer.id, number, at: performance.now() }
          peer.send({ candidate: { candidate: JSON.stringify(content), sdpMid: '0' } })
          result.sent += 1
        }
        await delay(Math.max(0, started + (step * index) / clients.length + step * number - performance.now()))
      }
    }),
  )
}

async function faults() {
  await delay(plan.kill)
  await end(servers[0].child, 'SIGKILL')
  await delay(plan.restart - plan.kill)
  await redis.restart(plan.outage)
}

function pairs() {
  const all = (plan.clients * (perRoom() - 1)) / 2
  const complete = clients.reduce(
    (sum, { heard }) => sum + [...heard.values()].filter((last) => last === plan.messages).length,
    0,
  )
  return { all, complete: complete / 2 }
}

async function settled(what, condition) {
  const deadline = performance.now() + plan.patience
  while (!condition()) {
    if (performance.now() > deadline) {
      result.amiss ??= []
      result.amiss.push(what)
      return
    }
    await delay(50)
  }
}

function round(value) {
  return Math.round(value * 10) / 10
}
