/** One cell of the matrix: two peers somewhere on the internet, and how they get on. */
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import { capture } from './capture.ts'
import { Internet } from './internet.ts'
import type { Notes } from './peer/lab-peer.ts'
import type { Decision } from './peer/node-peer.ts'
import { type Peer, type PeerKind, startPeer } from './peer.ts'
import { iceServers, startServers } from './servers.ts'
import { join, type SignalingOptions } from './signaling.ts'

export interface Cell {
  /** The first one offers. */
  readonly places: readonly [NatTypeName, NatTypeName]
  readonly peers: readonly [PeerKind, PeerKind]
  /** Both are told of the TURN server, or none, or those in Node alone: a browser needs no relay of its own then. */
  readonly relay: boolean | 'node'
  /** Node peers ask their routers for mappings. */
  readonly portMapping?: boolean
  readonly signaling?: SignalingOptions
  readonly seed?: number
}

export type Route = 'direct' | 'relay' | 'none'

export interface Outcome {
  readonly cell: Cell
  /** By what data goes in the end. */
  readonly route: Route
  /** Milliseconds from the offer until both ends had data of the other; undefined: never. */
  readonly firstByte?: number
  /** Milliseconds from the offer until both ends used a path without relay. */
  readonly direct?: number
  readonly ends: readonly [End, End]
}

/** What one end saw. */
export interface End {
  /** Local and remote candidate type of its path in the end: `srflx-prflx`. */
  readonly pair: string
  readonly notes: Notes
  readonly decisions: readonly Decision[]
  readonly sent: number
  readonly received: number
  /** Connection-tracking entries in its routers. */
  readonly natEntries: number
}

/** Milliseconds. */
export interface Patience {
  /** Until data flows. */
  readonly connect: number
  /** From then on, for a relayed path to become direct. */
  readonly upgrade: number
}

/** Time in which a path that works may still be replaced by a better one, milliseconds. */
const SETTLE = 300
const LOOK_EVERY = 50

/** With a folder for `captures`, what everybody saw is left there. */
export async function runCell(cell: Cell, patience: Patience, captures?: string): Promise<Outcome> {
  const [a, b] = cell.places
  await using internet = await Internet.build({
    hosts: { a: NAT_TYPES[a].placements, b: NAT_TYPES[b].placements },
    ...(cell.seed !== undefined && { seed: cell.seed }),
  })
  if (captures !== undefined) await capture(internet, captures)
  return await runOn(internet, cell, patience)
}

/** The same on an internet with hosts `a` and `b`. */
export async function runOn(internet: Internet, cell: Cell, patience: Patience): Promise<Outcome> {
  const ice = cell.portMapping && { ice: { portMapping: true } }
  const peer = (host: string, kind: PeerKind) =>
    startPeer(internet, host, kind, {
      iceServers: iceServers(internet, host, {
        relay: cell.relay === true || (cell.relay === 'node' && kind === 'node'),
      }),
      ...ice,
    })
  const [[first, second]] = await Promise.all([
    Promise.all([peer('a', cell.peers[0]), peer('b', cell.peers[1])]),
    startServers(internet),
  ])
  const { broken } = join(first.endpoint, second.endpoint, cell.signaling)
  const start = now()
  await Promise.race([broken, first.endpoint.offer()])
  await Promise.race([broken, watch(first, second, patience)])
  const ends = [await report(internet, 'a', first), await report(internet, 'b', second)] as const
  return { cell, ...judge(ends, start), ends }
}

async function watch(a: Peer, b: Peer, patience: Patience): Promise<void> {
  const look = async () => [await a.endpoint.notes(), await b.endpoint.notes()]
  await until(async () => (await look()).every(({ firstByte }) => firstByte !== undefined), patience.connect)
  const direct = await until(async () => (await look()).every(isDirect), patience.upgrade)
  if (direct) await pause(SETTLE)
}

function judge(ends: readonly [End, End], start: number): Omit<Outcome, 'cell' | 'ends'> {
  const latest = (times: readonly (number | undefined)[]) => {
    const known = times.filter((time) => time !== undefined)
    return known.length === times.length ? Math.round(Math.max(...known) - start) : undefined
  }
  const firstByte = latest(ends.map(({ notes }) => notes.firstByte))
  if (firstByte === undefined) return { route: 'none' }
  if (!ends.every(({ notes }) => isDirect(notes))) return { route: 'relay', firstByte }
  const direct = latest(ends.map(({ notes: { paths } }) => paths.find((path) => !isRelayed(path))?.at))
  return { route: 'direct', firstByte, ...(direct !== undefined && { direct }) }
}

function isDirect({ paths }: Notes): boolean {
  const path = paths.at(-1)
  return path !== undefined && !isRelayed(path)
}

function isRelayed({ local, remote }: { readonly local: string; readonly remote: string }): boolean {
  return local === 'relay' || remote === 'relay'
}

async function report(internet: Internet, host: string, peer: Peer): Promise<End> {
  const [notes, decisions] = await Promise.all([peer.endpoint.notes(), peer.decisions()])
  const path = notes.paths.at(-1)
  const counts = await Promise.all(
    internet.host(host).routers.map((router) => internet.run(router, 'cat /proc/sys/net/netfilter/nf_conntrack_count')),
  )
  return {
    pair: path ? `${path.local}-${path.remote}` : 'none',
    notes,
    decisions,
    ...peer.traffic(),
    natEntries: counts.reduce((sum, count) => sum + Number(count), 0),
  }
}

async function until(condition: () => Promise<boolean>, ms: number): Promise<boolean> {
  const deadline = now() + ms
  while (!(await condition())) {
    if (now() > deadline) return false
    await pause(LOOK_EVERY)
  }
  return true
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
