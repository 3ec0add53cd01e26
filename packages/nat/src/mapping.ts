import type { Address, Machine, Packet } from '@floe/stun'
import type { HttpRequest } from './http.ts'
import type { Random } from './random.ts'

export type MappingProtocol = 'pcp' | 'nat-pmp' | 'upnp'

/** What every client of a mapping protocol is made with. */
export interface MappingClientOptions {
  /** What to map: a UDP socket of this host. */
  readonly internal: Address
  /** The socket that requests leave from: another port on the same IP address, which routers check. */
  readonly control: Address
  /** IP address of the router, canonical, with a scope id when it is link-local. */
  readonly gateway: string
  readonly random: Random
  /** Lifetime to ask for, in milliseconds. */
  readonly lifetime: number
  /** An external address that it had before, or should get. */
  readonly suggested?: Address | undefined
}

export type MappingClientOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  /** UPnP only: to be answered with `handleResponse`. */
  | { readonly type: 'request'; readonly request: HttpRequest }
  /** There is a mapping, or it has another external address now. `lifetime` in milliseconds. */
  | { readonly type: 'mapped'; readonly external: Address; readonly lifetime: number }
  /** The router prolonged it, or made it anew, with the same external address. */
  | { readonly type: 'renewed'; readonly external: Address; readonly lifetime: number }
  /** There is no mapping any more; the client goes on asking. */
  | { readonly type: 'lost'; readonly reason: string }
  /** The client has ended without a mapping. Another one may try after `retryAfter` milliseconds. */
  | { readonly type: 'failed'; readonly code: FailureCode; readonly reason: string; readonly retryAfter: number }
  /** The client has ended, and the mapping with it as far as the router listens. */
  | { readonly type: 'released' }

export type FailureCode =
  /** The router speaks NAT-PMP only (RFC 6887 §9). */
  | 'nat-pmp-only'
  /** The router does not offer this at all. */
  | 'unsupported'
  /** The router said no. */
  | 'refused'

/** One mapping of one protocol: asks until it is answered, renews at half life, and ends with `failed` or `released`. */
export interface MappingClient extends Machine<MappingClientOutput> {
  /** The router may have forgotten: ask anew, now. */
  remap(now: number): void
  /** Gives the mapping back; `released` follows. */
  release(now: number): void
}
