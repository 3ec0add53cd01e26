import type { Dependence } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'

/** What theory says about two single-homed peers without a relay; `perhaps` where it depends on luck. */
export type Verdict = 'must' | 'cannot' | 'perhaps'

/**
 * RFC 4787 in reverse: whether hole punching can work. `stun`: both know their reflexive addresses. Deliberately cautious:
 * a wrong `must` or `cannot` would blame the agent.
 */
export function reachability(a: Placement, b: Placement, stun: boolean): Verdict {
  if (blocksUdp(a) || blocksUdp(b)) return 'cannot'
  if (a.lan !== undefined && a.lan === b.lan) return 'must'
  if (a.carrier || b.carrier) return 'perhaps'
  const [left, right] = [side(a, stun), side(b, stun)]
  if (left.open || right.open) return 'must'
  if (!left.addressKnown && !right.addressKnown) return 'cannot'
  if (letsIn(left, right) || letsIn(right, left)) return 'must'
  return hopeless(left, right) && hopeless(right, left) ? 'cannot' : 'perhaps'
}

interface Side {
  readonly open: boolean
  /** One external endpoint for all destinations, so that what the peer was told is what it sees. */
  readonly fixed: boolean
  readonly filtering: Dependence
  readonly addressKnown: boolean
}

function side({ nat, firewall }: Placement, stun: boolean): Side {
  if (nat) {
    const fixed = nat.mapping === 'endpoint-independent'
    return { open: false, fixed, filtering: nat.filtering, addressKnown: stun }
  }
  const filtering = firewall?.filtering ?? 'address-and-port-dependent'
  return { open: firewall === undefined, fixed: true, filtering, addressKnown: true }
}

function blocksUdp({ firewall }: Placement): boolean {
  return firewall?.outgoingPorts?.length === 0
}

/** The peer's check surely reaches `host` at the address it was told, and the answer goes back the same way. */
function letsIn(host: Side, peer: Side): boolean {
  if (!host.fixed || !host.addressKnown) return false
  if (host.filtering === 'endpoint-independent') return true
  // The hole must be punched for an address that host knows of: with the port, unless it filters by address alone.
  return peer.addressKnown && (peer.fixed || host.filtering === 'address-dependent')
}

/** No packet of the peer's to a known address of `host` can ever come in. */
function hopeless(host: Side, peer: Side): boolean {
  if (!host.addressKnown) return true
  if (host.filtering === 'endpoint-independent') return false
  // The mapping that the STUN server has seen is open for the server alone.
  if (!host.fixed) return true
  return host.filtering === 'address-and-port-dependent' && !peer.fixed
}
