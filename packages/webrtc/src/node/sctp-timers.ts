import type { SctpInternals } from './werift-internals.ts'

/** Seconds, as dcSCTP in browsers has them: RFC 9260 §16 recommends 1 s for both, for the whole internet of 2007. */
const INITIAL_RTO = 0.5
const MIN_RTO = 0.4
const MAX_RTO = 60

/** How long SCTP waits before it sends something again. werift starts with 3 s, which a user notices. */
export function hastenRetransmission(sctp: SctpInternals): void {
  sctp.rto = INITIAL_RTO
  const updateRto = sctp.updateRto.bind(sctp)
  sctp.updateRto = (roundTripTime) => {
    updateRto(roundTripTime)
    const { srtt = 0, rttvar = 0 } = sctp
    sctp.rto = Math.min(Math.max(srtt + 4 * rttvar, MIN_RTO), MAX_RTO)
  }
}
