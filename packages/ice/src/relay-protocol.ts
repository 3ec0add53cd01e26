import type { Candidate } from './candidate.ts'
import type { RelayProtocol } from './servers.ts'

/**
 * Name in the candidate line, after W3C's statistics, and ours alone: the peer ranks paths by what they are made of as
 * well, and cannot see how we reach our relay. Left out for UDP.
 */
const NAME = 'relay-protocol'

/** How a relayed candidate tells of the way to its server. */
export function relayExtensions(protocol: RelayProtocol): NonNullable<Candidate['extensions']> {
  return protocol === 'udp' ? [] : [[NAME, protocol]]
}

/** Whether packets wait for lost ones on the way to the relay; of the peer's, as far as its candidate says so. */
export function isReachedOverStream({ relayProtocol, extensions }: Candidate): boolean {
  const protocol = relayProtocol ?? extensions?.find(([name]) => name === NAME)?.[1]
  return protocol === 'tcp' || protocol === 'tls'
}
