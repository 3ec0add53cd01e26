import { type Address, addressFamily, isIPv4, type NetworkInfo, sameAddress, withoutScope } from '@floe/stun'
import { type Candidate, canReach, peerReflexivePriority } from './candidate.ts'
import { networkExtensions } from './network-cost.ts'
import type { RelayProtocol } from './servers.ts'

/** A socket of the driver's that this agent may use. */
export interface LocalBase {
  /** Kept by identity: outgoing packets name this very object. */
  readonly address: Address
  /** RFC 6544: `active` connects from this IP address, port 9; `passive` has a listener on it. Left out: UDP. */
  readonly tcpType?: 'active' | 'passive'
  readonly interfaceName?: string
  /** The network behind it, and what its use costs: goes with candidates and checks (GOOG-NETWORK-INFO). */
  readonly network?: NetworkInfo
  /** 0 is the interface to prefer; the order of the list when left out. */
  readonly rank?: number
  /** An mDNS name to signal in place of the address (draft-ietf-mmusic-mdns-ice-candidates). */
  readonly hostname?: string
  /** No socket of ours: relays are reached from this address, and nothing else is. */
  readonly relayOnly?: boolean
  /** Opened in place of another: its checks do not wait for those of that one, as equal foundations would. */
  readonly fresh?: boolean
  /**
   * Addresses that reach this base from outside: 1:1 NAT, port mappings. Signalled as server-reflexive candidates. A base
   * that is given again has these from now on, and those before no more.
   */
  readonly mapped?: readonly Address[]
  /** An IPv6 base that reaches IPv4 addresses as well: the driver sends what is for those through a NAT64 (RFC 6146). */
  readonly translated?: boolean
}

/** An address on a TURN server. */
export interface RelayedAddress {
  /** Kept by identity: it is the candidate's base. */
  readonly address: Address
  readonly protocol: RelayProtocol
  readonly server: Address
  readonly url: string
  readonly network?: NetworkInfo | undefined
  /** Where the server sees us; left out where that must not be told. */
  readonly mapped?: Address
}

export function isSameBase(a: LocalBase, b: LocalBase): boolean {
  return sameAddress(a.address, b.address) && a.tcpType === b.tcpType
}

/** Whether packets from this base can come to the other address: see `canReach()`, and through a NAT64. */
export function reaches({ address, translated }: LocalBase, to: string): boolean {
  return canReach(address.ip, to) || (translated === true && isIPv4(to))
}

/** RFC 8839 §5.1: what stands for an address that is not to be told. */
export function blankAddress(family: 4 | 6 | undefined): Address {
  return { ip: family === 6 ? '::' : '0.0.0.0', port: 9 }
}

/** Where the base is hidden behind an mDNS name its address must not leak through raddr. */
export function relatedAddress({ address, hostname }: LocalBase): Address {
  if (hostname === undefined) return address
  return blankAddress(addressFamily(address.ip))
}

/** Where a peer has seen us, in our words: it knows nothing of our scopes, and the port of a TCP connection is not the next one's. */
export function asOurs({ ip, port }: Address, base: Address, protocol: Candidate['protocol']): Address {
  return { ip: ip === withoutScope(base.ip) ? base.ip : ip, port: protocol === 'tcp' ? base.port : port }
}

/** Where the peer saw a check from `base` come from, RFC 8445 §7.2.5.3.1. `host`: a candidate of that base. */
export function peerReflexive(
  host: Candidate,
  base: LocalBase,
  address: Address,
  foundation: string,
  usernameFragment: string,
): Candidate {
  return {
    type: 'prflx',
    protocol: host.protocol,
    ...(host.tcpType && { tcpType: host.tcpType }),
    address,
    base: base.address,
    relatedAddress: relatedAddress(base),
    foundation,
    component: host.component,
    priority: peerReflexivePriority(host),
    usernameFragment,
    ...(host.extensions && { extensions: host.extensions }),
  }
}

/** The host candidate of a base that the peer has found by itself. */
export function unsignalled(
  { address, network }: LocalBase,
  foundation: string,
  usernameFragment: string,
  priority: number,
): Candidate {
  return {
    type: 'host',
    protocol: 'udp',
    address,
    base: address,
    foundation,
    component: 1,
    priority,
    usernameFragment,
    ...(network && networkExtensions(network)),
  }
}
