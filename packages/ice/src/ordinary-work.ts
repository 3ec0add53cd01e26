import type { Connectivity } from './connectivity.ts'
import type { Pace } from './pacer.ts'
import type { Sources } from './sources.ts'

/** Ordinary checks and gathering share one pace, RFC 8445 §14.2; a peer that waits for candidates goes first. */
export class OrdinaryWork {
  readonly #pace: Pace
  readonly #sources: Sources
  readonly #connectivity: Connectivity

  constructor(pace: Pace, sources: Sources, connectivity: Connectivity) {
    this.#pace = pace
    this.#sources = sources
    this.#connectivity = connectivity
  }

  /** What its turn has come for. */
  start(now: number): void {
    while (this.#isThere && this.#pace.take(now)) {
      if (this.#sources.hasWork) this.#sources.startNext(now)
      else this.#connectivity.sendOrdinary(now)
    }
  }

  timeout(): number {
    return this.#isThere ? this.#pace.due : Number.POSITIVE_INFINITY
  }

  get #isThere(): boolean {
    return this.#sources.hasWork || this.#connectivity.hasOrdinary
  }
}
