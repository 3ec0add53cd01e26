import { MAPPING } from './defaults.ts'
import { fraction, type Random } from './random.ts'

/**
 * When to renew what was granted, RFC 6887 §11.2.1: at 1/2 to 5/8 of the lifetime, then at 3/4 and a bit, 7/8 and a bit,
 * at random within each so that a rebooted router's clients don't come all at once.
 */
export class Lease {
  /** When the grant ends. */
  readonly expires: number
  readonly #start: number
  readonly #lifetime: number
  readonly #random: Random
  #attempts = 0
  #renewAt = Number.NEGATIVE_INFINITY

  /** `lifetime` in milliseconds, as granted. */
  constructor(now: number, lifetime: number, random: Random) {
    this.#start = now
    this.#lifetime = Math.min(lifetime, MAPPING.maxLifetime)
    this.#random = random
    this.expires = now + this.#lifetime
    this.advance()
  }

  /** When to send the next renewal; `Infinity` when there is no time left for another. */
  get renewAt(): number {
    return this.#renewAt
  }

  /** A renewal has been sent. */
  advance(): void {
    this.#attempts++
    const half = 2 ** -this.#attempts
    const share = 1 - half + (half / 4) * fraction(this.#random)
    const next = Math.max(this.#start + this.#lifetime * share, this.#renewAt + MAPPING.minRenewal)
    this.#renewAt = next < this.expires ? next : Number.POSITIVE_INFINITY
  }
}
