/**
 * Seeded randomness (sfc32): one number replays a whole run. Every link, box and agent draws from its own `fork`, so
 * that one more draw in one place does not change what happens everywhere else.
 */
export class Random {
  readonly seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.seed = seed
    this.#a = seed | 0
    this.#b = Math.imul(seed, 0x9e3779b1) | 0
    this.#c = (seed / 2 ** 32) | 0
    for (let i = 0; i < 12; i++) this.uint32()
  }

  /** A stream of its own, the same for the same seed and label. */
  fork(label: string): Random {
    let hash = 0x811c9dc5
    for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193)
    return new Random((hash ^ Math.imul(this.seed, 0x85ebca6b)) >>> 0)
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** In [0, 1). */
  fraction(): number {
    return this.uint32() / 2 ** 32
  }

  /** In [low, high], both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability
  }

  /** Waiting time of an event that has no memory. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.fraction())
  }

  pick<T>(from: readonly T[]): T {
    return from[this.integer(0, from.length - 1)]!
  }

  /** The shape of randomness that the core takes. */
  readonly bytes = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = this.uint32() >>> 24
    return bytes
  }
}
