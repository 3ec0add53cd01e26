import type { Address, Packet } from '@floe/stun'
import type { TurnServer } from './servers.ts'

/** What a relay tells its owner. `now` first, as everywhere. */
export interface RelayOwner<Relay> {
  /** The connection has another name from now on, or none. */
  onconnection(relay: Relay, before: Address | undefined, after: Address | undefined): void
  onallocated(now: number, relay: Relay): void
  /** Its relayed addresses are gone. */
  onlost(now: number, relay: Relay, relayed: readonly Address[]): void
  /** An attempt has come to an end, or the first one took too long to wait for. */
  onsettled(now: number): void
  /** The server refuses to relay to this IP address. */
  onrefused(now: number, relay: Relay, ip: string, reason: string): void
  ondata(now: number, packet: Packet): void
}

export interface RelayOptions {
  readonly server: TurnServer
  /** Local IP addresses to reach the server from, the best first; 0.0.0.0: the system's choice. */
  readonly from: readonly string[]
  readonly families: readonly (4 | 6)[]
  /** A second allocation for the other family, which many servers do not have: its failure is no news. */
  readonly tacit?: boolean
}

/**
 * `waiting` for its turn in the pace, `connecting` to the server, `allocating`, `allocated`, `moving` to another local
 * address (RFC 8016), `resting` before another attempt, `failed` for good, `closing` (the server is told), `closed`.
 */
export type RelayState =
  | 'waiting'
  | 'connecting'
  | 'allocating'
  | 'allocated'
  | 'moving'
  | 'resting'
  | 'failed'
  | 'closing'
  | 'closed'
