import type { Address } from '@floe/stun'
import type { Pair } from './candidate-pair.ts'
import { Lifetimes } from './lifetimes.ts'
import { tierOf } from './preference.ts'

/** What is done about the pair in use as it comes to the age at which those before it have died. */
export class Aging {
  readonly #lifetimes = new Lifetimes()
  #selected: Pair | undefined
  /** How far it has come since this birth of its mapping. */
  #bornAt = Number.NaN
  #stage: 'young' | 'preparing' | 'old' = 'young'
  #needsAnother = false

  /** The pair in use. */
  watch(pair: Pair | undefined): void {
    this.#selected = pair
  }

  /** The pair in use, or the mapping behind it, has died at this age (ms). */
  died(pair: Pair, age: number): void {
    this.#lifetimes.died(pair, age)
  }

  /** Time passes. */
  step(now: number): void {
    if (now < this.timeout()) return
    this.#bornAt = this.#selected!.bornAt
    this.#needsAnother = this.#stage === 'young'
    this.#stage = this.#needsAnother ? 'preparing' : 'old'
  }

  isOld(now: number, pair: Pair): boolean {
    return now >= this.#lifetimes.leaveAt(pair)
  }

  /** Those that will live on, where data loses nothing by moving to one of them; else all. */
  lasting(now: number, pairs: readonly Pair[]): readonly Pair[] {
    const old = pairs.filter((pair) => !this.#lifetimes.outlived(now, pair) && this.isOld(now, pair))
    if (old.length === 0) return pairs
    const tier = Math.max(...old.map(tierOf))
    const others = pairs.filter((pair) => !old.includes(pair))
    return others.some((pair) => tierOf(pair) >= tier) ? others : pairs
  }

  /** The base beside which another one should be opened: once for each birth, and if none of the pairs in use will do. */
  takeNeed(now: number, pairs: readonly Pair[], isUsable: (pair: Pair) => boolean): Address | undefined {
    const pair = this.#selected
    if (!pair || !this.#needsAnother) return undefined
    this.#needsAnother = false
    const isYoung = (other: Pair) => now < this.#lifetimes.prepareAt(other) && tierOf(other) >= tierOf(pair)
    const isReserve = (other: Pair) =>
      other !== pair && other.state === 'succeeded' && isUsable(other) && isYoung(other)
    return pairs.some(isReserve) ? undefined : pair.base
  }

  timeout(): number {
    const pair = this.#selected
    if (!pair) return Number.POSITIVE_INFINITY
    if (pair.bornAt !== this.#bornAt) this.#stage = 'young'
    if (this.#stage === 'young') return this.#lifetimes.prepareAt(pair)
    return this.#stage === 'preparing' ? this.#lifetimes.leaveAt(pair) : Number.POSITIVE_INFINITY
  }
}
