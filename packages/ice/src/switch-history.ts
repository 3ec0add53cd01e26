import type { Aging } from './aging.ts'
import { describePair, type Pair } from './candidate-pair.ts'
import { LIMITS } from './defaults.ts'

/** Data took another pair from then on. */
export interface PathSwitch {
  /** Milliseconds on the agent's clock. */
  readonly at: number
  /** The `id` of the pair before; undefined when that was gone already. */
  readonly from: string | undefined
  /** The `id` of the pair since. */
  readonly to: string
  /** Both ends of the latter, in words. */
  readonly path: string
  /** Why, in words. */
  readonly reason: string
}

/** The latest moves of data from one pair to another; the first choice is none. */
export class SwitchHistory {
  /** Most agents never move. */
  #switches: PathSwitch[] | undefined

  get switches(): readonly PathSwitch[] {
    return this.#switches ?? NONE
  }

  note(at: number, from: Pair | undefined, to: Pair, reason: string): void {
    this.#switches ??= []
    if (this.#switches.length === LIMITS.switches) this.#switches.shift()
    this.#switches.push({ at, from: from?.id, to: to.id, path: describePair(to), reason })
  }
}

/** What speaks against the pair before, or for one where there is none. `hasLost`: there has been. */
export function whyMoved(now: number, before: Pair | undefined, hasLost: boolean, aging: Aging | undefined): string {
  if (!before) return hasLost ? 'the pair before is gone' : 'first valid pair'
  if (before.dead) return 'the pair before is dead'
  if (!before.isFit(now)) return 'data does not pass on the pair before'
  return aging?.isOld(now, before) ? 'the pair before is about to die of its age' : 'better than the pair before'
}

const NONE: readonly PathSwitch[] = []
