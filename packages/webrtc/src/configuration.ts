import type { IceTransportOptions } from '@floe/ice/node'

/** W3C RTCConfiguration, the same in both worlds. */
export interface PeerConnectionConfiguration extends RTCConfiguration {
  /** Node only: interfaces, ports, mDNS, mux, timing … Browsers decide these themselves. */
  ice?: NodeIceOptions
}

/** What W3C leaves to the machine. `nat64` is @floe/nat's unless told. */
export interface NodeIceOptions extends IceTransportOptions {
  /**
   * Ask the router (PCP, NAT-PMP, UPnP) to let the peer in, for as long as the connection lives: makes direct what two
   * hard NATs would make relayed. Default: false, since the router's owner should know. `portMapper` does it by another.
   */
  readonly portMapping?: boolean
}
