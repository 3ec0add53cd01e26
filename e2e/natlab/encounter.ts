/** Two peers somewhere on an internet, and how they get on. */
import type { Internet } from './internet.ts'
import { isRelayed, typesOf } from './path-types.ts'
import type { Notes } from './peer/lab-peer.ts'
import type { Decision } from './peer/node-peer.ts'
import { type Peer, type PeerKind, startPeer } from './peer.ts'
import { iceServers, startServers } from './servers.ts'
import { join, type SignalingOptions } from './signaling.ts'
import { now, pause } from './time.ts'

export interface Encounter {
  /** On the hosts `a` and `b`; the first one offers. */
  readonly peers: readonly [PeerKind, PeerKind]
  /** Both are told of the TURN server, or none, or those in Node alone: a browser needs no relay of its own then. */
  readonly relay: boolean | 'node'
  readonly signaling?: SignalingOptions
  /** The servers take requests and never answer. */
  readonly serversDead?: boolean
  /** Node peers ask their routers for mappings. */
  readonly portMapping?: boolean
  /** Beside the servers, for both. */
  readonly configuration?: object
}

export type Route = 'direct' | 'relay' | 'none'

export interface Meeting {
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

export async function meet(internet: Internet, encounter: Encounter, patience: Patience): Promise<Meeting> {
  const { peers, configuration, portMapping } = encounter
  const ice = portMapping && { ice: { portMapping } }
  const peer = (host: string, kind: PeerKind) =>
    startPeer(internet, host, kind, {
      ...configuration,
      ...ice,
      iceServers: iceServers(internet, host, {
        relay: encounter.relay === true || (encounter.relay === 'node' && kind === 'node'),
      }),
    })
  const [[a, b], servers] = await Promise.all([
    Promise.all([peer('a', peers[0]), peer('b', peers[1])]),
    startServers(internet),
  ])
  if (encounter.serversDead) servers.suspend()
  const { broken } = join(a.endpoint, b.endpoint, encounter.signaling)
  const start = now()
  await Promise.race([broken, a.endpoint.offer()])
  await Promise.race([broken, watch(a, b, patience)])
  const ends = [await report(internet, 'a', a), await report(internet, 'b', b)] as const
  return { ...judge(ends, start), ends }
}

async function watch(a: Peer, b: Peer, patience: Patience): Promise<void> {
  const look = async () => [await a.endpoint.notes(), await b.endpoint.notes()]
  const hear = async () => (await look()).every(({ firstByte }) => firstByte !== undefined)
  if (!(await until(hear, patience.connect))) return
  const direct = await until(async () => (await look()).every(isDirect), patience.upgrade)
  if (direct) await pause(SETTLE)
}

function judge(ends: readonly [End, End], start: number): Omit<Meeting, 'ends'> {
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

async function report(internet: Internet, host: string, peer: Peer): Promise<End> {
  const [notes, decisions] = await Promise.all([peer.endpoint.notes(), peer.decisions()])
  const path = notes.paths.at(-1)
  const counts = await Promise.all(
    internet.host(host).routers.map((router) => internet.run(router, 'cat /proc/sys/net/netfilter/nf_conntrack_count')),
  )
  return {
    pair: typesOf(path),
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
