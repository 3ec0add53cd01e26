import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'

/**
 * Whether data arrives where checks do. A box on the way may let STUN pass and swallow the rest: then the layer above gets
 * no answers, and says so. From then on data goes over a second pair too, at both ends; and when it arrives over that one
 * alone, for long enough that chance is out of the question, the first one is left.
 */
export class DataWatch {
  readonly #timing: Timing
  /** Data goes over a second pair: because the layer above asks for it, or because the peer does so. */
  #sharedUntil = Number.NEGATIVE_INFINITY
  #mirroredUntil = Number.NEGATIVE_INFINITY
  /** The peer's packets over another pair since the last one over the pair in use, and when the first of them came. */
  #elsewhere = 0
  #since = 0

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** The peer's data comes over another pair alone, beyond what loss explains. */
  get isElsewhere(): boolean {
    return this.#elsewhere >= this.#timing.holePackets
  }

  isShared(now: number): boolean {
    return now < this.#sharedUntil || now < this.#mirroredUntil
  }

  share(now: number): void {
    this.#sharedUntil = now + this.#timing.shareFor
  }

  /** Data has come over the pair in use. */
  heardHere(): void {
    this.#elsewhere = 0
    this.#mirroredUntil = Number.NEGATIVE_INFINITY
  }

  /** Data has come over another pair. `true`: so much of it, and so long nothing over the pair in use, that it is a hole. */
  heardElsewhere(now: number, selected: Pair, movedAt: number): boolean {
    const { mirrorFor, holeAfter } = this.#timing
    if (this.#elsewhere++ === 0) this.#since = now
    this.#mirroredUntil = now + mirrorFor
    const patience = holeAfter + 2 * (selected.smoothedRoundTripTime ?? 0)
    return this.isElsewhere && now >= Math.max(this.#since, movedAt) + patience
  }

  /** Another pair is in use. */
  reset(): void {
    this.heardHere()
    this.#sharedUntil = Number.NEGATIVE_INFINITY
  }
}
