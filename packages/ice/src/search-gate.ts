import { SEARCH } from './defaults.ts'

/** Peers whose searches are remembered; the oldest is forgotten. */
const MEMORY = 1_000

/** Which agent of a process may search, and how often for one peer. Share one between all agents. */
export class SearchGate {
  #holder: object | undefined
  /** By the peer's address: when each search began. */
  readonly #history = new Map<string, number[]>()

  /** `true`: `holder` may search for the peer at this IP address until it calls `leave()`. */
  enter(now: number, holder: object, ip: string): boolean {
    if (this.#holder !== undefined || !this.#isAllowed(now, ip)) return false
    this.#holder = holder
    const times = this.#history.get(ip) ?? []
    this.#history.delete(ip)
    this.#history.set(ip, [...times, now].slice(-SEARCH.pauses.length))
    const [oldest] = this.#history.keys()
    if (this.#history.size > MEMORY && oldest !== undefined) this.#history.delete(oldest)
    return true
  }

  leave(holder: object): void {
    if (this.#holder === holder) this.#holder = undefined
  }

  #isAllowed(now: number, ip: string): boolean {
    const times = this.#history.get(ip)
    const last = times?.at(-1)
    if (times === undefined || last === undefined) return true
    return now - last >= SEARCH.pauses[Math.min(times.length, SEARCH.pauses.length) - 1]!
  }
}
