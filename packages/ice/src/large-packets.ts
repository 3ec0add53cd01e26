import type { Pair } from './candidate-pair.ts'
import { Carriage } from './carriage.ts'
import type { Timing } from './defaults.ts'

/**
 * Whether the pair in use takes packets as large as those that are sent on it: where a path has become narrower, checks
 * pass and data does not. Asked by checks that are padded to that size, seldom as long as they are answered.
 */
export class LargePackets {
  readonly #timing: Timing
  /** Of the largest packet sent, and of padded checks: bytes. */
  #size = 0
  /** Padded checks since `#begunAt`. */
  #asked = 0
  #begunAt = 0
  #nextAt = Number.POSITIVE_INFINITY
  #restsUntil = Number.NEGATIVE_INFINITY

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** Bytes that do not pass, after 'narrow'. */
  get size(): number {
    return this.#size
  }

  /** Another pair is in use. */
  reset(): void {
    this.#nextAt = Number.POSITIVE_INFINITY
    this.#restsUntil = Number.NEGATIVE_INFINITY
  }

  /** One padded check at once, and more where that gets no answer. `size`: bytes of the largest packet sent. */
  ask(now: number, pair: Pair, size: number): void {
    const { largeFloor, largeCeiling } = this.#timing
    const isUnderWay = this.#nextAt < Number.POSITIVE_INFINITY
    if (isUnderWay || now < this.#restsUntil || size < largeFloor || pair.local.protocol === 'tcp') return
    this.#size = Math.min(size, largeCeiling)
    this.#asked = 0
    this.#begunAt = now
    this.#nextAt = now
  }

  /**
   * The pairs to probe now, or that large packets do not pass: only where they do over another pair, since else it may be
   * anything, and there is nothing to be done about it.
   */
  step(now: number, pair: Pair, backups: readonly Pair[]): readonly Pair[] | 'narrow' {
    if (now < this.#nextAt) return NONE
    const { largePatience, largeInterval, largeRest, deadlyLarge } = this.#timing
    this.#nextAt = Number.POSITIVE_INFINITY
    if (this.#hasPassed(pair)) return NONE
    if (this.#asked === deadlyLarge) {
      if (backups.some((backup) => this.#hasPassed(backup))) return 'narrow'
      this.#restsUntil = now + largeRest
      return NONE
    }
    const roundTrip = pair.smoothedRoundTripTime ?? 0
    const isFirst = this.#asked++ === 0
    this.#nextAt = now + (isFirst ? Math.max(largePatience, 3 * roundTrip) : Math.max(largeInterval, roundTrip))
    const asked = this.#asked <= ALONE ? [pair] : [pair, ...backups]
    for (const one of asked) (one.carriage ??= new Carriage()).pad(this.#size)
    return asked
  }

  timeout(): number {
    return this.#nextAt
  }

  #hasPassed({ carriage }: Pair): boolean {
    return this.#asked > 0 && carriage !== undefined && carriage.passedAt >= this.#begunAt
  }
}

/** Questions before the backups are asked too: a lost packet is no reason. */
const ALONE = 3
const NONE: readonly Pair[] = []
