/**
 * Whoever sends much waits for its turn. Node serves all sockets that have something in one go, so a thousand clients with
 * twenty messages each would hold up everybody for the time of twenty thousand messages. Here those who send little are served
 * in every round of the event loop, and of the others one, a little at a time; what it has not been asked for yet stays in the
 * kernel, where TCP makes its sender wait. Nothing is thrown away. A few that are busy get all the time that is left; a crowd of
 * them is a flood, and whoever comes in between would always find the processor taken, so it gets a part of the time only.
 */

/** Milliseconds: turns of so much time may be taken at once when nobody took them. */
const AT_ONCE = 500

/** When more than `flows` wait, they get this `share` of the time; after a rest, turns of `atOnce` ms may follow each other. */
const CROWD = { flows: 64, share: 0.4, atOnce: 1 } as const

/** Something that may have to wait: a connection with bytes to be read, a request to be answered. */
export interface Flow {
  /** Addresses take turns, and the flows of an address among themselves. */
  readonly address: string
  /** Does a little; `true`: there is more to do. */
  serve(): boolean
}

/** In ms. */
export interface Clock {
  now(): number
  /** Before the next round. */
  soon(run: () => void): void
  after(duration: number, run: () => void): void
}

const CLOCK: Clock = {
  now: () => performance.now(),
  soon: setImmediate,
  after: (duration, run) => setTimeout(run, duration),
}

export class Turns {
  readonly #schedule: (round: () => void) => void
  readonly #clock: Clock
  #quiet: Flow[] = []
  /** By address, the next one first. */
  readonly #busy = new Map<string, Flow[]>()
  #waiting = 0
  #scheduled = false
  #rests = false
  /** Until when a crowd has had its share, in ms. */
  #restUntil = 0

  /** `schedule` runs a round after what the sockets have brought meanwhile. */
  constructor(schedule: (round: () => void) => void = setImmediate, clock: Clock = CLOCK) {
    this.#schedule = schedule
    this.#clock = clock
  }

  /** Flows that wait for a later round than the next. */
  get waiting(): number {
    return this.#waiting
  }

  /** Serves `flow` when its turn comes: in the next round when it is `quiet`. It may wait in one place only. */
  ask(flow: Flow, quiet: boolean): void {
    if (quiet) this.#quiet.push(flow)
    else this.#queue(flow)
    this.#wake()
  }

  #wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(() => this.#round())
  }

  #round(): void {
    this.#scheduled = false
    const quiet = this.#quiet
    this.#quiet = []
    for (const flow of quiet) this.#serve(flow)
    const rest = this.#restUntil - this.#clock.now()
    if (rest <= 0) this.#serveBusy()
    if (this.#waiting === 0) return
    if (rest <= 0) this.#wake()
    else this.#rest(rest)
  }

  #serveBusy(): void {
    const busy = this.#next()
    if (busy === undefined) return
    // Most of the work is done in ticks and promises afterwards, so it is over when the next round begins.
    if (this.#waiting >= CROWD.flows) this.#clock.soon(this.#charge(this.#clock.now()))
    this.#serve(busy)
  }

  #charge(began: number): () => void {
    return () => {
      const spent = this.#clock.now() - began
      this.#restUntil = Math.max(this.#restUntil, began - CROWD.atOnce) + spent / CROWD.share
    }
  }

  #rest(duration: number): void {
    if (this.#rests) return
    this.#rests = true
    this.#clock.after(duration, () => {
      this.#rests = false
      this.#wake()
    })
  }

  #serve(flow: Flow): void {
    try {
      if (flow.serve()) this.ask(flow, false)
    } catch (error) {
      // As fatal as it would be without us, but not to those who wait, should the process go on.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #queue(flow: Flow): void {
    const flows = this.#busy.get(flow.address)
    if (flows === undefined) this.#busy.set(flow.address, [flow])
    else flows.push(flow)
    this.#waiting += 1
  }

  #next(): Flow | undefined {
    for (const [address, flows] of this.#busy) {
      const flow = flows.shift()
      this.#busy.delete(address)
      if (flows.length > 0) this.#busy.set(address, flows) // behind all others
      this.#waiting -= 1
      return flow
    }
    return undefined
  }
}

/**
 * For `Turns` in which a turn is dear: `perSecond` in the long run, and some more at once. Who has to wait longer does so in
 * the queue.
 */
export function paced(perSecond: number): (round: () => void) => void {
  let due = 0
  return (round) => {
    const now = performance.now()
    due = Math.max(due, now - AT_ONCE) + 1_000 / perSecond
    if (due > now) setTimeout(round, due - now)
    else setImmediate(round)
  }
}
