/** Something that will happen. `cancel()` forgets it. */
export interface Appointment {
  readonly time: number
  cancel(): void
}

/** Events at one instant beyond which a run is a busy loop and not a simulation. */
const EVENTS_PER_INSTANT = 100_000

/** Virtual time: milliseconds that pass only when nothing is left to do before them. Same time: first come, first served. */
export class Clock {
  #now = 0
  #sequence = 0
  #atThisInstant = 0
  /** What is due later, the earliest first. */
  readonly #heap: Event[] = []
  /** What was asked for at this instant, for this instant: every second hop of a packet takes no time. */
  #due: Event[] = []
  #done = 0

  get now(): number {
    return this.#now
  }

  at(time: number, action: () => void): Appointment {
    return this.#add(new Event(Math.max(time, this.#now), this.#sequence++, action, undefined))
  }

  /** The same for what has one argument: who makes thousands of appointments needs no closure for each. */
  hand<T>(time: number, action: (argument: T) => void, argument: T): Appointment {
    return this.#add(new Event(Math.max(time, this.#now), this.#sequence++, action, argument))
  }

  after(delay: number, action: () => void): Appointment {
    return this.at(this.#now + delay, action)
  }

  /** Runs until `time`, or until `done()` holds after an event. True when `done()` held. */
  runTo(time: number, done?: () => boolean): boolean {
    if (done?.()) return true
    for (let next = this.#takeUntil(time); next !== undefined; next = this.#takeUntil(time)) {
      if (next.action === undefined) continue
      this.#advance(next.time)
      next.action(next.argument)
      if (done?.()) return true
    }
    this.#advance(Math.max(time, this.#now))
    return false
  }

  #add(event: Event): Event {
    if (event.time === this.#now) this.#due.push(event)
    else siftUp(this.#heap, event)
    return event
  }

  /** The next event, unless it is later. What has waited in the heap for an instant is older than what was asked for in it. */
  #takeUntil(time: number): Event | undefined {
    const first = this.#heap[0]
    const isNow = first !== undefined && first.time === this.#now
    if (!isNow && this.#done < this.#due.length) return this.#now <= time ? this.#takeDue() : undefined
    if (first === undefined || first.time > time) return undefined
    removeFirst(this.#heap)
    return first
  }

  #takeDue(): Event {
    const event = this.#due[this.#done++]!
    if (this.#done === this.#due.length) {
      this.#due.length = 0
      this.#done = 0
    }
    return event
  }

  #advance(time: number) {
    this.#atThisInstant = time === this.#now ? this.#atThisInstant + 1 : 0
    this.#now = time
    if (this.#atThisInstant > EVENTS_PER_INSTANT) throw new Error(`busy loop: time stands still at ${time} ms`)
  }
}

class Event implements Appointment {
  readonly time: number
  readonly sequence: number
  action: ((argument: never) => void) | undefined
  readonly argument: never

  constructor(time: number, sequence: number, action: (argument: never) => void, argument: unknown) {
    this.time = time
    this.sequence = sequence
    this.action = action
    this.argument = argument as never
  }

  cancel() {
    this.action = undefined
  }

  before(other: Event): boolean {
    return this.time < other.time || (this.time === other.time && this.sequence < other.sequence)
  }
}

function siftUp(heap: Event[], event: Event) {
  let hole = heap.length
  for (let parent = (hole - 1) >> 1; hole > 0 && event.before(heap[parent]!); parent = (hole - 1) >> 1) {
    heap[hole] = heap[parent]!
    hole = parent
  }
  heap[hole] = event
}

function removeFirst(heap: Event[]) {
  const event = heap.pop()!
  if (heap.length === 0) return
  let hole = 0
  for (let child = 1; child < heap.length; child = 2 * hole + 1) {
    const right = heap[child + 1]
    if (right?.before(heap[child]!)) child++
    if (!heap[child]!.before(event)) break
    heap[hole] = heap[child]!
    hole = child
  }
  heap[hole] = event
}
