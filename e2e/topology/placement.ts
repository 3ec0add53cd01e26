/** Where hosts stand, in the simulator's words, and what only some labs can build. Both labs read these descriptions. */
import type { FirewallPolicy } from '../sim/firewall.ts'
import type { NatBehavior } from '../sim/nat.ts'
import type { Placement } from '../sim/world.ts'

/** A NAT in RFC 4787's words, and two habits of real boxes that it has no words for. */
export interface RouterNat extends Omit<NatBehavior, 'allocation'> {
  /** `block`: each subscriber has BLOCK_PORTS ports of his own, as at a carrier (RFC 7422); a random one of them. */
  readonly allocation?: NatBehavior['allocation'] | 'block'
  /**
   * What the router's own stack does with unsolicited UDP from outside. `accept` poisons: such a packet leaves a
   * connection-tracking entry behind, and a later outbound flow to the same peer collides with it and gets another port.
   * Default `drop`.
   */
  readonly unsolicited?: 'drop' | 'accept'
}

/** Ports of one subscriber where `allocation` is `block`. */
export const BLOCK_PORTS = 512

export interface RouterFirewall extends FirewallPolicy {
  /** Destination ports that TCP may leave to; left out: all. */
  readonly outgoingTcpPorts?: readonly number[]
}

/** One address of a host: where it is on the internet. Left out: right on it. */
export interface LabPlacement extends Omit<Placement, 'nat' | 'carrier' | 'firewall'> {
  readonly nat?: RouterNat
  readonly carrier?: { readonly name: string; readonly nat: RouterNat }
  readonly firewall?: RouterFirewall
  /** IPv6 only, and the router translates to IPv4 (RFC 6146), with DNS64 (RFC 6147). */
  readonly nat64?: true
}
