import type { Address, Attributes, DecodedMessage, Method, Packet } from '@floe/stun'
import { newTransactionId, RttEstimator, Transaction } from '@floe/stun'
import type { Credentials, Signature } from './credentials.ts'
import type { AllocationTiming } from './defaults.ts'
import { LIMITS } from './defaults.ts'

/** How a request ended. Attributes are borrowed from the packet. `code` 701: no answer that could be used. */
export type Outcome =
  | { readonly type: 'success'; readonly attributes: Attributes }
  | { readonly type: 'error'; readonly code: number; readonly reason: string; readonly attributes: Attributes }

/** W3C's number for a server that could not be reached; outside the range of STUN's own. */
export const NO_ANSWER = 701

export interface ExchangesOptions {
  readonly server: Address
  readonly protocol: 'udp' | 'tcp'
  readonly credentials: Credentials
  readonly timing: AllocationTiming
  readonly random: (length: number) => Uint8Array
  emit(packet: Packet): void
}

interface Exchange {
  readonly method: Method
  readonly attributes: Attributes
  readonly done: (now: number, outcome: Outcome) => void
  /** `undefined`: waits for its turn. */
  transaction: Transaction | undefined
  signature: Signature | undefined
  staleNonces: number
  refusals: number
}

/** Requests to the server and how they end: transactions, repeated with new credentials as the server challenges them. */
export class Exchanges {
  local: Address
  readonly #options: ExchangesOptions
  readonly #rtt = new RttEstimator()
  /** Under way, and behind them waiting. */
  #exchanges: Exchange[] = []
  /** With one-time nonces two requests at once would forever spoil each other's. */
  #parallel: number = LIMITS.requests

  constructor(local: Address, options: ExchangesOptions) {
    this.local = local
    this.#options = options
  }

  request(now: number, method: Method, attributes: Attributes, done: Exchange['done']): void {
    const counts = { staleNonces: 0, refusals: 0 }
    const exchange = { method, attributes, done, transaction: undefined, signature: undefined, ...counts }
    // All that waits is in vain when the allocation ends meanwhile.
    if (method === 'refresh') this.#exchanges.unshift(exchange)
    else this.#exchanges.push(exchange)
    this.#startWaiting(now)
  }

  /** Forgets all, without a word to those who wait for an outcome. */
  clear(): void {
    this.#exchanges = []
  }

  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    const exchange = this.#exchanges.find(({ transaction }) => transaction?.id === message.transactionId)
    if (!exchange?.transaction?.handleResponse(now, message, packet)) return false
    this.#drain(now, exchange)
    return true
  }

  handleTimeout(now: number): void {
    for (const exchange of [...this.#exchanges]) {
      if (!exchange.transaction || now < exchange.transaction.timeout()) continue
      exchange.transaction.handleTimeout(now)
      this.#drain(now, exchange)
    }
  }

  timeout(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { transaction } of this.#exchanges) if (transaction) next = Math.min(next, transaction.timeout())
    return next
  }

  #startWaiting(now: number): void {
    for (const exchange of this.#exchanges.slice(0, this.#parallel))
      if (!exchange.transaction) this.#send(now, exchange)
  }

  #send(now: number, exchange: Exchange): void {
    const { server, protocol, credentials, timing, random } = this.#options
    const signature = credentials.sign()
    exchange.signature = signature
    exchange.transaction = new Transaction(now, {
      message: {
        method: exchange.method,
        class: 'request',
        transactionId: newTransactionId(random),
        attributes: { ...exchange.attributes, ...signature?.attributes },
      },
      key: signature?.key,
      integrity: signature?.integrity,
      local: this.local,
      remote: server,
      protocol,
      rto: this.#rtt.smoothed === undefined ? timing.rto : this.#rtt.rto(timing.rto),
      rc: timing.Rc,
      rm: timing.Rm,
    })
    this.#drain(now, exchange)
  }

  #drain(now: number, exchange: Exchange): void {
    for (let output = exchange.transaction?.poll(); output; output = exchange.transaction?.poll()) {
      if (output.type === 'packet') {
        this.#options.emit(output.packet)
      } else if (output.type === 'timeout') {
        const reason = output.unusable ? 'the answer needs an extension that we do not know' : 'no answer'
        this.#fail(now, exchange, NO_ANSWER, reason)
      } else {
        if (output.roundTripTime !== undefined) this.#rtt.sample(output.roundTripTime)
        this.#answered(now, exchange, output.message)
      }
    }
  }

  #answered(now: number, exchange: Exchange, { class: kind, attributes }: DecodedMessage): void {
    const { code, reason } = attributes.errorCode ?? { code: NO_ANSWER, reason: 'an error without ERROR-CODE' }
    if (kind === 'error') {
      if (code === 401 || code === 438) return this.#challenged(now, exchange, code, reason, attributes)
      return this.#fail(now, exchange, code, reason, attributes)
    }
    if (!exchange.signature) {
      // Whoever grants what nobody had to prove a right to is no server that we have a credential for.
      return this.#fail(now, exchange, NO_ANSWER, 'success without asking for credentials, so not from our server')
    }
    this.#options.credentials.renew(attributes.nonce)
    this.#settle(now, exchange, { type: 'success', attributes })
  }

  #challenged(now: number, exchange: Exchange, code: number, reason: string, attributes: Attributes): void {
    if (code === 438) exchange.staleNonces++
    else if (exchange.signature) exchange.refusals++
    if (exchange.staleNonces > LIMITS.staleNonces || exchange.refusals >= LIMITS.refusals) {
      return this.#fail(now, exchange, code, reason, attributes)
    }
    const refusal = this.#options.credentials.learn(attributes) ?? this.#nothingNew(exchange)
    if (refusal !== undefined) return this.#fail(now, exchange, code, `${reason}: ${refusal}`, attributes)
    if (exchange.staleNonces > 1) this.#parallel = 1
    if (this.#exchanges.indexOf(exchange) < this.#parallel) this.#send(now, exchange)
    else exchange.transaction = undefined
  }

  /** RFC 8489 §9.2.5: the same again would be refused again. */
  #nothingNew({ signature: before }: Exchange): string | undefined {
    const after = this.#options.credentials.sign()
    const same = before && after && before.key === after.key && before.attributes.nonce === after.attributes.nonce
    return same ? 'refused what it asked for' : undefined
  }

  #fail(now: number, exchange: Exchange, code: number, reason: string, attributes: Attributes = {}): void {
    this.#settle(now, exchange, { type: 'error', code, reason, attributes })
  }

  #settle(now: number, exchange: Exchange, outcome: Outcome): void {
    const index = this.#exchanges.indexOf(exchange)
    if (index < 0) return
    this.#exchanges.splice(index, 1)
    exchange.transaction = undefined
    exchange.done(now, outcome)
    this.#startWaiting(now)
  }
}
