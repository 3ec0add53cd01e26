import { RELAY_PREFERENCE, TCP_DIRECTION_PREFERENCE } from './defaults.ts'
import type { RelayProtocol } from './servers.ts'

/** RFC 6544 §4.2: the direction in the upper three bits, the rest as over UDP. */
export function tcpPreference(tcpType: 'active' | 'passive', rank: number): number {
  return TCP_DIRECTION_PREFERENCE[tcpType] * 2 ** 13 + 2 ** 13 - 1 - rank
}

/** Unique among the relayed candidates: by the way to the server, then IPv6 before IPv4, then in order of arrival. */
export function relayPreference(protocol: RelayProtocol, family: 4 | 6 | undefined, index: number): number {
  return RELAY_PREFERENCE[protocol] * 2 ** 14 + 2 ** 14 - 1 - 2 * index - (family === 4 ? 1 : 0)
}
