import type { SctpInternals } from './werift-internals.ts'

/** Once is what loss does, now and then: a packet that was the last one has nothing behind it to show that it is missing. */
const EXPIRIES = 2

/**
 * Tells when what was sent has been repeated again and again without any acknowledgement: RFC 9260 §6.3.3. Either the path
 * is dead, which ICE finds out by itself, or it swallows data and lets checks through, which nobody else can know.
 */
export function reportStalls(sctp: SctpInternals, onstall: () => void): void {
  let acknowledged: number | undefined
  let expiries = 0
  const { timer3Expired } = sctp
  sctp.timer3Expired = () => {
    if (sctp.lastSackedTsn !== acknowledged) expiries = 0
    acknowledged = sctp.lastSackedTsn
    // Before it is sent again: it is to take the second path too.
    if (++expiries >= EXPIRIES) onstall()
    timer3Expired.call(sctp)
  }
}
