import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import type { Random } from './parameters.ts'

/** RFC 7675: who may be sent to, for how long, and when to ask again. Only authenticated answers renew it. */
export class Consent {
  readonly #timing: Timing
  readonly #random: Random
  #pair: Pair | undefined
  #nextAt = Number.POSITIVE_INFINITY

  constructor(timing: Timing, random: Random) {
    this.#timing = timing
    this.#random = random
  }

  /** Keeps asking on this pair from now on; `undefined` stops. A pair that was validated long ago is asked at once. */
  watch(now: number, pair: Pair | undefined): void {
    this.#pair = pair
    if (!pair) this.#nextAt = Number.POSITIVE_INFINITY
    else this.#nextAt = now - pair.consentAt < this.#timing.consentInterval ? this.#after(now) : now
  }

  /** The pair to ask now, if one is due; the next time is drawn. */
  take(now: number): Pair | undefined {
    if (now < this.#nextAt) return undefined
    this.#nextAt = this.#after(now)
    return this.#pair
  }

  isFresh(pair: Pair, now: number): boolean {
    return now < pair.consentAt + this.#timing.consentTimeout
  }

  timeout(): number {
    return this.#pair ? Math.min(this.#nextAt, this.#pair.consentAt + this.#timing.consentTimeout) : this.#nextAt
  }

  /** Uniform in 0.8 to 1.2 intervals, RFC 7675 §5.1. */
  #after(now: number): number {
    const [high = 0, low = 0] = this.#random(2)
    return now + this.#timing.consentInterval * (0.8 + (0.4 * (high * 256 + low)) / 65535)
  }
}
