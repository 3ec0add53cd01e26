import type { Pair } from './candidate-pair.ts'
import { networkInfoOf } from './network-cost.ts'
import type { Sources } from './sources.ts'

/** What a path leads through: each of it may die, and the path with it. */
export interface Ways {
  /** Our interface; that which leads to the server, for a relay of ours. */
  readonly ours: string
  /** The peer's network, or what is known of it; undefined: it hides behind a relay. */
  readonly peers: string | undefined
  /** Relays, ours and the peer's, by IP address. */
  readonly relays: readonly string[]
}

export function waysOf(pair: Pair, sources: Pick<Sources, 'wayOut'>): Ways {
  const { via, relay } = sources.wayOut(pair.base)
  const { remote, destination, peersNetwork = networkInfoOf(remote) } = pair
  const isRelayed = remote.type === 'relay'
  const known = peersNetwork && peersNetwork.id > 0 ? `network ${peersNetwork.id}` : undefined
  const relays = isRelayed ? [destination.ip] : []
  return {
    ours: via,
    peers: known ?? (isRelayed ? undefined : destination.ip),
    relays: relay === undefined ? relays : [relay, ...relays],
  }
}

/** How much two paths have in common: what may take both with it. */
export function sharedWays(a: Ways, b: Ways): number {
  const ends = Number(a.ours === b.ours) + Number(a.peers !== undefined && a.peers === b.peers)
  return ends + Number(a.relays.some((ip) => b.relays.includes(ip)))
}
