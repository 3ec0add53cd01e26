/**
 * Candidates follow the description that they belong to: whoever awaits the description can send it first, although
 * gathering begins while it is being made.
 */
export class LocalCandidates {
  readonly #report: (candidate: RTCIceCandidateInit | null) => void
  #held: (RTCIceCandidateInit | null)[] | undefined

  constructor(report: (candidate: RTCIceCandidateInit | null) => void) {
    this.#report = report
  }

  /** null: there will be no more of them. */
  add(candidate: RTCIceCandidateInit | null): void {
    if (this.#held) this.#held.push(candidate)
    else this.#report(candidate)
  }

  /** Until what waits for `described` has run. */
  holdUntil(described: Promise<unknown>): void {
    if (this.#held) return
    this.#held = []
    void described.then(() => setImmediate(() => this.#release()))
  }

  #release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const candidate of held) this.#report(candidate)
  }
}
