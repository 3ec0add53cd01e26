/** Many cells, a few at a time, and what is kept of each. */
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import { type Cell, type Outcome, runCell } from './cell.ts'
import type { Route } from './encounter.ts'
import { expectedOf } from './expected.ts'
import type { PeerKind } from './peer.ts'

/** A cell's result as it stands in the documentation. Both ends, the offering one first; times in milliseconds. */
export interface Result {
  readonly places: readonly [NatTypeName, NatTypeName]
  readonly peers: readonly [PeerKind, PeerKind]
  readonly route: Route
  readonly pairs: readonly [string, string]
  readonly firstByte: number | null
  readonly direct: number | null
  /** UDP datagrams sent by either host until the result was clear, data and handshakes included. */
  readonly sent: readonly [number, number]
  /** Connection-tracking entries in either one's routers by then. */
  readonly natEntries: readonly [number, number]
}

export const TYPE_NAMES = Object.keys(NAT_TYPES) as NatTypeName[]

export type Peers = Cell['peers']

/** All ordered pairs of places, for each pair of peers. */
export function cellsOf(peers: readonly Peers[], only: readonly NatTypeName[] = TYPE_NAMES): Cell[] {
  return peers.flatMap((kinds) =>
    only.flatMap((a) => only.map((b): Cell => ({ places: [a, b], peers: kinds, relay: true }))),
  )
}

/** A cell of a slow machine has this long, milliseconds. One that should be relayed is watched for a while all the same. */
const PATIENCE = { connect: 20_000, upgrade: 15_000, relayed: 1_000, search: 20_000 }

export interface Judged {
  readonly outcome: Outcome
  /** What is wrong with it. */
  readonly failure?: string
}

export interface JudgeOptions {
  /** A folder for what everybody saw. */
  readonly captures?: string
  /** Waits for the end of a search for the ports of a hard NAT. */
  readonly searches?: boolean
}

export async function judgeCell(cell: Cell, { captures, searches = false }: JudgeOptions = {}): Promise<Judged> {
  const { routes, reason } = expectedOf(cell)
  const hopes = searches && routes.includes('direct') ? PATIENCE.search : PATIENCE.relayed
  const upgrade = routes[0] === 'direct' ? PATIENCE.upgrade : hopes
  const outcome = await runCell(cell, { connect: PATIENCE.connect, upgrade }, captures)
  if (routes.includes(outcome.route)) return { outcome }
  return { outcome, failure: `${titleOf(cell)}: ${outcome.route}, expected ${routes.join(' or ')}: ${reason}` }
}

/** Runs `work` on each, at most `jobs` at a time, in order. */
export async function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: jobs }, worker))
}

export function titleOf({ places, peers }: Pick<Cell, 'places' | 'peers'>): string {
  return `${peers.join('–')} ${places.join(' ↔ ')}`
}

export function resultOf({ cell, route, firstByte, direct, ends }: Outcome): Result {
  const both = <T>(pick: (end: Outcome['ends'][0]) => T) => [pick(ends[0]), pick(ends[1])] as const
  return {
    places: cell.places,
    peers: cell.peers,
    route,
    pairs: both(({ pair }) => pair),
    firstByte: firstByte ?? null,
    direct: direct ?? null,
    sent: both(({ sent }) => sent),
    natEntries: both(({ natEntries }) => natEntries),
  }
}
