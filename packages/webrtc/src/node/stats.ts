import { createHash } from 'node:crypto'
import { type Candidate, type CandidatePair, pairReport } from '@floe/ice'
import type { IceTransportStats } from '@floe/ice/node'
import { CipherSuite } from 'werift'
import { assertConstructible, type Constructible, constructible } from './constructible.ts'
import type { DataStream } from './data-stream.ts'
import type { SeamTransport } from './seam.ts'
import { defineInterface } from './webidl.ts'

/** One object of a report. Its fields are those of W3C's webrtc-stats for its `type`; times are in seconds there. */
export interface Stats {
  readonly id: string
  readonly type: string
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly [field: string]: unknown
}

export interface StatsSource {
  readonly transports: readonly SeamTransport[]
  readonly channels: Iterable<DataStream>
  readonly dataChannelsOpened: number
  readonly dataChannelsClosed: number
}

/** W3C RTCStatsReport, webrtc-pc §8.4: by id. It is a Map, and the caller's own. */
export class RTCStatsReport extends Map<string, Stats> {
  /** @internal */
  constructor(key: Constructible) {
    assertConstructible(key, 'getStats() makes reports')
    super()
  }
}

defineInterface(RTCStatsReport)

/** The same thing has the same id in every report of a connection. */
export function statsReport(source: StatsSource): RTCStatsReport {
  const report = new RTCStatsReport(constructible)
  const timestamp = performance.timeOrigin + performance.now()
  const add = (id: string, type: string, fields: Record<string, unknown>): string => {
    const present = Object.entries(fields).filter(([, value]) => value !== undefined)
    if (!report.has(id)) report.set(id, { id, type, timestamp, ...Object.fromEntries(present) })
    return id
  }
  const { dataChannelsOpened, dataChannelsClosed } = source
  add('P', 'peer-connection', { dataChannelsOpened, dataChannelsClosed })
  for (const [index, transport] of source.transports.entries()) addTransport(transport, `T${index}`, add)
  for (const channel of source.channels) add(`D${channel.id}`, 'data-channel', channelFields(channel))
  return report
}

type Add = (id: string, type: string, fields: Record<string, unknown>) => string

function addTransport({ dtls, connection: { transport } }: SeamTransport, transportId: string, add: Add): void {
  const addCandidate = (candidate: Candidate, type: 'local-candidate' | 'remote-candidate') =>
    add(candidateId(candidate, type, transportId), type, { transportId, ...candidateFields(candidate) })
  for (const candidate of transport.getLocalCandidates()) addCandidate(candidate, 'local-candidate')
  for (const candidate of transport.getRemoteCandidates()) addCandidate(candidate, 'remote-candidate')
  for (const pair of transport.checklist) {
    const localCandidateId = addCandidate(pair.local, 'local-candidate')
    const remoteCandidateId = addCandidate(pair.remote, 'remote-candidate')
    const fields = { transportId, localCandidateId, remoteCandidateId, ...pairFields(pair) }
    add(pairId(pair, transportId), 'candidate-pair', fields)
  }
  const selected = transport.getSelectedCandidatePair()
  const [iceStats] = [...transport.getStats().values()].filter((stats) => stats.type === 'transport')
  const own = dtls.localCertificate && derOf(dtls.localCertificate.certPem)
  const peers = dtls.dtls?.remoteCertificate
  add(transportId, 'transport', {
    ...iceStats,
    switchHistory: iceStats && switchHistory(iceStats, transportId),
    id: undefined,
    type: undefined,
    timestamp: undefined,
    ...dtlsFields(dtls),
    selectedCandidatePairId: selected ? pairId(selected, transportId) : undefined,
    localCertificateId: own && addCertificate(own, add),
    remoteCertificateId: peers && addCertificate(peers, add),
  })
}

function dtlsFields({ state, role, dtls }: SeamTransport['dtls']): Record<string, unknown> {
  const suite = state === 'connected' ? dtls?.cipher.cipherSuite : undefined
  const [name] = Object.entries(CipherSuite).find(([, value]) => value === suite) ?? []
  return {
    dtlsState: state,
    dtlsRole: role === 'auto' ? 'unknown' : role,
    // DTLS 1.2, as it is on the wire.
    tlsVersion: state === 'connected' ? 'FEFD' : undefined,
    // werift appends the number.
    dtlsCipher: name?.replace(/_\d+$/, ''),
  }
}

function addCertificate(der: Uint8Array, add: Add): string {
  const digest = createHash('sha256').update(der).digest('hex')
  const fingerprint = digest.toUpperCase().match(/../g)!.join(':')
  const base64Certificate = Buffer.from(der).toString('base64')
  return add(`C${digest}`, 'certificate', { fingerprint, fingerprintAlgorithm: 'sha-256', base64Certificate })
}

function candidateFields(candidate: Candidate): Record<string, unknown> {
  const { address, hostname, relatedAddress, type, protocol, priority, foundation } = candidate
  return {
    // What is behind an mDNS name stays there.
    address: hostname ?? address.ip,
    port: address.port,
    protocol,
    candidateType: type,
    priority,
    foundation,
    tcpType: candidate.tcpType,
    relatedAddress: relatedAddress?.ip,
    relatedPort: relatedAddress?.port,
    usernameFragment: candidate.usernameFragment,
    url: candidate.url,
    relayProtocol: candidate.relayProtocol,
  }
}

function pairFields(pair: CandidatePair): Record<string, unknown> {
  const { state, nominated, selected } = pair
  // More than one pair may have been nominated since: webrtc-stats means the one in use.
  return { state, nominated: nominated && selected, ...pairReport(pair, performance.timeOrigin) }
}

function channelFields(channel: DataStream): Record<string, unknown> {
  const { parameters, state, id, messagesSent, bytesSent, messagesReceived, bytesReceived } = channel
  const { label, protocol } = parameters
  const counts = { messagesSent, bytesSent, messagesReceived, bytesReceived }
  return { label, protocol, dataChannelIdentifier: id, state, ...counts }
}

function candidateId(candidate: Candidate, type: string, transportId: string): string {
  const { address, protocol, tcpType } = candidate
  return [
    transportId,
    type === 'local-candidate' ? 'L' : 'R',
    candidate.type,
    protocol,
    tcpType,
    address.ip,
    address.port,
  ]
    .filter((part) => part !== undefined)
    .join('-')
}

function pairId({ id }: CandidatePair, transportId: string): string {
  return `${transportId}-P${id}`
}

function switchHistory({ switchHistory }: IceTransportStats, transportId: string): IceTransportStats['switchHistory'] {
  const here = (id: string) => `${transportId}-${id}`
  return switchHistory.map((entry) => ({ ...entry, from: entry.from && here(entry.from), to: here(entry.to) }))
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
}
