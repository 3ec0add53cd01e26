import type { Signal } from '../peer/test-peer.ts'
import type { LabEndpoint } from './peer.ts'

/** The path beside the network: text in order, with a latency of its own each way. */
export interface SignalingOptions {
  /** Milliseconds from the first end to the second, and back. Default 20 each. */
  readonly latency?: readonly [forth: number, back: number]
}

/** Joins two peers. The promise rejects as soon as one of them refuses a message of the other. */
export function join(a: LabEndpoint, b: LabEndpoint, { latency = [20, 20] }: SignalingOptions = {}): Promise<never> {
  return new Promise((_, reject) => {
    const carry = (to: LabEndpoint, ms: number) => {
      let last: Promise<unknown> = Promise.resolve()
      return (signal: Signal) => {
        const flight = new Promise((resolve) => setTimeout(resolve, ms))
        last = Promise.all([last, flight])
          .then(() => to.signal(signal))
          .catch(reject)
      }
    }
    a.onsignal = carry(b, latency[0])
    b.onsignal = carry(a, latency[1])
  })
}
