/** RFC 8489 §6.2.1: before anything is known about the path. */
export const INITIAL_RTO = 500

/** Round-trip time estimate of one path (RFC 6298 §2), for the retransmission timeout of its transactions. */
export class RttEstimator {
  #smoothed: number | undefined
  #variation = 0

  /** SRTT in ms, or `undefined` before the first sample. */
  get smoothed(): number | undefined {
    return this.#smoothed
  }

  /** Takes a round-trip time in ms that was measured on a transaction sent once (Karn's rule, RFC 6298 §3). */
  sample(ms: number): void {
    if (!(ms >= 0)) return
    if (this.#smoothed === undefined) {
      this.#smoothed = ms
      this.#variation = ms / 2
      return
    }
    this.#variation += (Math.abs(this.#smoothed - ms) - this.#variation) / 4
    this.#smoothed += (ms - this.#smoothed) / 8
  }

  /** The retransmission timeout in ms, at least `minimum`. Before the first sample: `INITIAL_RTO`. */
  rto(minimum: number): number {
    const estimate = this.#smoothed === undefined ? INITIAL_RTO : this.#smoothed + Math.max(CLOCK, 4 * this.#variation)
    return Math.max(minimum, estimate)
  }
}

/** G of RFC 6298: the granularity of our timers in ms. */
const CLOCK = 1
