import { decodeFrame } from '../../src/session/frame.ts'
import { type Carrier, Session, type SessionOutput } from '../../src/session/session.ts'

/** What the relay does to frames, as probabilities; what it does is decided by the seed alone. */
export interface Hostility {
  readonly drop: number
  readonly repeat: number
  readonly reorder: number
}

interface Event {
  readonly at: number
  readonly order: number
  run(): void
}

/** Mulberry32. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Bytes that a carrier takes before it wants to be waited for. */
const CAPACITY = 128 * 1024

/** Two sessions, two carriers between them, and a clock that jumps from event to event. */
export class World {
  now = 0
  readonly ends: [End, End]
  hostility: Hostility = { drop: 0, repeat: 0, reorder: 0 }
  /** Milliseconds, one way. */
  readonly latency: Record<Carrier, number> = { relay: 40, direct: 10 }
  /** Bytes per millisecond. */
  readonly rate: Record<Carrier, number> = { relay: 1_000, direct: 10_000 }
  /** Directions of the direct path that carry nothing at present: what is sent waits, as in SCTP. */
  blackHole = [false, false]
  readonly random: () => number
  readonly #queue: Event[] = []
  #order = 0

  constructor(seed: number) {
    this.random = random(seed)
    this.ends = [new End(this, 0), new End(this, 1)]
  }

  at(delay: number, run: () => void): void {
    this.#queue.push({ at: this.now + delay, order: this.#order++, run })
  }

  setUp(carrier: Carrier, isUp: boolean): void {
    for (const end of this.ends) end.setUp(carrier, isUp)
  }

  /** Runs until nothing happens any more, or `until` says that it is enough. */
  run(limit: number, until: () => boolean = () => false): void {
    const deadline = this.now + limit
    while (!until()) {
      this.#queue.sort((a, b) => a.at - b.at || a.order - b.order)
      const wake = Math.min(...this.ends.map(({ session }) => session.timeout()))
      const next = Math.min(this.#queue[0]?.at ?? Number.POSITIVE_INFINITY, wake)
      if (next > deadline) break
      this.now = Math.max(this.now, next)
      const event = this.#queue[0]
      if (event !== undefined && event.at <= this.now) {
        this.#queue.shift()
        event.run()
      }
      for (const end of this.ends) end.wake()
    }
    if (!until()) this.now = Math.min(deadline, Math.max(this.now, deadline))
  }
}

export class End {
  readonly session = new Session()
  readonly outputs: SessionOutput[] = []
  readonly received: (string | Uint8Array)[] = []
  readonly paths: (Carrier | undefined)[] = []
  /** The longest time between two messages that came in, in ms. */
  longestPause = 0
  /** Data frames handed to each carrier. */
  readonly sent: Record<Carrier, number> = { relay: 0, direct: 0 }
  reads = true
  readonly #world: World
  readonly #side: number
  readonly #busyUntil: Record<Carrier, number> = { relay: 0, direct: 0 }
  readonly #waiting: Uint8Array[] = []
  readonly #isUp: Record<Carrier, boolean> = { relay: false, direct: false }
  #lastAt = 0

  constructor(world: World, side: number) {
    this.#world = world
    this.#side = side
  }

  setUp(carrier: Carrier, isUp: boolean): void {
    this.#isUp[carrier] = isUp
    this.session.setUp(this.#world.now, carrier, isUp)
    this.drain()
  }

  send(message: string | Uint8Array): void {
    this.session.send(this.#world.now, message)
    this.drain()
  }

  /** What waited in a black hole moves on. */
  heal(): void {
    for (const bytes of this.#waiting.splice(0)) this.#carry('direct', bytes)
  }

  receive(carrier: Carrier, bytes: Uint8Array): void {
    if (!this.#isUp[carrier]) return
    this.session.handleFrame(this.#world.now, carrier, bytes)
    this.drain()
  }

  wake(): void {
    const { now } = this.#world
    if (this.session.timeout() <= now) this.session.handleTimeout(now)
    this.drain()
  }

  read(): void {
    const { now } = this.#world
    for (let message = this.session.read(now); message !== undefined; message = this.session.read(now)) {
      this.received.push(message)
      this.longestPause = Math.max(this.longestPause, now - this.#lastAt)
      this.#lastAt = now
    }
  }

  drain(): void {
    if (this.reads) this.read()
    for (let output = this.session.poll(); output !== undefined; output = this.session.poll()) {
      if (output.type === 'frame') this.#transmit(output.carrier, output.bytes)
      else this.outputs.push(output)
      if (output.type === 'path') this.paths.push(output.path)
      if (this.reads) this.read()
    }
  }

  #transmit(carrier: Carrier, bytes: Uint8Array): void {
    const { now, rate } = this.#world
    if (decodeFrame(bytes)!.type === 'data') this.sent[carrier]++
    this.#busyUntil[carrier] = Math.max(this.#busyUntil[carrier], now) + bytes.length / rate[carrier]
    const wait = this.#busyUntil[carrier] - now
    if (wait > CAPACITY / rate[carrier]) {
      this.session.setReady(now, carrier, false)
      this.#world.at(wait, () => {
        this.session.setReady(this.#world.now, carrier, true)
        this.drain()
      })
    }
    this.#carry(carrier, bytes)
  }

  #carry(carrier: Carrier, bytes: Uint8Array): void {
    const world = this.#world
    const arrival = this.#busyUntil[carrier] - world.now + world.latency[carrier]
    const peer = () => world.ends[1 - this.#side]!
    const deliver = () => {
      if (carrier === 'direct' && world.blackHole[this.#side]) this.#waiting.push(bytes)
      else peer().receive(carrier, bytes)
    }
    if (carrier === 'direct') return world.at(arrival, deliver)
    const { drop, repeat, reorder } = world.hostility
    if (world.random() < drop) return
    world.at(arrival + (world.random() < reorder ? world.random() * 100 : 0), deliver)
    if (world.random() < repeat) world.at(arrival + world.random() * 200, deliver)
  }
}
