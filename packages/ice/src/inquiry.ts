import type { Address, Transaction } from '@floe/stun'
import type { LocalBase } from './local-base.ts'
import type { StunServer } from './servers.ts'

/** A base with its place among the others. */
export interface GatheringBase {
  base: LocalBase
  readonly localPreference: number
}

/** What a STUN server is asked from a base: where it sees that. */
export interface Inquiry {
  readonly local: GatheringBase
  readonly server: StunServer
  transaction: Transaction | undefined
  deadline: number
  settled: boolean
  /** What the server has seen last. */
  mapped?: Address
  mappedAt?: number
  /** When the mapping is asked for again to keep it open. */
  refreshAt: number
}
