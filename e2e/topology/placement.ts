import type { FirewallPolicy, LinkQuality, NatBehavior } from './behavior.ts'

/** Where one address of a host stands. Left out: on the open internet, over a perfect wire. */
export interface Placement {
  /** The home router's NAT. */
  readonly nat?: NatBehavior
  /** The home router maps the host's port statically, and the host knows it: as after UPnP, PCP or by hand. */
  readonly portMapping?: boolean
  /** The home router maps ports for who asks by one of these. In the kernel lab; nobody asks in the simulator. */
  readonly mappingProtocols?: readonly ('pcp' | 'nat-pmp' | 'upnp')[]
  /** A second NAT between home and internet. Homes that name the same carrier stand behind the same one. */
  readonly carrier?: { readonly name: string; readonly nat: NatBehavior }
  /** An IPv6-only network that reaches IPv4 through the well-known prefix 64:ff9b::/96 (RFC 6146, RFC 6052). */
  readonly nat64?: NatBehavior
  readonly firewall?: FirewallPolicy
  /** Hosts with the same name share one LAN and its router, which the first of them describes. */
  readonly lan?: string
  /** Addresses of one host with the same name here stand behind the same router: dual stack. */
  readonly router?: string
  readonly link?: LinkQuality
  /** The host's own address, when it matters. */
  readonly ip?: string
  /** Default: 6 with `nat64`, else 4. */
  readonly family?: 4 | 6
}
