/** Refused attempts, in multiples of the burst, after which who makes them is shown the door. */
export const PATIENCE = 4

/** Refused attempts that are held against somebody at most, in multiples of the burst: a flood has to end some time. */
const WORST = 2 * PATIENCE

/** Lets `burst` through at once and `perSecond` in the long run. Starts full. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filled: number

  /** `now` is in milliseconds on any clock that never runs backwards. */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#filled = now
  }

  /**
   * Takes one token, or `tokens`; `false` when there are not so many. A refused attempt costs as much, so that who keeps
   * hammering stays refused and shows as `debt`.
   */
  take(now: number, tokens = 1): boolean {
    this.#fill(now)
    this.#tokens = Math.max(this.#tokens - tokens, -WORST * this.#burst)
    return this.#tokens >= 0
  }

  /** Whether a token is there, without taking it. */
  has(now: number): boolean {
    this.#fill(now)
    return this.#tokens >= 1
  }

  /** How many refused attempts are not yet made up for by time. */
  get debt(): number {
    return Math.max(0, -this.#tokens)
  }

  #fill(now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filled) / 1000) * this.#perSecond)
    this.#filled = now
  }
}
