/**
 * Whether a server still has its state, judged by the seconds since it lost it that each of its packets carries.
 * A rule gives `false` when it must have forgotten our mappings.
 */
export class Epoch {
  readonly #rule: EpochRule
  #previous: Reading | undefined

  constructor(rule: EpochRule) {
    this.#rule = rule
  }

  /** `now` in milliseconds, `epoch` in seconds. The first packet of a server is always valid. */
  check(now: number, epoch: number): boolean {
    const reading = { client: now / 1000, server: epoch }
    const valid = this.#previous === undefined || this.#rule(this.#previous, reading)
    this.#previous = reading
    return valid
  }
}

/** Both in seconds: our clock and the server's. */
interface Reading {
  readonly client: number
  readonly server: number
}

export type EpochRule = (previous: Reading, current: Reading) => boolean

/** RFC 6887 §8.5: at most 1 s backwards, and no more than 1/16 and 2 s faster or slower than our clock. */
export const pcpEpoch: EpochRule = (previous, current) => {
  if (current.server < previous.server - 1) return false
  const client = current.client - previous.client
  const server = current.server - previous.server
  return client + 2 >= server - server / 16 && server + 2 >= client - client / 16
}

/** RFC 6886 §3.6: a clock may run 1/8 slow, and 2 s are forgiven. */
export const natPmpEpoch: EpochRule = (previous, current) =>
  current.server >= previous.server + ((current.client - previous.client) * 7) / 8 - 2
