export interface LocalCandidatesOwner {
  /** null: there will be no more of them. */
  readonly oncandidate: (candidate: RTCIceCandidateInit | null) => void
  /** They have been told, and are gone. */
  readonly onremoved: (candidates: readonly RTCIceCandidateInit[]) => void
}

/**
 * Candidates follow the description that they belong to: whoever awaits the description can send it first, although
 * gathering begins while it is being made.
 */
export class LocalCandidates {
  readonly #owner: LocalCandidatesOwner
  #held: (() => void)[] | undefined

  constructor(owner: LocalCandidatesOwner) {
    this.#owner = owner
  }

  /** null: there will be no more of them. */
  add(candidate: RTCIceCandidateInit | null): void {
    this.#tell(() => this.#owner.oncandidate(candidate))
  }

  remove(candidates: readonly RTCIceCandidateInit[]): void {
    this.#tell(() => this.#owner.onremoved(candidates))
  }

  /** Until what waits for `described` has run. */
  holdUntil(described: Promise<unknown>): void {
    if (this.#held) return
    this.#held = []
    void described.then(() => setImmediate(() => this.#release()))
  }

  #tell(report: () => void): void {
    if (this.#held) this.#held.push(report)
    else report()
  }

  #release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const report of held) report()
  }
}
