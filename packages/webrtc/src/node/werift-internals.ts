import { createRequire } from 'node:module'
import type {
  DtlsSocket,
  RTCDtlsTransport,
  RTCIceTransport,
  RTCPeerConnection,
  RTCSctpTransport,
  SessionDescription,
} from 'werift'

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
  readonly protocol: number
  readonly userData: Buffer
  /** Bytes of `userData`. */
  readonly bookSize: number
  sentCount: number
  sentTime?: number
  /** Acknowledgements that reported it missing. */
  misses: number
  readonly maxRetransmits?: number
  readonly expiry?: number
  acked: boolean
  abandoned: boolean
  retransmit: boolean
}

/** A DATA chunk that has been received. */
export type ReceivedChunk = Pick<SctpChunk, 'tsn' | 'flags' | 'streamId' | 'streamSeqNum' | 'protocol' | 'userData'>

/** An acknowledgement, RFC 9260 §3.3.4, as far as werift looks at it. */
export interface SctpSack {
  readonly cumulativeTsn: number
  readonly advertisedRwnd: number
  readonly gaps: readonly (readonly [start: number, end: number])[]
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
export interface Serializable {
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
  readonly state: string
  readonly transport: { send(packet: Buffer): Promise<void> }
  readonly localPort: number
  readonly remotePort: number | undefined
  readonly localVerificationTag: number
  readonly remoteVerificationTag: number
  // Sending.
  readonly outboundQueue: SctpChunk[]
  readonly sentQueue: SctpChunk[]
  /** The next new chunk's. */
  readonly localTsn: number
  lastSackedTsn: number
  advancedPeerAckTsn: number
  forwardTsnChunk: Serializable | undefined
  /** These and the window of the peer are in bytes. */
  maxPayloadSize: number
  flightSize: number
  cwnd: number
  readonly ssthresh: number
  partialBytesAcked: number
  peerAdvertisedRwnd: number
  readonly peerRwnd: number
  /** The number that ends fast recovery. */
  readonly fastRecoveryExit: number | undefined
  fastRecoveryTransmit: boolean
  /** Something has been taken from the queue. */
  readonly flush: { execute(): void }
  readonly timer3Handle: unknown
  /** These three are in seconds. */
  rto: number
  readonly srtt?: number
  readonly rttvar?: number
  updateRto(roundTripTime: number): void
  abort(): Promise<void>
  onSackReceived(): Promise<void>
  sendChunk(chunk: SctpChunk | Serializable | undefined): Promise<void>
  transmit(): Promise<void>
  receiveSackChunk(sack: SctpSack): Promise<void>
  flightSizeIncrease(chunk: SctpChunk): void
  flightSizeDecrease(chunk: SctpChunk): void
  timer3Start(): void
  timer3Restart(): void
  timer3Cancel(): void
  timer3Expired(): void
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
  sackHasNewDataInPacket: boolean
  handleData(packet: Buffer): Promise<void>
  markReceived(tsn: number): boolean
  scheduleSack(): Promise<void>
  sendSack(): Promise<void>
  receiveDataChunk(chunk: ReceivedChunk): void
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

/** What AES_128_GCM takes, by who writes with it: RFC 5246 §6.3, RFC 5288 §3. Of the nonce the first four bytes are the salt. */
export function writeKeys(
  socket: DtlsSocket,
): Record<'client' | 'server', { readonly key: Buffer; readonly salt: Buffer }> {
  const { clientWriteKey, serverWriteKey, clientNonce, serverNonce } = socket.cipher.cipher as unknown as Record<
    'clientWriteKey' | 'serverWriteKey' | 'clientNonce' | 'serverNonce',
    Buffer
  >
  return {
    client: { key: clientWriteKey, salt: clientNonce.subarray(0, 4) },
    server: { key: serverWriteKey, salt: serverNonce.subarray(0, 4) },
  }
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
