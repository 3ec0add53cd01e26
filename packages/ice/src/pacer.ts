import { PACER_FLOOR } from './defaults.ts'

/**
 * RFC 8445 §14.2: however many agents there are, new transactions leave at least a floor apart. An agent reserves a slot
 * when it has something to send, so that a thousand waiting agents do not wake for each slot.
 */
export class Pacer {
  readonly #floor: number
  #next = Number.NEGATIVE_INFINITY

  /** `floor` in milliseconds. */
  constructor(floor: number = PACER_FLOOR) {
    this.#floor = floor
  }

  /** The time of the caller's slot: `now` when nobody is before it. */
  reserve(now: number): number {
    const slot = Math.max(now, this.#next)
    this.#next = slot + this.#floor
    return slot
  }
}

/** One agent's pace: Ta between its own transactions, and its turn among all agents'. */
export class Pace {
  readonly #pacer: Pacer
  readonly #ta: number
  #earliest = Number.NEGATIVE_INFINITY
  #slot: number | undefined

  /** `ta` in milliseconds. */
  constructor(pacer: Pacer, ta: number) {
    this.#pacer = pacer
    this.#ta = ta
  }

  /** When the next transaction may start; past or present means at once. */
  get due(): number {
    return this.#slot ?? this.#earliest
  }

  /** Whether a transaction may start now; if so the turn is taken. Ask only when there is one to start. */
  take(now: number): boolean {
    if (this.#slot === undefined && now >= this.#earliest) this.#slot = this.#pacer.reserve(now)
    if (this.#slot === undefined || now < this.#slot) return false
    this.#slot = undefined
    this.#earliest = now + this.#ta
    return true
  }
}
