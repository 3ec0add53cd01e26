import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import type { Random } from './parameters.ts'

/** RFC 7675: who may be sent to, for how long, and when to ask again. Only authenticated answers renew it. */
export class Consent {
  readonly #timing: Timing
  readonly #random: Random
  readonly #asks: boolean
  #pair: Pair | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #urgentAt = Number.NEGATIVE_INFINITY

  /** `asks`: a lite agent is asked, and never asks. */
  constructor(timing: Timing, random: Random, asks: boolean) {
    this.#timing = timing
    this.#random = random
    this.#asks = asks
  }

  /** Keeps asking on this pair from now on; `undefined` stops. A pair that was validated long ago is asked at once. */
  watch(now: number, pair: Pair | undefined): void {
    this.#pair = pair
    if (!pair || !this.#asks) this.#nextAt = Number.POSITIVE_INFINITY
    else this.#nextAt = now - pair.consentAt < this.#timing.consentInterval ? this.#after(now) : now
  }

  /** The pair to ask now, if one is due; the next time is drawn. */
  take(now: number): Pair | undefined {
    if (now < this.#nextAt) return undefined
    this.#nextAt = this.#after(now)
    return this.#pair
  }

  /** The pair whose consent gets old, to be probed beside the regular checks: those are not repeated when lost. */
  takeUrgent(now: number): Pair | undefined {
    if (!this.#pair || now < this.#urgency(this.#pair)) return undefined
    this.#urgentAt = now + this.#timing.consentUrgency
    return this.#pair
  }

  isFresh(pair: Pair, now: number): boolean {
    return now < pair.consentAt + this.#timing.consentTimeout
  }

  timeout(): number {
    const pair = this.#pair
    if (!pair) return this.#nextAt
    return Math.min(this.#nextAt, this.#urgency(pair), pair.consentAt + this.#timing.consentTimeout)
  }

  #urgency({ consentAt }: Pair): number {
    if (!this.#asks) return Number.POSITIVE_INFINITY
    return Math.max(consentAt + this.#timing.consentAge, this.#urgentAt)
  }

  /** Uniform in 0.8 to 1.2 intervals, RFC 7675 §5.1. */
  #after(now: number): number {
    const [high = 0, low = 0] = this.#random(2)
    return now + this.#timing.consentInterval * (0.8 + (0.4 * (high * 256 + low)) / 65535)
  }
}
