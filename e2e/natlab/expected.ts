/** What every cell of the matrix should come to, and why: theory, and what is known to be missing. First rule wins. */
import type { NatBehavior } from '../topology/behavior.ts'
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import type { Cell } from './cell.ts'
import type { Route } from './encounter.ts'

export interface Expectation {
  /** The usual one first; more than one where it depends on whose packet comes first, or on how long one looks. */
  readonly routes: readonly Route[]
  readonly reason: string
  /** Others might have chosen otherwise: the table says why right below. */
  readonly isChoice?: true
}

/** With a TURN server that both ends may use, over UDP and over TCP to port 443. */
export function expectedOf(cell: Pick<Cell, 'places' | 'peers'>): Expectation {
  const [a, b] = cell.places.map(accessOf) as [Access, Access]
  const rule = RULES.find(({ holds, ordered }) => holds(a, b, cell) || (!ordered && holds(b, a, mirrored(cell))))!
  const { routes, reason, isChoice } = rule
  return { routes, reason, ...(isChoice && { isChoice }) }
}

/** Whether a route is what was to be expected of its cell. */
export function isExpected(result: Pick<Cell, 'places' | 'peers'> & { readonly route: Route }): boolean {
  return expectedOf(result).routes.includes(result.route)
}

interface Rule extends Expectation {
  /** Only as it stands: `a` offers, and so controls. */
  readonly ordered?: true
  /** For one order of the ends; asked for both unless `ordered`. */
  holds(a: Access, b: Access, cell: Pick<Cell, 'places' | 'peers'>): boolean
}

/** One place, as far as it matters. */
interface Access {
  readonly name: NatTypeName
  readonly udp: boolean
  /** TCP may leave to ports beside 443. */
  readonly tcp: boolean
  readonly v6: boolean
  readonly v4: V4
  readonly nat64: boolean
}

type V4 = 'open' | 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent' | 'unpredictable'

const RULES: readonly Rule[] = [
  {
    routes: ['direct'],
    reason: 'on one LAN host candidates reach each other',
    holds: (a, b) => a.name === 'same-lan' && b.name === 'same-lan',
  },
  {
    routes: ['relay'],
    reason:
      'UDP is blocked on one side; the other one decides, and ranks a relay over UDP above TCP without a relay (direct ' +
      'UDP, TURN over UDP, TCP, TURN over TCP or TLS: over TCP a lost packet holds back all that follow it). A browser ' +
      'does not say that it reaches the relay over TCP as well',
    isChoice: true,
    ordered: true,
    holds: (a, b, { peers }) => a.v4 === 'open' && peers[0] === 'node' && peers[1] !== 'node' && !b.udp && b.tcp,
  },
  {
    routes: ['direct'],
    reason: 'UDP is blocked on one side, and the other one has a TCP candidate that can be reached (RFC 6544)',
    holds: (a, b, { peers }) => !a.udp && a.tcp && b.v4 === 'open' && peers[1] === 'node',
  },
  {
    routes: ['relay'],
    reason: 'UDP is blocked on one side: what is left is TCP to the relay',
    holds: (a) => !a.udp,
  },
  {
    routes: ['direct'],
    reason: 'over IPv6, where firewalls open for whoever has been sent to',
    holds: (a, b) => a.v6 && b.v6,
  },
  {
    routes: ['relay'],
    reason: 'browsers do not send to IPv4 candidates through a NAT64 (RFC 6052), which lets in nobody unasked',
    holds: (a, _, { peers }) => a.nat64 && peers[0] !== 'node',
  },
  {
    routes: ['direct'],
    reason: 'one side is public',
    holds: (a) => a.v4 === 'open',
  },
  {
    routes: ['relay'],
    reason: 'both have the same address outside, and its NAT does not hairpin',
    holds: (a, b) => a.name === 'cgnat' && b.name === 'cgnat',
  },
  {
    routes: ['direct'],
    reason: 'both have the same address outside, and its NAT hairpins',
    holds: (a, b) => a.name === 'cgnat-hairpin' && b.name === 'cgnat-hairpin',
  },
  {
    routes: ['relay'],
    reason: 'neither side can know the port that its NAT picks for the other',
    holds: (a, b) => a.v4 === 'unpredictable' && b.v4 === 'unpredictable',
  },
  {
    routes: ['relay', 'direct'],
    reason:
      'the side that filters by port cannot know the port that the other NAT picks for it; it is searched for after ' +
      'three seconds, see docs/hard-nat.md',
    holds: (a, b) => a.v4 === 'unpredictable' && b.v4 === 'address-and-port-dependent',
  },
  {
    routes: ['direct', 'relay'],
    reason: 'whoever’s first packet comes too early spoils the mapping of a poisoning router',
    holds: (a) => a.name === 'poisoning',
  },
  {
    routes: ['direct'],
    reason: 'the side whose port nobody knows is let in by a filter that does not look at ports',
    holds: (a) => a.v4 === 'unpredictable',
  },
  {
    routes: ['direct'],
    reason: 'both mappings are endpoint-independent: each side opens its filter for the other',
    holds: () => true,
  },
]

function accessOf(name: NatTypeName): Access {
  const placements: readonly Placement[] = NAT_TYPES[name].placements
  const [first] = placements as readonly [Placement]
  const { outgoingPorts, outgoingTcpPorts } = first.firewall ?? {}
  return {
    name,
    udp: outgoingPorts === undefined,
    tcp: outgoingTcpPorts === undefined,
    v6: placements.some(({ nat64, family }) => nat64 || family === 6),
    v4: v4Of(first),
    nat64: first.nat64 !== undefined,
  }
}

/** Where there is no IPv4, by way of the NAT64. */
function v4Of({ nat64, nat = nat64, carrier, firewall }: Placement): V4 {
  if (!nat) return firewall ? 'address-and-port-dependent' : 'open'
  const layers = [nat, ...(carrier ? [carrier.nat] : [])]
  if (layers.some(isUnpredictable)) return 'unpredictable'
  return layers
    .map(({ filtering }) => filtering)
    .reduce((one, other) => (STRICT.indexOf(one) > STRICT.indexOf(other) ? one : other))
}

const STRICT = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const

/** Linux' masquerade has many mappings and one port, so that nobody notices as long as nothing stands in its way. */
function isUnpredictable({ mapping, overloading, allocation = 'preserve' }: NatBehavior): boolean {
  return mapping !== 'endpoint-independent' && !(overloading && allocation === 'preserve')
}

function mirrored({ places, peers }: Pick<Cell, 'places' | 'peers'>): Pick<Cell, 'places' | 'peers'> {
  return { places: [places[1], places[0]], peers: [peers[1], peers[0]] }
}
