import type { Address } from '@floe/stun'

/** RFC 8656 §9, and what we know of the peers behind its IP. */
export interface Permission {
  readonly ip: string
  readonly family: 4 | 6
  state: 'pending' | 'installed' | 'refused' | 'removed'
  /** A request that names it is under way. */
  asking: boolean
  /** It was refused together with others, so it must be asked for alone to know whose fault that was. */
  alone: boolean
  /** It was refused for a reason that time may mend: who wants it again gets it asked for again. */
  transient: boolean
  refreshAt: number
  expiresAt: number
  /** By port. */
  readonly peers: Map<number, Peer>
}

export interface Peer {
  /** The first object that named it; the one that outputs name. */
  readonly address: Address
  readonly permission: Permission
  channel: Channel | undefined
}

/** RFC 8656 §12. */
export interface Channel {
  /** 0x4000 to 0x4FFF. */
  readonly number: number
  readonly peer: Peer
  /** `idle`: no longer wanted, but the server may remember it, and so must we. */
  state: 'pending' | 'bound' | 'refused' | 'idle'
  asking: boolean
  refreshAt: number
  expiresAt: number
}
