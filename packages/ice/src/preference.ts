import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import { costDifference } from './network-cost.ts'
import type { Context } from './outputs.ts'
import { isReachedOverStream } from './relay-protocol.ts'

/** Direct UDP, TURN over UDP, direct TCP, TURN over TCP or TLS: what a path is made of counts before its round trip. */
export function tierOf({ local, remote }: Pair): number {
  if (isReachedOverStream(local) || isReachedOverStream(remote)) return 0
  if (local.protocol === 'tcp') return 1
  return local.type === 'relay' || remote.type === 'relay' ? 2 : 3
}

/** The tier of a path that nothing on the way relays or holds back. */
export const DIRECT = 3

/**
 * Whether data should move from one working pair to another. The application's wishes first; then tiers;
 * then what the networks cost, as in libwebrtc; then the round trip, where the difference is
 * worth a move and the last one (`movedAt`) is some time ago; then ICE's priority, of a pair that has turned valid since:
 * which of two proven pairs has the higher number is no reason to move, and nothing is between two ports of one way.
 */
export function isBetter(now: number, a: Pair, b: Pair, { timing, verdicts }: Context, movedAt: number): boolean {
  const wishes = verdicts ? Number(verdicts.of(a) === 'prefer') - Number(verdicts.of(b) === 'prefer') : 0
  if (wishes !== 0) return wishes > 0
  const tiers = tierOf(a) - tierOf(b)
  if (tiers !== 0) return tiers > 0
  if (isSameWay(a, b)) return false
  const isDue = now >= movedAt + timing.holdAfterMove
  const costs = costDifference(a, b)
  if (costs !== 0) return costs > 0 && (isDue || a.validAt >= movedAt)
  if (isFaster(a, b, timing)) return isDue
  // Where a way opens, one over a relay is often valid a moment before the direct one: data would move twice.
  const isOpening = a.validAt >= movedAt + timing.relaySettle && now < a.validAt + timing.relaySettle
  const mayWait = isOpening && tierOf(a) < DIRECT
  return a.priority > b.priority && a.validAt >= movedAt && !mayWait && !isSlower(a, b, timing)
}

/**
 * From one of our networks to one of the peer's: sockets that were tried one after the other, to get through, differ in
 * their ports alone, and in what chance makes of their round trips. Behind a relay's address there may be any network.
 */
function isSameWay(a: Pair, b: Pair): boolean {
  const candidates = [a.local, a.remote, b.local, b.remote]
  if (candidates.some(({ type }) => type === 'relay')) return false
  const [one, other] = [a, b].map(({ remote }) => remote.relatedAddress?.ip)
  const isOneNetwork = one === undefined || other === undefined || one === other
  return a.base.ip === b.base.ip && a.destination.ip === b.destination.ip && isOneNetwork
}

/** By at least 10 ms and 15 %, over averages of at least three samples each. */
export function isFaster(a: Pair, b: Pair, timing: Timing): boolean {
  const isMeasured = ({ roundTrips }: Pair) => roundTrips >= timing.gainSamples
  return isMeasured(a) && isMeasured(b) && gains(a, b, timing)
}

/** By as much, as far as the first sample of `a` tells: data would leave it again after the third. */
function isSlower(a: Pair, b: Pair, timing: Timing): boolean {
  return a.roundTrips > 0 && b.roundTrips >= timing.gainSamples && gains(b, a, timing)
}

function gains(a: Pair, b: Pair, { gainMs, gainRatio }: Timing): boolean {
  const [mine = 0, other = 0] = [a.smoothedRoundTripTime, b.smoothedRoundTripTime]
  return other - mine >= Math.max(gainMs, gainRatio * other)
}
