import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import { HIGHEST_PRIORITY, RESCUES } from './defaults.ts'
import { DIRECT, tierOf } from './preference.ts'

/**
 * Whether the peer comes along when data leaves a dead pair. Some do not: Firefox takes no pair of lower priority than the
 * one it has, Chromium none that it has pruned. What they have never seen they judge anew: a path from another socket.
 */
export class Following {
  readonly #timing: Timing
  /** What data has been moved to, and how much of the peer's had come over it then. */
  #awaited: Pair | undefined
  #received = 0
  #dueAt = Number.POSITIVE_INFINITY
  #rescues = 0

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /**
   * Data has left a pair for another one, if any, or goes on over the same from another port of a NAT. `isLost`: what the
   * peer sends to where it was arrives no more. `pairs`: all that there are.
   */
  moved(now: number, before: Pair, selected: Pair | undefined, pairs: readonly Pair[], isLost: boolean): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    if (!isLost || !selected || !this.#wasTalking(now, before) || this.#rescues >= RESCUES) return
    if (selected.local.protocol !== 'udp' || tierOf(selected) !== DIRECT) return
    // Whoever does not answer there either will not see another path.
    if (now > (selected.askedAt ?? now) + this.#answerTime(selected)) return
    this.#awaited = selected
    this.#received = selected.stats.packetsReceived
    this.#dueAt = now + this.#patience(before, selected, pairs)
  }

  timeout(): number {
    return this.#dueAt
  }

  /** The pair beside which another path is to be offered, when the time has come, once. */
  take(now: number): Pair | undefined {
    if (now < this.#dueAt) return undefined
    this.#dueAt = Number.POSITIVE_INFINITY
    const hasCome = this.#awaited!.stats.packetsReceived > this.#received
    return hasCome || !this.#awaited!.isFit(now) ? undefined : this.#awaited
  }

  /** For checks from the other socket: higher than that of all before, since an equal one is not enough either. */
  nextPriority(): number {
    return HIGHEST_PRIORITY - RESCUES + ++this.#rescues
  }

  /** Data of the peer's came over it, as far as anybody can tell until it died. */
  #wasTalking(now: number, { stats, lastDataAt }: Pair): boolean {
    return stats.packetsReceived > 0 && now < lastDataAt + this.#timing.activeFor
  }

  /** Who has sent over several pairs, like floe under suspicion, or has moved before, will come. */
  #patience(before: Pair, selected: Pair, pairs: readonly Pair[]): number {
    const { followPatience } = this.#timing
    if (pairs.some((pair) => pair !== before && pair.stats.packetsReceived > 0)) return followPatience
    // Libwebrtc and floe tell of their networks, and come within a round trip or not for long. Firefox does not come, but
    // perhaps to another port, which counts for more when the one before was signalled.
    const mayCome = before.peersNetwork !== undefined || selected === before
    return mayCome ? this.#answerTime(selected) : 0
  }

  #answerTime({ smoothedRoundTripTime = 0 }: Pair): number {
    return Math.max(this.#timing.answerPatience, 2 * smoothedRoundTripTime)
  }
}
