/** The clock of all drivers: milliseconds, monotonic, with fractions. */
export function clock(): number {
  return performance.now()
}

/** setTimeout's own limit; beyond it fires at once. */
const MAX_TIMEOUT = 2 ** 31 - 1

/** One timer that is set anew for whatever deadline comes next. */
export class Alarm {
  readonly #ring: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(ring: () => void) {
    this.#ring = ring
  }

  /** `at` on `clock()`; `Infinity` for never. An early ring is possible, and harmless to a machine. */
  set(at: number): void {
    clearTimeout(this.#timer)
    if (at === Number.POSITIVE_INFINITY) return
    const delay = Math.max(1, Math.ceil(at - clock()))
    this.#timer = setTimeout(this.#ring, Math.min(delay, MAX_TIMEOUT))
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
