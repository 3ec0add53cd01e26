/**
 * Whoever sends much waits for its turn. Node serves all sockets that have something in one go, so a thousand clients with
 * twenty messages each would hold up everybody for the time of twenty thousand messages. Here those who send little are served
 * in every round of the event loop, and of the others one, a little at a time; what it has not been asked for yet stays in the
 * kernel, where TCP makes its sender wait. Nothing is thrown away.
 */
import { type Pace, ShareOfTime } from './pace.ts'

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
  readonly #pace: Pace
  readonly #clock: Clock
  #quiet: Flow[] = []
  /** By address, the next one first. */
  readonly #busy = new Map<string, Flow[]>()
  #waiting = 0
  #scheduled = false
  #rests = false

  constructor(pace: Pace = new ShareOfTime(), clock: Clock = CLOCK) {
    this.#pace = pace
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
    if (quiet || !this.#rests) this.#wake()
  }

  #wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.soon(() => this.#round())
  }

  #round(): void {
    this.#scheduled = false
    const quiet = this.#quiet
    this.#quiet = []
    for (const flow of quiet) this.#serve(flow)
    if (this.#waiting === 0 || this.#rests) return
    const rest = this.#pace.next - this.#clock.now()
    if (rest > 0) return this.#rest(rest)
    this.#serveBusy()
    if (this.#waiting > 0) this.#wake()
  }

  #serveBusy(): void {
    const began = this.#clock.now()
    const busy = this.#next()!
    // Most of the work is done in ticks and promises afterwards, so it is over when the next round begins.
    this.#clock.soon(() => this.#pace.served(began, this.#clock.now() - began, this.#waiting))
    this.#serve(busy)
  }

  #rest(duration: number): void {
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
