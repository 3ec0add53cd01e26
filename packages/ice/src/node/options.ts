import type { ConnectionOptions } from 'node:tls'
import { addressFamily, canonicalIp } from '@floe/stun'
import type { Candidate } from '../candidate.ts'
import type { Timing } from '../defaults.ts'
import { IceError } from '../error.ts'
import type { IceParameters, IceRole } from '../parameters.ts'
import type { PathPolicyOptions } from '../path-policy.ts'
import type { IceServer } from './ice-servers.ts'
import type { InterfaceAddress } from './interfaces.ts'
import type { UdpMux } from './mux.ts'
import type { AddressTranslator } from './nat64.ts'
import type { PortMapper } from './port-mappings.ts'
import type { PortRange } from './sockets.ts'

export interface IceTransportOptions extends PathPolicyOptions {
  /** May also come with `start()`. Default: controlled. */
  readonly role?: IceRole
  /** RFC 8445 §2.5: for servers with public addresses. */
  readonly lite?: boolean
  /** Local ufrag and password instead of generated ones. */
  readonly parameters?: IceParameters
  /** W3C RTCConfiguration.iceServers. Servers are asked in parallel; one that is dead delays no other. */
  readonly iceServers?: readonly IceServer[]
  /** `relay`: no host or reflexive candidate is gathered, nor any server but relays contacted. Default: `all`. */
  readonly gatherPolicy?: 'all' | 'relay'
  /** `false` leaves an address of this machine alone. What passes is ranked, capped and bound. */
  readonly interfaceFilter?: (address: InterfaceAddress) => boolean
  /**
   * Follow this machine's networks from `gather()` on: new addresses become candidates, those of lost ones are withdrawn
   * (`icecandidatesremoved`). One look per second for all transports of the process. Default: true.
   */
  readonly watchInterfaces?: boolean
  /** UDP ports to bind, both ends included. Default: the system's choice. */
  readonly portRange?: PortRange
  /**
   * Addresses that a 1:1 NAT in front of this machine maps to it, port by port: one for all of its addresses of that
   * family, or by local address. Signalled as server-reflexive candidates.
   */
  readonly externalAddresses?: string | Readonly<Record<string, string>>
  /**
   * Maps the sockets' ports at the router, so that peers get in who have not been sent to: `new PortMapper()` of
   * @floe/nat/node, one for the process. What is mapped is signalled as a server-reflexive candidate, for as long as it
   * is; the end of candidates waits for the router, two seconds at most. Not with `mux` or `lite`. Default: none.
   */
  readonly portMapper?: PortMapper
  /**
   * Asked on hosts without IPv4: where the network's NAT64 has IPv4 addresses, if it has one. `findTranslator` of
   * @floe/nat/node does it (RFC 7050), at the cost of a DNS query that TURN servers with IPv4 addresses wait for, also where
   * `gatherPolicy` is `relay`. IPv4 peers and servers are reached through it. Not with `mux`. Default: not asked.
   */
  readonly nat64?: (options: { readonly signal: AbortSignal }) => Promise<AddressTranslator | undefined>
  readonly mdns?: {
    /** Resolve the `.local` names that browsers signal. Default: true. */
    readonly resolve?: boolean
    /** Signal random `.local` names in place of this machine's addresses, and answer for them. Default: false. */
    readonly publish?: boolean
  }
  /**
   * ICE over TCP (RFC 6544): connect to peers that listen, and listen for those that connect, such as browsers behind a
   * firewall that lets no UDP out. One listener per address serves all transports of the process. Not with `mux` or
   * `lite`. Default: true.
   */
  readonly tcp?: boolean
  /** For TURN servers over TLS, as node:tls has it: `ca` for a private certificate authority, `servername`, … */
  readonly tls?: ConnectionOptions
  /**
   * The way to TURN servers over TCP and TLS: `http://host:port`, `https://…` or `socks5://user:password@host:port`.
   * The proxy resolves their names.
   */
  readonly proxy?: string
  /** Gather on loopback too. Without it that happens only when there is no other interface. Default: false. */
  readonly includeLoopback?: boolean
  /**
   * `auto`: when one side's NAT gives every flow another port and the other side's does not, ports are searched for a
   * direct path while a relay carries the data: up to 256 sockets or 1024 packets, for 20 s, once in ten minutes. `off`
   * at either end prevents it. Not with `mux` or `lite`. Default: `auto`.
   */
  readonly hardNat?: 'auto' | 'off'
  /** Sockets shared with other transports, instead of own ones: many agents on one port. */
  readonly mux?: UdpMux
  /** `false` refuses a remote candidate, for instance one inside the own network. */
  readonly candidatePolicy?: (candidate: Candidate) => boolean
  readonly timing?: Partial<Timing>
  /** Aborting closes the transport. */
  readonly signal?: AbortSignal
}

/** The external address of a local one, if it has one. */
export type ExternalAddresses = (host: InterfaceAddress) => string | undefined

/** Throws ERR_ICE_ARGUMENT. */
export function externalAddresses(option: IceTransportOptions['externalAddresses']): ExternalAddresses {
  if (option === undefined) return () => undefined
  if (typeof option === 'string') {
    const external = ipOf(option)
    const family = addressFamily(external)
    return (host) =>
      host.family === family && host.kind !== 'loopback' && host.kind !== 'virtual' ? external : undefined
  }
  const byLocal = new Map(Object.entries(option).map(([local, external]) => [ipOf(local), ipOf(external)]))
  return ({ ip }) => byLocal.get(ip)
}

function ipOf(text: string): string {
  const ip = canonicalIp(text)
  if (ip !== undefined) return ip
  throw new IceError('ERR_ICE_ARGUMENT', `"${text}" in externalAddresses is no IP address`)
}
