import type { Address, DecodedMessage, Packet } from '@floe/stun'
import { newTransactionId, Transaction } from '@floe/stun'
import { SEARCH } from './defaults.ts'
import type { Context } from './outputs.ts'
import type { PortRange } from './port-range.ts'
import { predictPorts } from './port-range.ts'

export interface SearchSocketsOptions {
  /** The base whose interface the sockets are to be on. */
  readonly near: Address
  /** Tells the sockets' external ports. */
  readonly server: Address
  /** The peer's one address that all sockets send to. */
  readonly target: Address
  /** Sends a check. `ttl`: in hops, 64 when left out. */
  readonly check: (local: Address, remote: Address, ttl?: number) => void
  /** The mappings are being made: where they will be, and how many. */
  readonly onrange: (now: number, range: PortRange, sockets: number) => void
  /** It is no use: for the log. */
  readonly onfailed: (now: number, reason: string) => void
}

interface Errand {
  readonly local: Address
  readonly at: number
}

/**
 * The side whose NAT gives every flow another port: many sockets send to the peer's one address, so that each has a port
 * that lets the peer in, and the peer has to find one of them. The first few ask a STUN server, which shows the range.
 */
export class SearchSockets {
  readonly #context: Context
  readonly #options: SearchSocketsOptions
  readonly #sockets = new Set<Address>()
  readonly #inquiries: Transaction[] = []
  readonly #ports: number[] = []
  /** What is to be sent, each in order of time; openers go first, as they make the mappings. */
  #openers: Address[] = []
  #checks: Errand[] = []
  #repetitions: Errand[] = []
  #nextAt: number
  #range: PortRange | undefined

  constructor(now: number, context: Context, options: SearchSocketsOptions) {
    this.#context = context
    this.#options = options
    this.#nextAt = now
    context.emit({ type: 'sockets', near: options.near, count: SEARCH.samples })
  }

  has(local: Address): boolean {
    return this.#sockets.has(local)
  }

  get size(): number {
    return this.#sockets.size
  }

  /** Those that a `sockets` output has asked for; there may be fewer. */
  add(now: number, addresses: readonly Address[]): void {
    for (const address of addresses) this.#sockets.add(address)
    this.#openers.push(...addresses)
    if (!this.#range && addresses.length === 0) this.#options.onfailed(now, 'no sockets are to be had')
  }

  /** This one has met the peer, and is no longer one of many. */
  take(local: Address): void {
    this.#sockets.delete(local)
  }

  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    const inquiry = this.#inquiries.find(({ id }) => id === message.transactionId)
    if (!inquiry?.handleResponse(now, message, packet)) return false
    this.#drain(now, inquiry)
    return true
  }

  handleTimeout(now: number): void {
    for (const inquiry of this.#inquiries) {
      if (now < inquiry.timeout()) continue
      // Few are missing: the range is known well enough, and the peer waits for it.
      if (this.#isAsked && this.#ports.length >= ENOUGH) return this.#conclude(now)
      inquiry.handleTimeout(now)
      this.#drain(now, inquiry)
    }
    for (let due = this.#due; now >= due; due = this.#due) {
      this.#nextAt = nextTurn(due, now, SEARCH.openEvery)
      if (this.#range) this.#sendNext(now)
      else this.#inquireNext(now)
    }
  }

  timeout(): number {
    return Math.min(this.#due, ...this.#inquiries.map((inquiry) => inquiry.timeout()))
  }

  close(): void {
    for (const local of this.#sockets) this.#context.emit({ type: 'release', local })
    this.#sockets.clear()
    this.#openers = []
    this.#checks = []
    this.#repetitions = []
    this.#inquiries.length = 0
  }

  get #isAsked(): boolean {
    return this.#inquiries.length === this.#openers.length
  }

  get #due(): number {
    const hasMore = this.#range ? this.#openers.length > 0 : this.#inquiries.length < this.#openers.length
    if (hasMore) return this.#nextAt
    const { at = Number.POSITIVE_INFINITY } = (this.#range && this.#nextErrand()) ?? {}
    return Math.max(this.#nextAt, at)
  }

  #nextErrand(): Errand | undefined {
    const [[check], [repetition]] = [this.#checks, this.#repetitions]
    return check && repetition ? (check.at <= repetition.at ? check : repetition) : (check ?? repetition)
  }

  #inquireNext(now: number): void {
    const local = this.#openers[this.#inquiries.length]
    if (!local) return
    const { timing, random } = this.#context
    const inquiry = new Transaction(now, {
      message: { method: 'binding', class: 'request', transactionId: newTransactionId(random), attributes: {} },
      local,
      remote: this.#options.server,
      rto: timing.serverRto,
      rc: 2,
      rm: 2,
    })
    this.#inquiries.push(inquiry)
    this.#drain(now, inquiry)
  }

  #sendNext(now: number): void {
    const { target, check } = this.#options
    const opener = this.#openers.shift()
    if (opener) {
      if (this.#sockets.has(opener)) check(opener, target, this.#context.timing.openerTtl)
      this.#checks.push({ local: opener, at: now + SEARCH.checkAfter })
      return
    }
    const errand = this.#nextErrand()
    if (!errand) return
    if (errand === this.#checks[0]) {
      this.#checks.shift()
      this.#repetitions.push({ local: errand.local, at: now + SEARCH.repeatAfter })
    } else this.#repetitions.shift()
    if (this.#sockets.has(errand.local)) check(errand.local, target)
  }

  #drain(now: number, inquiry: Transaction): void {
    for (let output = inquiry.poll(); output; output = inquiry.poll()) {
      if (output.type === 'packet') this.#context.emit(output)
      else if (output.type === 'response') {
        const { xorMappedAddress, mappedAddress } = output.message.attributes
        const mapped = xorMappedAddress ?? mappedAddress
        if (mapped) this.#ports.push(mapped.port)
      }
    }
    if (!this.#range && this.#isAsked && this.#inquiries.every(({ done }) => done)) this.#conclude(now)
  }

  #conclude(now: number): void {
    this.#inquiries.length = 0
    const expected = predictPorts(this.#ports, SEARCH.samples)
    if (!expected) return this.#options.onfailed(now, 'the STUN server does not tell enough ports')
    this.#range = expected
    const wanted = socketsFor(expected)
    const more = wanted - this.#sockets.size
    if (more > 0) this.#context.emit({ type: 'sockets', near: this.#options.near, count: more })
    this.#options.onrange(now, expected, wanted)
  }
}

/** RFC 6888 REQ-4: subscribers behind a block have few ports, which are not to be used up. */
function socketsFor({ kind, low, high }: PortRange): number {
  if (kind === 'sequential') return SEARCH.samples
  return kind === 'block' && high - low < SEARCH.block ? SEARCH.blockSockets : SEARCH.sockets
}

/** Answers that do where others are lost. */
const ENOUGH = (SEARCH.samples * 3) / 4

/** Turns that a busy process may take at once: a kilobyte. */
const CATCH_UP = 10

/** The turn after the one that was due at `due`: on time on average, and without bursts after a pause. Milliseconds. */
export function nextTurn(due: number, now: number, every: number): number {
  return Math.max(due + every, now - CATCH_UP * every)
}
