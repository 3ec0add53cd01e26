import type { Address } from '@floe/stun'

/** Where somebody has seen a socket: who, and what. */
export interface View {
  readonly observer: Address
  readonly mapped: Address
  /** When that became known. */
  readonly since: number
}
