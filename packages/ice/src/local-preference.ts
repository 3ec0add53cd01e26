import { type Candidate, candidatePriority } from './candidate.ts'
import { RELAY_PREFERENCE, TCP_DIRECTION_PREFERENCE } from './defaults.ts'
import type { RelayProtocol } from './servers.ts'

/** Of bases that are not signalled: below all that is gathered, and enough for all of them, each one below the one before. */
export const ADOPTED_PREFERENCE = 1_000

/** RFC 6544 §4.2: the direction in the upper three bits, the rest as over UDP. */
export function tcpPreference(tcpType: 'active' | 'passive', rank: number): number {
  return TCP_DIRECTION_PREFERENCE[tcpType] * 2 ** 13 + 2 ** 13 - 1 - rank
}

/** Unique among the relayed candidates: by the way to the server, then IPv6 before IPv4, then in order of arrival. */
export function relayPreference(protocol: RelayProtocol, family: 4 | 6 | undefined, index: number): number {
  return RELAY_PREFERENCE[protocol] * 2 ** 14 + 2 ** 14 - 1 - 2 * index - (family === 4 ? 1 : 0)
}

/** RFC 8445 §5.1.2.1: no two of a type have one priority, not even where two servers see one base at two addresses. */
export function uniquePriority(
  candidates: readonly Candidate[],
  type: Candidate['type'],
  preference: number,
  protocol: Candidate['protocol'],
): number {
  for (let free = preference; ; free--) {
    const priority = candidatePriority(type, free, 1, protocol)
    if (!candidates.some((known) => known.priority === priority)) return priority
  }
}
