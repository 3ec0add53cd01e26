import type { CandidatePair } from './candidate-pair.ts'
import { costOf } from './network-cost.ts'

/**
 * What is told of a pair: W3C RTCIceCandidatePairStats, with times in seconds and timestamps in milliseconds since 1970,
 * and beyond W3C what path control goes by.
 */
export interface PairReport {
  readonly currentRoundTripTime?: number
  readonly totalRoundTripTime: number
  readonly requestsSent: number
  readonly requestsReceived: number
  readonly responsesSent: number
  readonly responsesReceived: number
  readonly consentRequestsSent: number
  readonly packetsSent: number
  readonly packetsReceived: number
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly lastPacketSentTimestamp?: number
  readonly lastPacketReceivedTimestamp?: number
  /** Average of the measured round trips, 1/8 of each new one. */
  readonly smoothedRoundTripTime?: number
  readonly retransmissionsSent: number
  /** Part of our requests, 0 to 1, that no answer has come to, retransmissions included; undefined before the first. */
  readonly requestLoss?: number
  /** When the peer last agreed to be sent to: for 30 s from then on it may be (RFC 7675). */
  readonly consentTimestamp?: number
  /** How often it was found dead. */
  readonly deaths: number
  /** Of the networks at both ends, in libwebrtc's scale: 0 wired, 10 Wi-Fi, 50 unknown, 900 cellular. */
  readonly networkCost: number
}

/** `epoch`: when the agent's clock was at zero, in milliseconds since 1970. */
export function pairReport(pair: CandidatePair, epoch: number): PairReport {
  const { stats, roundTripTime, smoothedRoundTripTime, consentAt, deaths } = pair
  const { lastPacketSent, lastPacketReceived, totalRoundTripTime, ...counts } = stats
  const loss = lossOf(stats)
  return {
    ...counts,
    totalRoundTripTime: totalRoundTripTime / 1000,
    deaths,
    networkCost: costOf(pair),
    ...(roundTripTime !== undefined && { currentRoundTripTime: roundTripTime / 1000 }),
    ...(smoothedRoundTripTime !== undefined && { smoothedRoundTripTime: smoothedRoundTripTime / 1000 }),
    ...(loss !== undefined && { requestLoss: loss }),
    ...(Number.isFinite(lastPacketSent) && { lastPacketSentTimestamp: epoch + lastPacketSent }),
    ...(Number.isFinite(lastPacketReceived) && { lastPacketReceivedTimestamp: epoch + lastPacketReceived }),
    ...(Number.isFinite(consentAt) && { consentTimestamp: epoch + consentAt }),
  }
}

function lossOf({ requestsSent, retransmissionsSent, responsesReceived }: CandidatePair['stats']): number | undefined {
  const sent = requestsSent + retransmissionsSent
  return sent > 0 ? 1 - Math.min(1, responsesReceived / sent) : undefined
}
