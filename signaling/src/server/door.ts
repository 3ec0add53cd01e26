import { type Addresses, countedAs } from './addresses.ts'
import type { Metrics } from './metrics.ts'

/** Who is turned away before a request is looked at. */
export class Door {
  readonly #addresses: Addresses
  readonly #metrics: Metrics

  constructor(addresses: Addresses, metrics: Metrics) {
    this.#addresses = addresses
    this.#metrics = metrics
  }

  /** Seconds for which this address may not begin anything, which it is told; 0: it may. */
  refusedFor(address: string): number {
    const now = performance.now()
    const seconds = this.#addresses.refusedFor(address, now)
    if (seconds > 0) this.#addresses.turnedAway(address, now)
    return seconds
  }

  /** It has been turned away so often in the last seconds that it is not told any more. */
  isShunned(remoteAddress: string | undefined): boolean {
    const isShunned = this.#addresses.isShunned(countedAs(remoteAddress ?? ''), performance.now())
    if (isShunned) this.#metrics.count('floe_signaling_connections_refused_total', { reason: 'shunned' })
    return isShunned
  }
}
