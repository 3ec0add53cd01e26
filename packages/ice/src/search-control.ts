import type { Address, DecodedMessage, Packet } from '@floe/stun'
import { newTransactionId, Transaction } from '@floe/stun'
import { SEARCH } from './defaults.ts'
import type { Context } from './outputs.ts'

export interface SearchControlOptions {
  readonly local: Address
  /** A STUN server of ours. */
  readonly server: Address
  /** It is too much for the router: why, for the log. */
  readonly onfailed: (now: number, reason: string) => void
}

interface Question {
  readonly transaction: Transaction
  /** By how much a timer of this machine was late meanwhile, milliseconds. */
  ownDelay: number
}

/**
 * Whether the router copes with a search: our own server is asked four times a second, and has to answer, and soon. One
 * that does not is chance, four in a row are not. A machine that is busy itself takes answers late, which is no fault of
 * the router's and is taken off.
 */
export class SearchControl {
  readonly #context: Context
  readonly #options: SearchControlOptions
  #questions: Question[] = []
  #askAt: number
  #usualRoundTrip: number | undefined
  /** Questions in a row that were not answered in time. */
  #failures = 0

  constructor(now: number, context: Context, options: SearchControlOptions) {
    this.#context = context
    this.#options = options
    this.#askAt = now
  }

  /** A timer rings so many milliseconds late, or should have rung. */
  noteDelay(delay: number): void {
    for (const question of this.#questions) question.ownDelay = Math.max(question.ownDelay, delay)
  }

  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    const question = this.#questions.find(({ transaction }) => transaction.id === message.transactionId)
    if (!question?.transaction.handleResponse(now, message, packet)) return false
    this.#questions = this.#questions.filter((other) => other !== question)
    const output = question.transaction.poll()
    const measured = output?.type === 'response' ? output.roundTripTime : undefined
    if (measured === undefined) return true
    const roundTrip = Math.max(0, measured - question.ownDelay)
    this.#usualRoundTrip ??= roundTrip
    if (roundTrip <= 2 * this.#usualRoundTrip + SEARCH.controlNoise) this.#failures = 0
    else this.#fail(now, 'our server answers late')
    return true
  }

  handleTimeout(now: number): void {
    const missed = this.#questions.filter(({ transaction }) => now >= transaction.timeout())
    this.#questions = this.#questions.filter((question) => !missed.includes(question))
    for (const { ownDelay } of missed) {
      // Who stands still for so long may not have read the answer that is there.
      if (ownDelay < SEARCH.controlPatience / 2) this.#fail(now, 'our server does not answer')
    }
    if (now >= this.#askAt) this.#ask(now)
  }

  timeout(): number {
    return Math.min(this.#askAt, ...this.#questions.map(({ transaction }) => transaction.timeout()))
  }

  #ask(now: number): void {
    const { local, server: remote } = this.#options
    this.#askAt = now + SEARCH.controlEvery
    const { random } = this.#context
    // Sent once: of an answer to several nobody knows how long it took.
    const transaction = new Transaction(now, {
      message: { method: 'binding', class: 'request', transactionId: newTransactionId(random), attributes: {} },
      local,
      remote,
      rto: SEARCH.controlPatience,
      rc: 1,
      rm: 1,
    })
    this.#questions.push({ transaction, ownDelay: 0 })
    for (let output = transaction.poll(); output; output = transaction.poll()) {
      if (output.type === 'packet') this.#context.emit(output)
    }
  }

  #fail(now: number, reason: string): void {
    if (++this.#failures === SEARCH.controlFailures) this.#options.onfailed(now, `${reason}: too much for the router`)
  }
}
