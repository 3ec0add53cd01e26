import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

/** What one direction of a wire does to packets. Everything left out is perfect. */
export interface LinkQuality {
  /** Milliseconds one way. */
  readonly latency?: number
  /** At most this many milliseconds more, evenly spread. Order is kept: a queue, not a lottery. */
  readonly jitter?: number
  /** Probability 0…1 that a packet vanishes. */
  readonly loss?: number
  /** Probability 0…1 that a packet arrives twice. */
  readonly duplicate?: number
  /** Probability 0…1 that a packet is held back for `REORDER_DELAY`, so that later ones overtake it. */
  readonly reorder?: number
  /** Nothing passes. */
  readonly down?: boolean
}

/** Milliseconds: longer than Ta, so that a held-back check is overtaken by the ones paced after it. */
export const REORDER_DELAY = 60

/** Milliseconds by which the copy of a duplicated packet comes later. */
const DUPLICATE_DELAY = 1

/** One direction of a wire. `quality` may change while packets fly: it applies to those that enter afterwards. */
export class Link {
  quality: LinkQuality
  readonly #clock: Clock
  readonly #random: Random
  #lastArrival = 0

  constructor(clock: Clock, random: Random, quality: LinkQuality) {
    this.#clock = clock
    this.#random = random
    this.quality = quality
  }

  /** Carries one packet: calls `arrive` never, once or twice. Returns why it was lost. */
  carry(arrive: () => void): string | undefined {
    const { loss = 0, down = false, duplicate = 0 } = this.quality
    if (down) return 'link down'
    if (this.#random.chance(loss)) return 'random loss'
    const time = this.#arrival()
    // Always as an event of its own, also without latency: a socket never calls its owner from within send().
    this.#clock.at(time, arrive)
    if (this.#random.chance(duplicate)) this.#clock.at(time + DUPLICATE_DELAY, arrive)
    return undefined
  }

  #arrival(): number {
    const { latency = 0, jitter = 0, reorder = 0 } = this.quality
    const soonest = this.#clock.now + latency + (jitter > 0 ? jitter * this.#random.fraction() : 0)
    if (this.#random.chance(reorder)) return soonest + REORDER_DELAY
    this.#lastArrival = Math.max(this.#lastArrival, soonest)
    return this.#lastArrival
  }
}
