import type { Signal } from '../peer/test-peer.ts'
import type { LabEndpoint } from './peer.ts'

/** The path beside the network: text in order, with a latency of its own each way. */
export interface SignalingOptions {
  /** Milliseconds from the first end to the second, and back. Default 20 each. */
  readonly latency?: readonly [forth: number, back: number]
}

export interface SignalingPath {
  /** Rejects as soon as an end refuses a message of the other. */
  readonly broken: Promise<never>
  /** Messages wait until `up()`. */
  down(): void
  up(): void
}

export function join(a: LabEndpoint, b: LabEndpoint, { latency = [20, 20] }: SignalingOptions = {}): SignalingPath {
  let open = Promise.resolve()
  let reopen = () => {}
  let refuse = (_: unknown) => {}
  const broken = new Promise<never>((_, reject) => {
    refuse = reject
  })
  broken.catch(() => {}) // Who no longer listens has had a result.
  const carry = (to: LabEndpoint, ms: number) => {
    let last: Promise<unknown> = Promise.resolve()
    return (signal: Signal) => {
      const flight = open.then(() => new Promise((resolve) => setTimeout(resolve, ms)))
      last = Promise.all([last, flight])
        .then(() => to.signal(signal))
        .catch(refuse)
    }
  }
  a.onsignal = carry(b, latency[0])
  b.onsignal = carry(a, latency[1])
  return {
    broken,
    down() {
      open = new Promise((resolve) => {
        reopen = resolve
      })
    },
    up: () => reopen(),
  }
}
