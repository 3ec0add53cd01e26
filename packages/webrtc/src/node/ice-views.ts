import type { Candidate, CandidatePair } from '@floe/ice'
import { withoutScope } from '@floe/stun'
import { CandidatePairState, Candidate as WeriftCandidate, type CandidatePair as WeriftCandidatePair } from 'werift'

/** floe's candidate as werift's SDP and statistics want it. */
export function viewCandidate(candidate: Candidate): WeriftCandidate {
  const { address, relatedAddress, type, protocol } = candidate
  const view = new WeriftCandidate(
    candidate.foundation,
    candidate.component,
    protocol,
    candidate.priority,
    candidate.hostname ?? withoutScope(address.ip),
    address.port,
    type,
    relatedAddress && withoutScope(relatedAddress.ip),
    relatedAddress?.port,
    candidate.tcpType,
    undefined,
    candidate.usernameFragment,
  )
  // Statistics of one report refer to each other by id, and those of two reports are compared by it.
  view.id = [type, protocol, address.ip, address.port, candidate.tcpType].filter(Boolean).join('-')
  return view
}

const PAIR_STATES = {
  frozen: CandidatePairState.FROZEN,
  waiting: CandidatePairState.WAITING,
  'in-progress': CandidatePairState.IN_PROGRESS,
  succeeded: CandidatePairState.SUCCEEDED,
  failed: CandidatePairState.FAILED,
} as const

/** The part of a pair that werift's getStats() and getSelectedCandidatePair() read. W3C counts time in seconds. */
export function viewPair(pair: CandidatePair, iceControlling: boolean): WeriftCandidatePair {
  const { stats } = pair
  const view = {
    id: pair.id,
    localCandidate: viewCandidate(pair.local),
    remoteCandidate: viewCandidate(pair.remote),
    iceControlling,
    component: pair.local.component,
    foundation: `${pair.local.foundation}:${pair.remote.foundation}`,
    priority: Number(pair.priority),
    state: PAIR_STATES[pair.state],
    // werift looks for the pair in use by its nomination; more than one pair may have been nominated since.
    nominated: pair.selected,
    packetsSent: stats.packetsSent,
    packetsReceived: stats.packetsReceived,
    bytesSent: stats.bytesSent,
    bytesReceived: stats.bytesReceived,
    rtt: pair.roundTripTime === undefined ? undefined : pair.roundTripTime / 1000,
    totalRoundTripTime: stats.totalRoundTripTime / 1000,
    roundTripTimeMeasurements: stats.responsesReceived,
    requestsReceived: stats.requestsReceived,
    requestsSent: stats.requestsSent,
    responsesReceived: stats.responsesReceived,
    responsesSent: stats.responsesSent,
    retransmissionsReceived: 0,
    retransmissionsSent: stats.retransmissionsSent,
    consentRequestsSent: stats.consentRequestsSent,
  }
  return view as unknown as WeriftCandidatePair
}
