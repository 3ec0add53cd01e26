/** One line of what happened. */
export interface Entry {
  /** Milliseconds since the journal began. */
  readonly at: number
  readonly what: string
  readonly detail?: unknown
}

/** A page may stay open for days: what is older than this many entries is dropped, the beginning is kept. */
const LONGEST = 400
const BEGINNING = 200

/** What happened and when, for the diagnostics. */
export class Journal {
  readonly #start = performance.now()
  readonly #entries: Entry[] = []
  #dropped = 0

  /** @returns milliseconds since the journal began */
  note(what: string, detail?: unknown): number {
    const at = Math.round((performance.now() - this.#start) * 10) / 10
    this.#entries.push(detail === undefined ? { at, what } : { at, what, detail })
    if (this.#entries.length > LONGEST) {
      this.#entries.splice(BEGINNING, 1)
      this.#dropped += 1
    }
    return at
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  get dropped(): number {
    return this.#dropped
  }
}
