import { readSystem, type System } from './interfaces.ts'

/** Why the watch has looked and something is different. */
export type NetworkChange = 'addresses' | 'routes' | 'wake'

export interface WatchOptions {
  /** What is there now. */
  readonly read?: () => System
  /** Milliseconds on a clock that goes on while the machine sleeps. */
  readonly clock?: () => number
}

/**
 * Tells when this machine's addresses or default routes change, or when it has slept. Node has no event for that, so one
 * timer looks for all transports of the process, and only while there are any.
 */
export class InterfaceWatch {
  readonly #read: () => System
  readonly #clock: () => number
  readonly #listeners = new Set<(change: NetworkChange, system: System) => void>()
  #timer: NodeJS.Timeout | undefined
  #addresses = ''
  #routes = ''
  #lookedAt = 0
  #askedAt = Number.NEGATIVE_INFINITY

  constructor({ read = readSystem, clock = () => Date.now() }: WatchOptions = {}) {
    this.#read = read
    this.#clock = clock
  }

  /** The function that is returned ends it. Changes count from now on. */
  subscribe(listener: (change: NetworkChange, system: System) => void): () => void {
    if (this.#listeners.size === 0) this.#start()
    this.#listeners.add(listener)
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) clearInterval(this.#timer)
    }
  }

  /** A packet could not be sent, or none comes: perhaps an interface has gone. Looks at once, but not for every packet. */
  suspect(): void {
    const now = this.#clock()
    // Either way: a clock that somebody sets back must not make it deaf.
    if (this.#listeners.size === 0 || Math.abs(now - this.#askedAt) < LEAST_INTERVAL) return
    this.#askedAt = now
    setImmediate(() => this.look())
  }

  /** Compares with what was there before, and tells. */
  look(): void {
    const now = this.#clock()
    const slept = now - this.#lookedAt > WATCH_INTERVAL + LONGEST_DELAY
    const [addresses, routes] = [this.#addresses, this.#routes]
    const system = this.#remember(now)
    if (this.#addresses !== addresses) this.#tell('addresses', system)
    else if (this.#routes !== routes) this.#tell('routes', system)
    else if (slept) this.#tell('wake', system)
  }

  #start(): void {
    this.#remember(this.#clock())
    // The sockets keep the process alive; the watch does not.
    this.#timer = setInterval(() => this.look(), WATCH_INTERVAL).unref()
  }

  #remember(now: number): System {
    const system = this.#read()
    const { interfaces, defaultRoutes, unusable } = system
    this.#lookedAt = now
    this.#addresses = JSON.stringify([interfaces, [...unusable]])
    this.#routes = JSON.stringify(defaultRoutes)
    return system
  }

  #tell(change: NetworkChange, system: System): void {
    for (const listener of this.#listeners) listener(change, system)
  }
}

/** The watch of all transports of this process. */
export const interfaceWatch = new InterfaceWatch()

/** Milliseconds. A look costs a tenth of one (networkInterfaces() and three files of /proc), Tailscale polls as often. */
const WATCH_INTERVAL = 1_000
/** Between looks that send errors ask for. */
const LEAST_INTERVAL = 100
/**
 * A timer that is later than this has not been busy, it has slept: by the wall clock, since Linux's monotonic one stands
 * still in sleep. That somebody sets the clock looks the same, and costs one check.
 */
const LONGEST_DELAY = 4_000
