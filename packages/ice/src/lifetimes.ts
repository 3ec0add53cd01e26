import type { Pair } from './candidate-pair.ts'
import { LIFETIME } from './defaults.ts'

/**
 * NATs that end mappings at some age, however busy they are. A path from one of our addresses that has died twice at about
 * the same age will do so again: there is time to be somewhere else by then.
 */
export class Lifetimes {
  /** By local IP address: the age of the last death and, once two were alike, what is expected of the next. */
  readonly #known = new Map<string, { readonly age: number; readonly expected: number | undefined }>()

  /** The pair in use has died, or its mapping has been replaced, at this age (ms). */
  died({ base: { ip } }: Pair, age: number): void {
    if (age < LIFETIME.least || age > LIFETIME.most) return
    const before = this.#known.get(ip)?.age
    const isAlike = before !== undefined && Math.abs(before - age) <= LIFETIME.likeness * Math.max(before, age)
    this.#known.set(ip, { age, expected: isAlike ? Math.min(before, age) : undefined })
  }

  /** When something else should be at hand; Infinity where no lifetime is known. */
  prepareAt(pair: Pair): number {
    return this.#at(pair, LIFETIME.prepare)
  }

  /** When data should have left it. */
  leaveAt(pair: Pair): number {
    return this.#at(pair, LIFETIME.leave)
  }

  /** A pair that works though it is far older than expected: there is no such lifetime any more. */
  outlived(now: number, pair: Pair): boolean {
    return now >= this.#at(pair, LIFETIME.refuted) && this.#known.delete(pair.base.ip)
  }

  #at({ base: { ip }, bornAt, local }: Pair, part: number): number {
    const expected = local.type === 'relay' || local.protocol === 'tcp' ? undefined : this.#known.get(ip)?.expected
    return expected === undefined ? Number.POSITIVE_INFINITY : bornAt + part * expected
  }
}
