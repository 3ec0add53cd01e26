/** How fast those who are busy are served, one after the other. Times are in milliseconds. */

/** Milliseconds: turns of so much time may be taken at once when nobody took them. */
const AT_ONCE = 500

/**
 * When `flows` or more wait, they get this `share` of the time; after a rest, turns of `atOnce` ms may follow each other. No
 * turn takes longer than `longest` ms: then the process stood still, or somebody else kept it.
 */
const CROWD = { flows: 64, share: 0.4, atOnce: 1, longest: 100 } as const

export interface Pace {
  /** When the next one may be served. */
  readonly next: number
  /** One was served from `began` on, which took `spent`; so many others waited. */
  served(began: number, spent: number, waiting: number): void
}

/** For turns that are dear: `perSecond` in the long run, and some more at once. Who has to wait longer does so in the queue. */
export class PerSecond implements Pace {
  next = 0
  readonly #interval: number

  constructor(perSecond: number) {
    this.#interval = 1_000 / perSecond
  }

  served(began: number): void {
    this.next = Math.max(this.next, began - AT_ONCE) + this.#interval
  }
}

/**
 * A few get all the time that is left. A crowd is a flood, and whoever comes in between would always find the processor taken;
 * so it gets a part of the time only.
 */
export class ShareOfTime implements Pace {
  next = 0

  served(began: number, spent: number, waiting: number): void {
    if (waiting < CROWD.flows) return
    this.next = Math.max(this.next, began - CROWD.atOnce) + Math.min(spent, CROWD.longest) / CROWD.share
  }
}
