import type { DiscoveredBehavior, DiscoveredNat64, NatBehavior } from '@floe/nat/node'

/** What `floe doctor --json` prints, in one object. */
export interface Findings {
  /** Addresses that peers could be told of, as ICE gathers them. */
  readonly candidates: readonly CandidateFinding[]
  readonly servers: readonly ServerFinding[]
  /** RFC 4787, by local address family; a family without an answer is absent. */
  readonly nat: DiscoveredBehavior
  /** `undefined`: not asked. */
  readonly portMapping: MappingFinding | undefined
  readonly nat64: DiscoveredNat64
}

export interface CandidateFinding {
  /** `host`, `srflx` (seen by a server), `mapped` (by the router) or `relay`. */
  readonly type: 'host' | 'srflx' | 'mapped' | 'relay'
  readonly protocol: 'udp' | 'tcp'
  readonly address: string
  readonly port: number
  /** The server that told it. */
  readonly url?: string
}

export interface ServerFinding {
  readonly url: string
  readonly works: boolean
  /** Milliseconds: of STUN to the server and back, of TURN to ourselves through it. */
  readonly roundTripTime?: number
  /** Why it does not work. */
  readonly error?: string
}

export interface MappingFinding {
  /** `undefined`: the router maps nothing. */
  readonly mapping?: {
    readonly protocol: string
    readonly external: string
    readonly lifetime: number
    /** A packet from outside came in, or did not; left out where no server of RFC 5780 could tell. */
    readonly forwards?: boolean
  }
  /** Why not. */
  readonly reason?: string
}

/**
 * What to expect: `open`: whoever is told our address gets in; `direct`: with most peers; `hard`: with peers whose own
 * NAT is easy, and a relay works for the others; `relay-only`: through a relay at best; `unknown`: nobody was asked;
 * `stuck`: not at all, or not with everybody for want of a relay.
 */
export type Verdict = 'open' | 'direct' | 'hard' | 'relay-only' | 'unknown' | 'stuck'

/** Judged by the better family: a pair needs one only. */
export function judge({ nat, portMapping, servers, candidates }: Findings): Verdict {
  const relayed = servers.some(({ url, works }) => works && url.startsWith('turn'))
  const families = [nat.ipv4, nat.ipv6].filter((family) => family !== undefined)
  if (candidates.length === 0) return 'stuck'
  const isMapped = portMapping?.mapping !== undefined && portMapping.mapping.forwards !== false
  if (isMapped && families.every(({ carrierGrade, layers }) => !carrierGrade && layers !== 2)) return 'open'
  if (servers.length === 0) return 'unknown'
  const reachable = families.filter(({ reachable }) => reachable)
  if (reachable.some(letsIn)) return 'open'
  if (reachable.some(isEasy)) return 'direct'
  if (!relayed) return 'stuck'
  return reachable.length > 0 ? 'hard' : 'relay-only'
}

/** No NAT, and no filter either; or a NAT that filters nobody. Without a test of filtering a firewall may be there. */
function letsIn({ translated, mapping, filtering }: NatBehavior): boolean {
  return filtering === 'endpoint-independent' && (translated === false || mapping === 'endpoint-independent')
}

function isEasy({ translated, mapping }: NatBehavior): boolean {
  return translated === false || mapping === 'endpoint-independent' || mapping === 'unknown'
}
