import type { Candidate } from '../candidate.ts'
import type { CandidatePair } from '../candidate-pair.ts'
import type { IceTransportState } from '../outputs.ts'
import { type PairReport, pairReport } from '../pair-report.ts'
import type { IceRole } from '../parameters.ts'
import type { PathSwitch } from '../switch-history.ts'
import { type RelayReason, whyRelayed } from '../why-relayed.ts'
import type { Traffic } from './driver.ts'

/** W3C RTCIceCandidateStats. An address behind an mDNS name is shown by that name only. */
export interface IceCandidateStats {
  readonly type: 'local-candidate' | 'remote-candidate'
  readonly id: string
  readonly timestamp: number
  readonly address: string
  readonly port: number
  readonly protocol: 'udp' | 'tcp'
  readonly candidateType: Candidate['type']
  readonly priority: number
  readonly foundation: string
  readonly usernameFragment?: string
  readonly url?: string
  readonly tcpType?: 'active' | 'passive' | 'so'
  readonly relayProtocol?: 'udp' | 'tcp' | 'tls'
}

/** W3C RTCIceCandidatePairStats. Times are in seconds there, and so they are here; timestamps are in milliseconds. */
export interface IceCandidatePairStats extends PairReport {
  readonly type: 'candidate-pair'
  readonly id: string
  readonly timestamp: number
  readonly transportId: string
  readonly localCandidateId: string
  readonly remoteCandidateId: string
  readonly state: CandidatePair['state']
  readonly nominated: boolean
  readonly selected: boolean
}

/** The ICE part of W3C RTCTransportStats. */
export interface IceTransportStats extends Readonly<Traffic> {
  readonly type: 'transport'
  readonly id: string
  readonly timestamp: number
  readonly iceRole: IceRole
  readonly iceState: IceTransportState
  readonly iceLocalUsernameFragment: string
  readonly selectedCandidatePairId?: string
  readonly selectedCandidatePairChanges: number
  /** Beyond W3C: the latest moves of data from one pair to another, by their ids here, 32 at most. */
  readonly switchHistory: readonly PathSwitchStats[]
  /** Beyond W3C: why data takes a relay, while it does. */
  readonly whyRelayed?: RelayReason
}

export interface PathSwitchStats extends Omit<PathSwitch, 'at'> {
  readonly timestamp: number
}

export type IceStats = IceTransportStats | IceCandidatePairStats | IceCandidateStats

/** Like W3C's RTCStatsReport: by id. */
export type IceStatsReport = ReadonlyMap<string, IceStats>

export interface StatsSource {
  readonly role: IceRole
  readonly state: IceTransportState
  readonly usernameFragment: string
  readonly localCandidates: readonly Candidate[]
  readonly remoteCandidates: readonly Candidate[]
  readonly checklist: readonly CandidatePair[]
  readonly traffic: Traffic
  readonly selectedPair: CandidatePair | undefined
  readonly selectedPairChanges: number
  readonly switches: readonly PathSwitch[]
}

const TRANSPORT_ID = 'T'
/** The driver's clock is `performance.now()`. */
const EPOCH = performance.timeOrigin

export function statsReport(source: StatsSource): IceStatsReport {
  const timestamp = Date.now()
  const report = new Map<string, IceStats>()
  const ids = new Map<Candidate, string>()
  const addCandidate = (candidate: Candidate, type: IceCandidateStats['type']) => {
    const known = ids.get(candidate)
    if (known !== undefined) return known
    const id = `${type === 'local-candidate' ? 'L' : 'R'}${ids.size}`
    ids.set(candidate, id)
    report.set(id, candidateStats(candidate, type, id, timestamp))
    return id
  }
  report.set(TRANSPORT_ID, transportStats(source, timestamp))
  for (const candidate of source.localCandidates) addCandidate(candidate, 'local-candidate')
  for (const candidate of source.remoteCandidates) addCandidate(candidate, 'remote-candidate')
  for (const pair of source.checklist) {
    const local = addCandidate(pair.local, 'local-candidate')
    const remote = addCandidate(pair.remote, 'remote-candidate')
    report.set(pairId(pair), pairStats(pair, local, remote, timestamp))
  }
  return report
}

function pairId({ id }: Pick<CandidatePair, 'id'>): string {
  return `P${id}`
}

function transportStats(source: StatsSource, timestamp: number): IceTransportStats {
  const { selectedPair } = source
  const reason = whyRelayed({ ...source, pairs: source.checklist })
  return {
    type: 'transport',
    id: TRANSPORT_ID,
    timestamp,
    iceRole: source.role,
    iceState: source.state,
    iceLocalUsernameFragment: source.usernameFragment,
    ...source.traffic,
    ...(selectedPair && { selectedCandidatePairId: pairId(selectedPair) }),
    selectedCandidatePairChanges: source.selectedPairChanges,
    switchHistory: source.switches.map(switchStats),
    ...(reason && { whyRelayed: reason }),
  }
}

function switchStats({ at, from, to, path, reason }: PathSwitch): PathSwitchStats {
  const before = from === undefined ? undefined : pairId({ id: from })
  return { timestamp: EPOCH + at, from: before, to: pairId({ id: to }), path, reason }
}

function candidateStats(
  candidate: Candidate,
  type: IceCandidateStats['type'],
  id: string,
  timestamp: number,
): IceCandidateStats {
  const { address, hostname, protocol, priority, foundation, usernameFragment, url, tcpType, relayProtocol } = candidate
  return {
    type,
    id,
    timestamp,
    address: hostname ?? address.ip,
    port: address.port,
    protocol,
    candidateType: candidate.type,
    priority,
    foundation,
    ...(usernameFragment !== undefined && { usernameFragment }),
    ...(url !== undefined && { url }),
    ...(tcpType && { tcpType }),
    ...(relayProtocol && { relayProtocol }),
  }
}

function pairStats(pair: CandidatePair, local: string, remote: string, timestamp: number): IceCandidatePairStats {
  return {
    type: 'candidate-pair',
    id: pairId(pair),
    timestamp,
    transportId: TRANSPORT_ID,
    localCandidateId: local,
    remoteCandidateId: remote,
    state: pair.state,
    nominated: pair.nominated,
    selected: pair.selected,
    ...pairReport(pair, EPOCH),
  }
}
