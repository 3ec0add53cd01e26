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
 * worth a move and the last one (`movedAt`) is some time ago; then ICE's priority, of a pair that has turned valid since:
 * which of two proven pairs has the higher number is no reason to move, and which of two ports of one way neither.
 */
export function isBetter(now: number, a: Pair, b: Pair, timing: Timing, movedAt: number): boolean {
  const tiers = tierOf(a) - tierOf(b)
  if (tiers !== 0) return tiers > 0
  if (isFaster(a, b, timing)) return now >= movedAt + timing.holdAfterMove
  return a.priority > b.priority && a.validAt >= movedAt && !isFaster(b, a, timing) && !isSameWay(a, b)
}

/** From one address to one address: what has been tried to get through, such as fresh sockets, differs in its ports alone. */
function isSameWay(a: Pair, b: Pair): boolean {
  return a.base.ip === b.base.ip && a.destination.ip === b.destination.ip
}

/** By at least 10 ms and 15 %, over averages of at least three samples each. */
export function isFaster(a: Pair, b: Pair, { gainMs, gainRatio, gainSamples }: Timing): boolean {
  if (a.roundTrips < gainSamples || b.roundTrips < gainSamples) return false
  const [mine = 0, other = 0] = [a.smoothedRoundTripTime, b.smoothedRoundTripTime]
  return other - mine >= Math.max(gainMs, gainRatio * other)
}
