import { LIMITS, type Timing } from './defaults.ts'

/** How often in a row a relay was lost or could not be had, and with it how long to wait before it is asked for again. */
export class RelayAttempts {
  readonly #timing: Timing
  #failures = 0
  #moves = 0
  #upSince = Number.POSITIVE_INFINITY

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** The next failure is the first of a row, so that somebody may want to hear of it. */
  get areNew(): boolean {
    return this.#failures === 0
  }

  /** It is there, or has moved. */
  succeeded(now: number): void {
    this.#upSince = now
  }

  /** It is there no longer. Only one that was there for a while ends a row: a server can grant, and refuse the next request. */
  ended(now: number): void {
    if (now >= this.#upSince + this.#timing.relayProof) this.reset()
    this.#upSince = Number.POSITIVE_INFINITY
  }

  /** The pause before the next attempt, milliseconds. What was there is asked for at once, but not time and again. */
  fail(wasThere: boolean): number {
    const { relayPause, maxRelayPause } = this.#timing
    const failures = this.#failures++
    return wasThere && failures === 0 ? 0 : Math.min(maxRelayPause, relayPause * 2 ** failures)
  }

  /** Whether a connection that has ended is worth another move: a server must not keep us moving. */
  mayMove(): boolean {
    return this.#moves++ < LIMITS.relayMoves
  }

  /** The caller has a reason to believe that all is different now. */
  reset(): void {
    this.#failures = 0
    this.#moves = 0
  }
}
