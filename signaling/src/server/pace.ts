/** How fast those who are busy are served, one after the other. Times are in milliseconds. */

/** Milliseconds: turns of so much time may be taken at once when nobody took them. */
const AT_ONCE = 500

/**
 * When `flows` or more wait, they get this `share` of the time; after a rest, turns of `atOnce` ms may follow each other. No
 * turn takes longer than `longest` ms: then the process stood still, or somebody else kept it. Of the connections that else
 * begin per second as many as `newcomers` says.
 */
const CROWD = { flows: 64, share: 0.4, atOnce: 1, longest: 100, newcomers: 0.25 } as const

export interface Pace {
  /** When the next one may be served. */
  readonly next: number
  /** One was served from `began` on, which took `spent`; so many others waited. */
  served(began: number, spent: number, waiting: number): void
}

/**
 * For turns that are dear: `perSecond` in the long run, and some more at once. Who has to wait longer does so in the queue.
 * While there is a crowd at `others` they get a part of that only: who floods comes back, and whoever joins a room is told of to
 * all who are in it, which takes longer than letting it in.
 */
export class PerSecond implements Pace {
  next = 0
  readonly #interval: number
  readonly #others: { readonly waiting: number } | undefined

  constructor(perSecond: number, others?: { readonly waiting: number }) {
    this.#interval = 1_000 / perSecond
    this.#others = others
  }

  served(began: number): void {
    const isCrowded = this.#others !== undefined && this.#others.waiting >= CROWD.flows
    this.next = Math.max(this.next, began - AT_ONCE) + this.#interval / (isCrowded ? CROWD.newcomers : 1)
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
