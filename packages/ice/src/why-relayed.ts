/** Why data takes a relay although nobody wants it to: what the candidates and pairs of a connection tell, as a code. */
import { type Address, addressFamily } from '@floe/stun'
import { addressScope } from './candidate.ts'

/** Stable: programs may switch over it. `RELAY_REASONS` has the words. */
export type RelayReason =
  | 'local-relay-only'
  | 'remote-relay-only'
  | 'checking'
  | 'relay-preferred'
  | 'no-common-family'
  | 'local-not-reflexive'
  | 'remote-not-reflexive'
  | 'both-endpoint-dependent'
  | 'local-endpoint-dependent'
  | 'remote-endpoint-dependent'
  | 'no-answer'

/** Each reason in plain words, with what helps. */
export const RELAY_REASONS: Readonly<Record<RelayReason, string>> = {
  'local-relay-only': 'this side offers nothing but a relay, because it was told to or because its UDP is blocked',
  'remote-relay-only':
    'the other side offers nothing but a relay, because it was told to or because its UDP is blocked',
  checking: 'direct paths are still being tried',
  'relay-preferred': 'a direct path works too: one side prefers the relay, or the direct path has failed a moment ago',
  'no-common-family': 'one side has IPv4 only and the other IPv6 only, and no NAT64 is in between',
  'local-not-reflexive': 'this side does not know its public address: no STUN server has answered it',
  'remote-not-reflexive': 'the other side did not tell a public address: no STUN server has answered it',
  'both-endpoint-dependent':
    'both NATs give another port to every destination; a port mapping (UPnP, PCP) or IPv6 helps',
  'local-endpoint-dependent':
    'this side’s NAT gives another port to every destination, and the other one filters; a port mapping or IPv6 helps',
  'remote-endpoint-dependent':
    'the other side’s NAT gives another port to every destination, and ours filters; a port mapping or IPv6 helps',
  'no-answer': 'none of the direct paths answers: a firewall or NAT on one side lets nobody in',
}

/** What is looked at of a candidate; agents have more, statistics not always this much. */
export interface CandidateEvidence {
  readonly type: string
  readonly protocol: string
  readonly address: Address
  readonly relatedAddress?: Address
  /** Of the STUN server that has seen it. A router that maps a port has none, nor have the peer's candidates. */
  readonly url?: string
}

export interface PathEvidence {
  readonly local: CandidateEvidence
  readonly remote: CandidateEvidence
  /** W3C RTCStatsIceCandidatePairState, or RFC 8445's. */
  readonly state: string
}

export interface RelayEvidence {
  readonly localCandidates: readonly CandidateEvidence[]
  readonly remoteCandidates: readonly CandidateEvidence[]
  readonly pairs: readonly PathEvidence[]
  readonly selectedPair: Pick<PathEvidence, 'local' | 'remote'> | undefined
}

/** `undefined`: nothing is selected, or what is has no relay in it. */
export function whyRelayed(evidence: RelayEvidence): RelayReason | undefined {
  const { selectedPair, localCandidates, remoteCandidates, pairs } = evidence
  if (!selectedPair || ![selectedPair.local, selectedPair.remote].some(isRelay)) return undefined
  const [local, remote] = [localCandidates.filter(isDirect), remoteCandidates.filter(isDirect)]
  if (local.length === 0) return 'local-relay-only'
  if (remote.length === 0) return 'remote-relay-only'
  const direct = pairs.filter((pair) => !isRelay(pair.local) && !isRelay(pair.remote))
  if (direct.some(({ state }) => state === 'succeeded')) return 'relay-preferred'
  if (direct.some(({ state }) => PENDING.has(state))) return 'checking'
  // Where there are pairs a NAT64 makes up for the family.
  if (direct.length === 0 && !haveCommonFamily(local, remote)) return 'no-common-family'
  return whyUnreached(local, remote)
}

/** `waiting` may stay so for long where the list is frozen: what is under way counts, and what has not begun. */
const PENDING: ReadonlySet<string> = new Set(['in-progress', 'waiting'])

function whyUnreached(local: readonly CandidateEvidence[], remote: readonly CandidateEvidence[]): RelayReason {
  if (!local.some(isKnownOutside)) return 'local-not-reflexive'
  if (!remote.some(isKnownOutside)) return 'remote-not-reflexive'
  const [ours, theirs] = [isEndpointDependent(local), isEndpointDependent(remote)]
  if (ours && theirs) return 'both-endpoint-dependent'
  if (ours) return 'local-endpoint-dependent'
  return theirs ? 'remote-endpoint-dependent' : 'no-answer'
}

function isRelay({ type }: CandidateEvidence): boolean {
  return type === 'relay'
}

/** TCP candidates make direct paths too, but where only those are left UDP is blocked. */
function isDirect({ type, protocol }: CandidateEvidence): boolean {
  return type !== 'relay' && protocol === 'udp'
}

/** A name (mDNS) may be of either family. */
function haveCommonFamily(these: readonly CandidateEvidence[], those: readonly CandidateEvidence[]): boolean {
  const families = (all: readonly CandidateEvidence[]) => all.map(({ address }) => addressFamily(address.ip))
  const [ours, theirs] = [families(these), families(those)]
  return ours.some((family) => family === undefined || theirs.includes(undefined) || theirs.includes(family))
}

function isKnownOutside({ type, address: { ip } }: CandidateEvidence): boolean {
  return type === 'srflx' || type === 'prflx' || (addressFamily(ip) !== undefined && addressScope(ip) === 'global')
}

/** One base has been seen at several ports of one address. What the router maps is another port whatever its NAT does. */
function isEndpointDependent(candidates: readonly CandidateEvidence[]): boolean {
  const seen = new Map<string, number>()
  const tellServers = candidates.some(({ type, url }) => type === 'srflx' && url !== undefined)
  for (const { type, address, relatedAddress, url } of candidates) {
    if (type !== 'srflx' && type !== 'prflx') continue
    if (type === 'srflx' && tellServers && url === undefined) continue
    // Statistics of browsers may hide the base: then all are taken for those of one.
    const key = `${address.ip} ${relatedAddress ? `${relatedAddress.ip} ${relatedAddress.port}` : ''}`
    const port = seen.get(key)
    if (port !== undefined && port !== address.port) return true
    seen.set(key, address.port)
  }
  return false
}
