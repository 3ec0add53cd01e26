import { SEARCH } from './defaults.ts'

/** Peers whose searches are remembered; the oldest is forgotten. */
const MEMORY = 1_000

/** Which agent of a process may search, and how often for one peer. Share one between all agents. */
export class SearchGate {
  #holder: object | undefined
  #heldFor = ''
  /** By the peer's address: when each search began. */
  readonly #history = new Map<string, number[]>()

  /** `true`: `holder` may search for the peer at this IP address until it calls `leave()`. */
  enter(now: number, holder: object, ip: string): boolean {
    if (this.#holder !== undefined || now < this.#restsUntil(ip)) return false
    this.#holder = holder
    this.#heldFor = ip
    const times = this.#history.get(ip) ?? []
    this.#history.delete(ip)
    this.#history.set(ip, [...times, now].slice(-SEARCH.pauses.length))
    const [oldest] = this.#history.keys()
    if (this.#history.size > MEMORY && oldest !== undefined) this.#history.delete(oldest)
    return true
  }

  /** `unbegun`: nothing was sent to the peer, so that it does not count. */
  leave(holder: object, unbegun = false): void {
    if (this.#holder !== holder) return
    this.#holder = undefined
    if (unbegun) this.#history.get(this.#heldFor)?.pop()
  }

  /** When it is worth asking again: a search that is under way lasts no longer than that. Milliseconds. */
  opensAt(now: number, ip: string): number {
    return Math.max(this.#restsUntil(ip), this.#holder === undefined ? now : now + SEARCH.duration)
  }

  #restsUntil(ip: string): number {
    const times = this.#history.get(ip)
    const last = times?.at(-1)
    if (times === undefined || last === undefined) return Number.NEGATIVE_INFINITY
    return last + SEARCH.pauses[Math.min(times.length, SEARCH.pauses.length) - 1]!
  }
}
