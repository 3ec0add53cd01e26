import { sameAddress } from './address.ts'
import { decode } from './decode.ts'
import { encode } from './encode.ts'
import type { IntegrityKey } from './integrity.ts'
import { verifyIntegrity } from './integrity.ts'
import type { Address, Machine, Packet } from './machine.ts'
import { type DecodedMessage, isStun, type Message, type TransactionId } from './message.ts'
import { INITIAL_RTO } from './rtt.ts'

/** RFC 8489 §6.2.1: how many times a request is sent. */
export const RC = 7
/** RFC 8489 §6.2.1: how many RTOs to wait for a response to the last one. */
export const RM = 16
/** RFC 8489 §6.2.2: how long to wait over a reliable transport, in ms. */
export const TI = 39_500

export interface TransactionOptions {
  /** A request; encoded once, so that every retransmission is the same to the byte (RFC 8489 §6.2.1). */
  readonly message: Message
  /** Signs the request, and must verify the response. */
  readonly key?: IntegrityKey | undefined
  /** Verifies the response in place of `key`. */
  readonly responseKey?: IntegrityKey | undefined
  /** As in `encode`. A request signed with `sha256` alone accepts no weaker response (RFC 8489 §9.2.5). */
  readonly integrity?: 'sha1' | 'sha256' | 'both' | undefined
  /** As in `encode`. */
  readonly fingerprint?: boolean | undefined
  readonly local: Address
  readonly remote: Address
  /** `udp` unless told. Over `tcp` the request is sent once. */
  readonly protocol?: 'udp' | 'tcp' | undefined
  /** First retransmission timeout in ms, for example from an `RttEstimator`; 500 unless told. */
  readonly rto?: number | undefined
  readonly rc?: number | undefined
  readonly rm?: number | undefined
}

export type TransactionOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  /** `roundTripTime` in ms; `undefined` when the request was sent more than once (Karn's rule). */
  | { readonly type: 'response'; readonly message: DecodedMessage; readonly roundTripTime: number | undefined }
  /**
   * There will be no usable response. With `unusable`: it came, and has comprehension-required attributes that
   * nobody knows, which fails the transaction at once (RFC 8489 §6.3.3).
   */
  | { readonly type: 'timeout'; readonly unusable?: DecodedMessage }

/** One request and its response (RFC 8489 §6.2): sends, retransmits, and takes only the response that is really its own. */
export class Transaction implements Machine<TransactionOutput> {
  readonly id: TransactionId
  readonly #options: TransactionOptions
  readonly #bytes: Uint8Array
  readonly #outputs: TransactionOutput[] = []
  readonly #rto: number
  readonly #rc: number
  readonly #startedAt: number
  #sends = 0
  #deadline = Number.POSITIVE_INFINITY

  /** Sends at once: `poll()` has the packet. Throws `StunError` where `encode` does. */
  constructor(now: number, options: TransactionOptions) {
    const { message, key, integrity, fingerprint } = options
    this.id = message.transactionId
    this.#options = options
    this.#bytes = encode(message, { key, integrity, fingerprint })
    this.#rto = options.rto ?? INITIAL_RTO
    this.#rc = options.protocol === 'tcp' ? 1 : (options.rc ?? RC)
    this.#startedAt = now
    this.#send(now)
  }

  /** How often the request has been sent. */
  get sends(): number {
    return this.#sends
  }

  /** There was a response, a failure or a timeout; its output may still wait for `poll()`. */
  get done(): boolean {
    return this.#deadline === Number.POSITIVE_INFINITY
  }

  handlePacket(now: number, packet: Packet): boolean {
    if (this.done || !isStun(packet.bytes)) return false
    // The packet is borrowed and the output outlives it. Not `slice()`: that of a Node Buffer doesn't copy.
    const message = decode(new Uint8Array(packet.bytes))
    return message !== undefined && this.handleResponse(now, message, packet)
  }

  /**
   * The same for owners that have decoded already. `false`, and the transaction stays open, unless the id is ours,
   * the packet came back on the very path the request took, and the integrity holds: an attacker who can
   * only guess must not be able to end a transaction. The output holds `message`: poll it while its bytes live.
   */
  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    if (this.done || message.transactionId !== this.id || !this.#answers(message, packet)) return false
    this.#deadline = Number.POSITIVE_INFINITY
    if (message.unknownRequired.length > 0) {
      this.#outputs.push({ type: 'timeout', unusable: message })
      return true
    }
    const roundTripTime = this.#sends === 1 ? now - this.#startedAt : undefined
    this.#outputs.push({ type: 'response', message, roundTripTime })
    return true
  }

  handleTimeout(now: number): void {
    if (now < this.#deadline) return
    if (this.#sends < this.#rc) {
      this.#send(now)
    } else {
      this.#deadline = Number.POSITIVE_INFINITY
      this.#outputs.push({ type: 'timeout' })
    }
  }

  timeout(): number {
    return this.#deadline
  }

  poll(): TransactionOutput | undefined {
    return this.#outputs.shift()
  }

  #send(now: number): void {
    const { protocol = 'udp', local, remote } = this.#options
    // The receiver keeps what it gets, so each retransmission is a copy.
    const bytes = this.#sends === 0 ? this.#bytes : this.#bytes.slice()
    this.#outputs.push({ type: 'packet', packet: { protocol, local, remote, bytes } })
    this.#deadline = now + this.#patience()
    this.#sends++
  }

  /** How long to wait after the next send. */
  #patience(): number {
    if (this.#options.protocol === 'tcp') return TI
    const last = this.#sends + 1 === this.#rc
    return last ? this.#rto * (this.#options.rm ?? RM) : this.#rto * 2 ** this.#sends
  }

  #answers(message: DecodedMessage, packet: Packet): boolean {
    const { message: request, local, remote, integrity } = this.#options
    if (message.class !== 'success' && message.class !== 'error') return false
    if (message.method !== request.method) return false
    if (!sameAddress(packet.remote, remote) || !sameAddress(packet.local, local)) return false
    const key = this.#options.responseKey ?? this.#options.key
    if (key === undefined || isChallenge(message, key)) return true
    if (integrity === 'sha256' && message.sha256Offset === 0) return false
    return verifyIntegrity(message, key)
  }
}

/** RFC 8489 §9.2.4: a server that doesn't (yet, or any more) share a nonce with us can't sign 401 and 438. */
function isChallenge(message: DecodedMessage, key: IntegrityKey): boolean {
  const code = message.attributes.errorCode?.code
  return key.mechanism === 'long-term' && message.class === 'error' && (code === 401 || code === 438)
}
