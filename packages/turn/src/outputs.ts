import type { Address, Packet } from '@floe/stun'
import type { AllocationTiming } from './defaults.ts'

export interface AllocationOptions {
  readonly server: Address
  /** Kept by identity: outgoing packets name this very object. */
  readonly local: Address
  /** Between us and the server. TLS and DTLS are the driver's business: `tcp` and `udp` here. */
  readonly protocol: 'udp' | 'tcp'
  /** At most 508 bytes of UTF-8 (RFC 8489 §14.3). */
  readonly username: string
  readonly credential: string
  /** Must be unpredictable: transaction ids come from it. */
  readonly random: (length: number) => Uint8Array
  /** Relayed addresses wanted; `[4]` unless told. Both: ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §7.1). */
  readonly families?: readonly (4 | 6)[] | undefined
  /** To ask for, in ms; 600 000 unless told. */
  readonly lifetime?: number | undefined
  /** Ask the server to set DF towards peers (RFC 8656 §18.9); goes on without when the server can't. */
  readonly dontFragment?: boolean | undefined
  /** Ask for a ticket to `move` with (RFC 8016); goes on without when the server has none. */
  readonly mobility?: boolean | undefined
  readonly timing?: Partial<AllocationTiming> | undefined
}

/** A relayed family that was asked for and not given. */
export interface RefusedFamily {
  readonly family: 4 | 6
  /** Of ADDRESS-ERROR-CODE (RFC 8656 §18.12); `undefined` when the server did not know the question: ask in a second allocation. */
  readonly code: number | undefined
  readonly reason: string
}

/** What an allocation asks of its owner. A tagged union: switch over `type`. */
export type AllocationOutput =
  /** Put on the wire: a datagram, or the next bytes of the stream. */
  | { readonly type: 'packet'; readonly packet: Packet }
  /** Once. `lifetime` in ms. */
  | {
      readonly type: 'allocated'
      /** One per family that was given. */
      readonly relayed: readonly Address[]
      /** Our address as the server sees it. */
      readonly mapped: Address
      readonly lifetime: number
      readonly refusedFamilies: readonly RefusedFamily[]
    }
  /** 300 (RFC 8489 §10). The end of this allocation: ask a `RedirectGuard`, then make another one to `server`. */
  | { readonly type: 'redirect'; readonly server: Address; readonly domain?: string }
  /** 437: the server remembers another allocation from our port. The end: try again from a fresh one, `LIMITS.mismatches` times. */
  | { readonly type: 'mismatch' }
  /**
   * Refused, or lost later. The end. `code` is the server's, or 701 when it gave no answer that could be used;
   * `reason` says what to do.
   */
  | { readonly type: 'failed'; readonly code: number; readonly reason: string }
  /** What became of `createPermission`. A permission that can't be renewed is `refused` later. `code` as in `failed`. */
  | { readonly type: 'permission'; readonly ip: string; readonly state: 'installed' }
  | {
      readonly type: 'permission'
      readonly ip: string
      readonly state: 'refused'
      readonly code: number
      readonly reason: string
    }
  /** From a peer. `bytes` is a view into the packet; `relayed` and `peer` are the same objects each time. */
  | { readonly type: 'data'; readonly relayed: Address; readonly peer: Address; readonly bytes: Uint8Array }
  /** After `move`: packets go over the new local address now. */
  | { readonly type: 'moved'; readonly local: Address }
  /** Once after `close()`, whether the server confirmed it or we gave up. */
  | { readonly type: 'released' }

export type AllocationState =
  | 'new'
  | 'allocating'
  | 'allocated'
  /** Waits for the server's word on the release. */
  | 'closing'
  /** Redirected, mismatched, failed or released. */
  | 'ended'
