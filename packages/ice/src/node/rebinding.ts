/** Has sockets that died bound again: at once, and when they die or fail once more, ever more seldom. */
export class Rebinding {
  readonly #rebind: () => boolean
  #timer: NodeJS.Timeout | undefined
  #pause = 0
  #triedAt = Number.NEGATIVE_INFINITY

  /** `rebind` returns `false` when a socket is still missing. */
  constructor(rebind: () => boolean) {
    this.#rebind = rebind
  }

  /** A socket has died. What comes of it comes later: this may be called in the middle of a send. */
  begin(): void {
    if (this.#timer) return
    if (performance.now() > this.#triedAt + PAUSE.forgottenAfter) this.#pause = 0
    this.#timer = setTimeout(() => this.#try(), this.#pause)
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #try(): void {
    this.#timer = undefined
    this.#triedAt = performance.now()
    this.#pause = Math.min(Math.max(2 * this.#pause, PAUSE.first), PAUSE.longest)
    if (!this.#rebind()) this.begin()
  }
}

/** Milliseconds. What kills a socket may kill the next one: then it is not to take the processor as well. */
const PAUSE = { first: 250, longest: 30_000, forgottenAfter: 60_000 } as const
