import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'

/** Direct UDP, TURN over UDP, direct TCP, TURN over TCP or TLS: what a path is made of counts before its round trip. */
export function tierOf({ local, remote }: Pair): number {
  if (local.relayProtocol === 'tcp' || local.relayProtocol === 'tls') return 0
  if (local.protocol === 'tcp') return 1
  return local.type === 'relay' || remote.type === 'relay' ? 2 : 3
}

/** The tier of a path that nothing on the way relays or holds back. */
export const DIRECT = 3

/**
 * Whether data should move from one working pair to another. Tiers first; then the round trip, where the difference is
 * worth a move and `mayCompete` (not just after another move); then ICE's priority, which counts until a round trip has
 * spoken against it.
 */
export function isBetter(a: Pair, b: Pair, timing: Timing, mayCompete: boolean): boolean {
  const tiers = tierOf(a) - tierOf(b)
  if (tiers !== 0) return tiers > 0
  if (isFaster(a, b, timing)) return mayCompete
  return a.priority > b.priority && !a.outrun && !isFaster(b, a, timing)
}

/** By at least 10 ms and 15 %, over averages of at least three samples each. */
export function isFaster(a: Pair, b: Pair, { gainMs, gainRatio, gainSamples }: Timing): boolean {
  if (a.roundTrips < gainSamples || b.roundTrips < gainSamples) return false
  const [mine = 0, other = 0] = [a.smoothedRoundTripTime, b.smoothedRoundTripTime]
  return other - mine >= Math.max(gainMs, gainRatio * other)
}
