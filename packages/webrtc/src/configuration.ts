import type { IceTransportOptions } from '@floe/ice/node'

/** W3C RTCConfiguration, the same in both worlds. */
export interface PeerConnectionConfiguration extends RTCConfiguration {
  /** Node only: interfaces, ports, mDNS, mux, timing … Browsers decide these themselves. */
  ice?: IceTransportOptions
}
