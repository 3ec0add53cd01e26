import type { Pair } from './candidate-pair.ts'
import type { PacketPath } from './checklist.ts'
import type { Generation } from './generation.ts'

/** The generation in use and, until the new one stands on its own feet, the one before the last ICE restart. RFC 8445 §9. */
export class Generations {
  current: Generation
  #previous: Generation | undefined
  #previousUntil = Number.POSITIVE_INFINITY

  constructor(first: Generation) {
    this.current = first
  }

  /** The usernameFragments that requests may name: this generation's and, for a while, the one before. */
  get usernameFragments(): readonly string[] {
    const { usernameFragment } = this.current.local
    return this.#previous ? [usernameFragment, this.#previous.local.usernameFragment] : [usernameFragment]
  }

  /** The generation that a request is for: its USERNAME begins with our ufrag, RFC 8445 §7.1.1. */
  named(username: string | undefined): Generation | undefined {
    const ufrag = username?.slice(0, Math.max(0, username.indexOf(':')))
    if (ufrag === this.current.local.usernameFragment) return this.current
    return ufrag === this.#previous?.local.usernameFragment ? this.#previous : undefined
  }

  /** The pair that a packet came over. */
  find(path: PacketPath): Pair | undefined {
    return this.current.checklist.find(path) ?? this.#previous?.checklist.find(path)
  }

  /** `outlived`: data still goes over a pair of the generation before the current one. */
  restart(next: Generation, outlived: boolean): void {
    const outgoing = this.current
    // A generation that never met its peer has nobody to answer, and one without a path carries nothing: the one in use stays.
    if (!this.#previous || (outgoing.remote && !outlived)) this.#previous = outgoing
    this.#previousUntil = Number.POSITIVE_INFINITY
    this.current = next
    for (const candidate of outgoing.takeHeld()) next.hold(candidate)
  }

  /** The new generation has a path: the one before is answered until `deadline` and no longer. */
  retire(deadline: number): void {
    if (this.#previous) this.#previousUntil = Math.min(this.#previousUntil, deadline)
  }

  close(): void {
    this.#previous = undefined
  }

  /** `true` when the generation before has just served its time. */
  handleTimeout(now: number): boolean {
    if (now < this.#previousUntil) return false
    this.#previous = undefined
    this.#previousUntil = Number.POSITIVE_INFINITY
    return true
  }

  timeout(): number {
    return this.#previousUntil
  }
}
