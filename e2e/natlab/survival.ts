/** Runs an event of the table: two Node peers connect, the fault happens, and data flows again or does not. */

import type { LabEvent } from './events.ts'
import { Faults, type Stage, withLaterPlacements } from './faults.ts'
import { interfaceInUse } from './in-use.ts'
import { Internet } from './internet.ts'
import { pathOf } from './path-types.ts'
import type { Decision } from './peer/node-peer.ts'
import { type Peer, type PeerKind, startPeer } from './peer.ts'
import { iceServers, startServers } from './servers.ts'
import { join } from './signaling.ts'
import { now, pause } from './time.ts'

export interface Survival {
  readonly event: LabEvent
  /** Milliseconds for which data of one end at least did not arrive; Infinity: it never came back. */
  readonly interruption: number
  readonly restarted: boolean
  /** Milliseconds from the last fault until the transfer was there, both ways; Infinity: not in time, or not whole. */
  readonly transferred?: number
  /** Milliseconds from the last fault until data went over the interface that the event wants; Infinity: not in time. */
  readonly moved?: number
  /** Candidate types of the first end's path, before and after. */
  readonly paths: readonly [before: string, after: string]
  readonly decisions: readonly [readonly Decision[], readonly Decision[]]
}

/** Milliseconds between two packets of either end. */
const BEAT = 40
/** Without anything for so long, data does not flow. */
const SILENCE = 600
/** After the faults: for the path to come back by itself, and after an ICE restart. */
const PATIENCE = { alone: 20_000, restarted: 20_000, connect: 20_000, transfer: 30_000, move: 40_000 }
const LOOK_EVERY = 100

export async function survive(event: LabEvent, kind: PeerKind = 'node'): Promise<Survival> {
  await using internet = await Internet.build({
    hosts: {
      a: withLaterPlacements('a', event.a, event.faults),
      b: withLaterPlacements('b', event.b, event.faults),
    },
  })
  const servers = await startServers(internet)
  const start = (host: string) =>
    startPeer(internet, host, kind, { iceServers: iceServers(internet, host, { relay: event.relay ?? false }) })
  const later = { a: event.a.length, b: event.b.length }
  await Faults.downLater(internet, later)
  const [a, b] = await Promise.all([start('a'), start('b')])
  const signaling = join(a.endpoint, b.endpoint)
  const stage: Stage = { internet, servers, signaling, peers: { a, b } }
  return await Promise.race([signaling.broken, live(event, stage, new Faults(stage, later))])
}

async function live(event: LabEvent, { internet, peers: { a, b } }: Stage, faults: Faults): Promise<Survival> {
  await a.endpoint.offer()
  await Promise.all([a, b].map(({ endpoint }) => endpoint.opened(PATIENCE.connect)))
  await pause(event.idle ?? 0)
  const beginning = now()
  await Promise.all([a, b].map(({ endpoint }) => endpoint.beat(BEAT)))
  await pause(1_500)
  const before = await pathOf(a)
  const since = event.idle ? beginning : now()
  await faults.play(event.faults)
  const happened = now()
  const transferred = event.transfer && transfer(a, b, event.transfer)
  let [flows, restarted] = [await flowing(a, b, PATIENCE.alone), false]
  if (!flows) {
    restarted = true
    await a.endpoint.offer()
    flows = await flowing(a, b, PATIENCE.restarted)
  }
  const arrived = transferred && (await transferred) - happened
  const moved = event.movesTo !== undefined && (await movedTo(internet, event.movesTo)) - happened
  const gaps = await Promise.all([a, b].map(({ endpoint }) => longestGap(endpoint, since)))
  return {
    event,
    interruption: flows ? Math.max(...gaps) : Number.POSITIVE_INFINITY,
    restarted,
    ...(arrived && { transferred: Math.round(arrived) }),
    ...(moved && { moved: Math.round(moved) }),
    paths: [before, await pathOf(a)],
    decisions: [await a.decisions(), await b.decisions()],
  }
}

/** When what each end has sent the other was there, since the epoch; Infinity when it was not, or not as it was sent. */
async function transfer(a: Peer, b: Peer, bytes: number): Promise<number> {
  const oneWay = async (from: Peer, to: Peer, seed: number) => {
    await to.endpoint.expectBulk(bytes)
    const sent = from.endpoint.sendBulk(bytes, seed)
    const received = to.endpoint.receivedBulk(PATIENCE.transfer).catch(() => '')
    return (await sent) === (await received)
  }
  const isWhole = await Promise.all([oneWay(a, b, 1), oneWay(b, a, 2)])
  return isWhole.every(Boolean) ? now() : Number.POSITIVE_INFINITY
}

/** When that interface of `a` carried the data, since the epoch. */
async function movedTo(internet: Internet, wanted: number): Promise<number> {
  const deadline = now() + PATIENCE.move
  while (now() < deadline) {
    if ((await interfaceInUse(internet, 'a')) === wanted) return now()
  }
  return Number.POSITIVE_INFINITY
}

/** Until both ends have heard of each other all the time for a while. */
async function flowing(a: Peer, b: Peer, patience: number): Promise<boolean> {
  const deadline = now() + patience
  let quietSince = now()
  while (now() < deadline) {
    await pause(LOOK_EVERY)
    const last = await Promise.all(
      [a, b].map(async ({ endpoint }) => (await endpoint.arrivals(now() - SILENCE)).length),
    )
    if (last.some((count) => count === 0)) quietSince = now()
    if (now() - quietSince > 2 * SILENCE) return true
  }
  return false
}

async function longestGap(endpoint: Peer['endpoint'], since: number): Promise<number> {
  const times = [since, ...(await endpoint.arrivals(since)), now()]
  return Math.round(Math.max(...times.slice(1).map((time, i) => time - times[i]!)))
}
