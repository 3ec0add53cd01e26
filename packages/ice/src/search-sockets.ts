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
  /** The peer's one address that all sockets send to; `undefined`: the peer will tell it. */
  readonly target: Address | undefined
  /** When they may do so. */
  readonly notBefore: number
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
  /** The ports at which the server sees the first of `#openers`, in their order. */
  readonly #samples: number[] = []
  /** How often each of these was asked. */
  readonly #asked: number[] = []
  /** What is to be sent, each in order of time; openers go first, as they make the mappings. */
  #openers: Address[] = []
  #checks: Errand[] = []
  #repetitions: Errand[] = []
  #nextAt: number
  #range: PortRange | undefined
  /** The NAT keeps ports: a socket that has asked nobody will be seen at its own. */
  #preserves = false
  #target: Address | undefined

  constructor(now: number, context: Context, options: SearchSocketsOptions) {
    this.#context = context
    this.#options = options
    this.#nextAt = now
    this.#target = options.target
    context.emit({ type: 'sockets', near: options.near, count: SEARCH.samples })
  }

  has(local: Address): boolean {
    return this.#sockets.has(local)
  }

  get size(): number {
    return this.#sockets.size
  }

  /** What the peer has told. */
  aim(target: Address): void {
    this.#target ??= target
  }

  get isAimed(): boolean {
    return this.#target !== undefined
  }

  /** Those that a `sockets` output has asked for; there may be fewer. */
  add(now: number, addresses: readonly Address[]): void {
    // Not before: the system might give one of their ports again.
    if (this.#preserves && !this.#range) this.close()
    for (const address of addresses) this.#sockets.add(address)
    this.#openers.push(...addresses)
    if (this.#range) return
    const [first] = addresses
    if (!first) return this.#options.onfailed(now, 'no sockets are to be had')
    if (this.#preserves) this.#foretell(now, { kind: 'preserving', low: first.port, high: first.port, aim: first.port })
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

  get #ports(): number[] {
    return this.#samples.filter((port) => port !== undefined)
  }

  /**
   * In the order in which the NAT has given them. Of a question that was repeated nobody knows which packet made the
   * mapping: it counts where its port comes after all others.
   */
  get #ordered(): number[] {
    const first = this.#samples.filter((_, index) => this.#asked[index] === 1)
    const [before = 0, last = 0] = first.slice(-2)
    const late = this.#samples.filter((port, index) => this.#asked[index] !== 1 && port > last === last > before)
    return first.length < SURE ? [] : [...first, ...late.toSorted((a, b) => (last > before ? a - b : b - a))]
  }

  get #isAsked(): boolean {
    return this.#inquiries.length === this.#openers.length
  }

  get #due(): number {
    if (!this.#range) return this.#isAsked ? Number.POSITIVE_INFINITY : this.#nextAt
    if (!this.#target) return Number.POSITIVE_INFINITY
    const { at = Number.POSITIVE_INFINITY } = this.#openers.length > 0 ? { at: 0 } : (this.#nextErrand() ?? {})
    return Math.max(this.#nextAt, at, this.#options.notBefore)
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
    const { check } = this.#options
    const target = this.#target!
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
    const index = this.#inquiries.indexOf(inquiry)
    for (let output = inquiry.poll(); output; output = inquiry.poll()) {
      if (output.type === 'packet') {
        this.#asked[index] = (this.#asked[index] ?? 0) + 1
        this.#context.emit(output)
      } else if (output.type === 'response') {
        const { xorMappedAddress, mappedAddress } = output.message.attributes
        const mapped = xorMappedAddress ?? mappedAddress
        if (mapped) this.#samples[index] = mapped.port
      }
    }
    if (!this.#range && this.#isAsked && this.#inquiries.every(({ done }) => done)) this.#conclude(now)
  }

  #conclude(now: number): void {
    this.#inquiries.length = 0
    const counted = predictPorts(this.#ordered, SEARCH.samples)
    const expected = counted?.kind === 'sequential' ? counted : predictPorts(this.#ports, SEARCH.samples)
    if (!expected) return this.#options.onfailed(now, 'the STUN server does not tell enough ports')
    // Some of the ports may be somebody else's already.
    const kept = this.#samples.filter((port, index) => port === this.#openers[index]?.port)
    this.#preserves = kept.length >= (this.#ports.length * 3) / 4
    if (!this.#preserves) return this.#foretell(now, expected)
    // Their ports are kept for the flows to the server: only another socket's is still free for the one to the peer.
    this.#openers = []
    this.#context.emit({ type: 'sockets', near: this.#options.near, count: 1 })
  }

  #foretell(now: number, range: PortRange): void {
    const { near, target, onrange, onfailed } = this.#options
    if (!target && range.aim === undefined) return onfailed(now, 'no port can be foretold')
    this.#range = range
    const wanted = socketsFor(range)
    const more = wanted - this.#sockets.size
    if (more > 0) this.#context.emit({ type: 'sockets', near, count: more })
    onrange(now, range, wanted)
  }
}

/** RFC 6888 REQ-4: subscribers behind a block have few ports, which are not to be used up. */
function socketsFor({ kind, low, high }: PortRange): number {
  if (kind === 'preserving') return 1
  if (kind === 'sequential') return SEARCH.samples
  return kind === 'block' && high - low < SEARCH.block ? SEARCH.blockSockets : SEARCH.sockets
}

/** Answers that do where others are lost. */
const ENOUGH = (SEARCH.samples * 3) / 4
/** So many that random ports do not ascend by chance. */
const SURE = SEARCH.samples / 2

/** Turns that a busy process may take at once: a kilobyte. */
const CATCH_UP = 10

/** The turn after the one that was due at `due`: on time on average, and without bursts after a pause. Milliseconds. */
export function nextTurn(due: number, now: number, every: number): number {
  return Math.max(due + every, now - CATCH_UP * every)
}
