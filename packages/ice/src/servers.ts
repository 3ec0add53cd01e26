import type { Address } from '@floe/stun'

/** A STUN server by address, RFC 8489. */
export interface StunServer {
  readonly scheme: 'stun'
  readonly address: Address
  /** As configured, for events and statistics. */
  readonly url: string
  /** A TURN server that is asked for our reflexive address as well: its silence is no news. */
  readonly tacit?: boolean
}

/** How we talk to a TURN server; DTLS is not offered. */
export type RelayProtocol = 'udp' | 'tcp' | 'tls'

/** A TURN server by address, RFC 8656. */
export interface TurnServer {
  readonly scheme: 'turn'
  readonly protocol: RelayProtocol
  /** `ip` may be a name with `viaProxy`. */
  readonly address: Address
  readonly url: string
  readonly username: string
  readonly credential: string
  /** The name in the URL, which its TLS certificate must bear. */
  readonly hostname?: string
  /** Connections lead to a proxy, which reaches the server: no local address has to. */
  readonly viaProxy?: boolean
  /** RFC 8016: the allocation is to move along when our address changes. */
  readonly mobility?: boolean
}

export type ServerAddress = StunServer | TurnServer

/** Other servers from an ICE restart on. */
export interface ServerChange {
  /** Those that are to be asked still. The relays on others serve the pairs that they have until there is a new path. */
  readonly keeps: (server: ServerAddress) => boolean
  readonly adds: readonly ServerAddress[]
  /** `false`: more will follow. */
  readonly complete: boolean
}
