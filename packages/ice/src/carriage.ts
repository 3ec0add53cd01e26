import type { Timing } from './defaults.ts'

/** How a pair fares with data where that is not the same as how it fares with checks. Made when there is reason to ask. */
export class Carriage {
  /** When a padded probe was last answered. */
  passedAt = Number.NEGATIVE_INFINITY
  #padding = 0
  #barred = 0
  #barredUntil = Number.NEGATIVE_INFINITY
  /** Packets of so many bytes did not pass; 0 when all did. */
  #tooLarge = 0

  /** Data does not get through, whatever checks say. */
  isBarred(now: number): boolean {
    return now < this.#barredUntil || this.#tooLarge > 0
  }

  /** For a while, and twice as long each time; where packets of some size do not pass, until they do. */
  bar(now: number, { holeProbation, maxHoleProbation }: Timing, tooLarge = 0): void {
    this.#barredUntil = now + Math.min(maxHoleProbation, holeProbation * 2 ** this.#barred++)
    this.#tooLarge = tooLarge
  }

  /** The next probe is to be as large as a packet of so many bytes. */
  pad(size: number): void {
    this.#padding = size
  }

  /** What the next probe is to be padded to, bytes; 0: not at all. */
  takePadding(): number {
    const size = this.#tooLarge || this.#padding
    this.#padding = 0
    return size
  }

  /** A probe of that size was answered. */
  passed(now: number, size: number): void {
    this.passedAt = now
    if (size >= this.#tooLarge) this.#tooLarge = 0
  }
}
