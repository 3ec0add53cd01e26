import { createRequire } from 'node:module'
import type { RTCDtlsTransport, RTCIceTransport, RTCPeerConnection, RTCSctpTransport, SessionDescription } from 'werift'

/**
 * The seam: every member of werift that floe relies on although it is not public. Nothing outside this file may cast
 * its way into werift. `seam.test.ts` checks that they are all there, in exactly this version.
 */
export const WERIFT_VERSION = '0.25.2'

export interface PeerConnectionInternals {
  lastCreatedOffer: unknown
  readonly sctpManager: SctpManagerInternals
  readonly secureManager: SecureTransportManagerInternals
  readonly sdpManager: SdpManagerInternals
  createSctpTransport(): RTCSctpTransport
}

export interface SecureTransportManagerInternals {
  certificate: RTCDtlsTransport['localCertificate']
  createTransport(options?: { inheritCredentials?: boolean }): RTCDtlsTransport
  getTransportByMLineIndex(description: SessionDescription, index: number): RTCIceTransport | undefined
  updateIceGatheringState(): void
  updateIceConnectionState(): void
}

export interface SdpManagerInternals {
  readonly currentLocalDescription?: SessionDescription
  readonly pendingLocalDescription?: SessionDescription
  readonly currentRemoteDescription?: SessionDescription
}

export interface DtlsTransportInternals {
  readonly remoteParameters?: {
    readonly role: 'auto' | 'client' | 'server'
    readonly fingerprints: readonly { readonly algorithm: string; readonly value: string }[]
  }
  verifyRemoteCertificateFingerprint(): void
  startSrtp(): void
}

export interface SctpManagerInternals {
  createSctpTransport(...options: unknown[]): RTCSctpTransport
}

export interface SctpTransportInternals {
  datachannelReceive(streamId: number, protocol: number, data: Buffer): Promise<void>
}

/** Of a DATA chunk. Times in seconds. */
export interface SctpChunk {
  readonly tsn: number
  readonly flags: number
  readonly streamId: number
  readonly streamSeqNum: number
  readonly sentCount: number
  readonly maxRetransmits?: number
  readonly expiry?: number
  readonly acked: boolean
  abandoned: boolean
  retransmit: boolean
}

/** A request or a response of RFC 6525, whichever fields it has. */
export interface ReconfigParameter {
  readonly type: number
  readonly requestSequence?: number
  readonly responseSequence?: number
  readonly lastTsn?: number
  readonly streams?: readonly number[]
  readonly result?: number
}

/** What werift writes into a packet. */
interface Serializable {
  readonly type: number
  readonly bytes: Buffer
}

export const AssociationState = { established: 4 } as const

export interface SctpInternals {
  readonly associationState: number
  readonly isStopped: boolean
  readonly isStopping: boolean
  readonly remoteExtensions: readonly number[]
  readonly stateChanged: Record<'connected' | 'closed', { subscribe(listener: () => void): unknown }>
  // Sending.
  readonly outboundQueue: SctpChunk[]
  readonly sentQueue: SctpChunk[]
  readonly lastSackedTsn: number
  advancedPeerAckTsn: number
  forwardTsnChunk: Serializable | undefined
  /** These three are in seconds. */
  rto: number
  readonly srtt?: number
  readonly rttvar?: number
  updateRto(roundTripTime: number): void
  abort(): Promise<void>
  onSackReceived(): Promise<void>
  sendChunk(chunk: Serializable): Promise<void>
  flightSizeDecrease(chunk: SctpChunk): void
  maybeAbandon(chunk: SctpChunk): boolean
  updateAdvancedPeerAckPoint(): void
  // Receiving.
  lastReceivedTsn: number
  readonly advertisedRwnd: number
  readonly sackMisOrdered: Set<number>
  sackDuplicates: number[]
  sackNeeded: boolean
  sackPacketCount: number
  sackImmediate: boolean
  handleData(packet: Buffer): Promise<void>
  markReceived(tsn: number): boolean
  sendSack(): Promise<void>
  receiveDataChunk(chunk: { readonly tsn: number }): void
  receiveForwardTsnChunk(chunk: unknown): void
  // Resetting streams.
  readonly inboundStreams: Record<number, unknown>
  readonly outboundStreamSeq: Record<number, unknown>
  readonly reconfigQueue: number[]
  reconfigRequest: { readonly requestSequence: number; readonly streams: readonly number[] } | undefined
  reconfigResponseSeq: number
  receiveReconfigParam(parameter: ReconfigParameter): Promise<void>
  sendReconfigParam(parameter: Serializable): Promise<void>
  transmitReconfigRequest(): Promise<void>
  timerReconfigCancel(): void
}

export function peerConnectionInternals(peerConnection: RTCPeerConnection): PeerConnectionInternals {
  return peerConnection as unknown as PeerConnectionInternals
}

export function dtlsInternals(transport: RTCDtlsTransport): DtlsTransportInternals {
  return transport as unknown as DtlsTransportInternals
}

export function sctpTransportInternals(transport: RTCSctpTransport): SctpTransportInternals {
  return transport as unknown as SctpTransportInternals
}

export function sctpInternals(transport: RTCSctpTransport): SctpInternals {
  return transport.sctp as unknown as SctpInternals
}

/** The version that is installed, which may differ from the one that package.json pins. */
export function installedWeriftVersion(): string {
  // werift does not export its package.json: resolve its entry and walk up.
  const require = createRequire(import.meta.url)
  return (require(require.resolve('werift').replace(/lib[\\/].*$/, 'package.json')) as { version: string }).version
}
