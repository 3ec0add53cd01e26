import type { LinkQuality } from './behavior.ts'
import type { Fault } from './fault.ts'
import type { Placement } from './placement.ts'

/**
 * Two peers that want to meet, the network between them, and what goes wrong meanwhile: all of it plain data, so that it
 * can be drawn at random, shrunk, kept as JSON, and played in either lab. Times in milliseconds.
 */
export interface Scenario {
  /** Everything random follows from it: losses, ports, credentials. */
  readonly seed: number
  readonly a: Placement | readonly Placement[]
  readonly b: Placement | readonly Placement[]
  /** STUN servers on the open internet. Default: one that works. */
  readonly servers?: readonly ServerPlan[]
  /** TURN servers on the open internet, for both families. Default: none. */
  readonly relays?: readonly RelayPlan[]
  /** The wire of every address of both peers, as far as its placement does not say otherwise. */
  readonly link?: LinkQuality
  readonly signaling?: SignalingPlan
  /** Per side, what it does where there is no direct path. Default: ordinary ICE alone, as browsers do. */
  readonly traversal?: { readonly a?: Traversal; readonly b?: Traversal }
  /** Default: silence, so that checks and consent are all there is. */
  readonly traffic?: TrafficPattern
  /** In any order. */
  readonly faults?: readonly Fault[]
  /** Each fault leaves a way, and must not be felt for longer than its bound (e2e/sim/recovery.ts), without a restart. */
  readonly bounded?: boolean
  /** How long two peers that can meet may take to. */
  readonly limit: number
}

export interface ServerPlan {
  readonly family?: 4 | 6
  /** Takes requests and never answers. */
  readonly dead?: boolean
  readonly link?: LinkQuality
}

export interface RelayPlan extends Omit<ServerPlan, 'family'> {
  /** Peers are told of it over TCP to port 443 too (over IPv4), not over UDP alone. */
  readonly tcp?: boolean
}

export interface SignalingPlan {
  /** One way, or from `a` to `b` and back. Messages keep their order, as over a WebSocket. Default 20. */
  readonly latency?: number | readonly [forth: number, back: number]
  /** False: candidates travel with the parameters, once gathering has ended. Default true. */
  readonly trickle?: boolean
  /** How much later the second peer begins; negative: earlier. */
  readonly skew?: number
  /** Roles told to the agents; `null` leaves one as constructed. Default: `a` controls. */
  readonly roles?: readonly [Role | null, Role | null]
}

/**
 * Node's agents open poison-safely and try fresh sockets; `auto`, their default, also searches for the ports of a NAT that
 * gives each flow another one.
 */
export type Traversal = 'auto' | 'off'

export type Role = 'controlling' | 'controlled'

/** Words that both peers send each other from the time they are connected. */
export interface TrafficPattern {
  /** Between two words of one peer. */
  readonly interval: number
  /** Size of a word; default: as short as can be. */
  readonly bytes?: number
}
