import { createRequire } from 'node:module'
import type {
  RTCDataChannel,
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
  readonly sctpManager: SctpManagerInternals
  readonly secureManager: SecureTransportManagerInternals
  readonly sdpManager: SdpManagerInternals
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
}

export interface DtlsTransportInternals {
  verifyRemoteCertificateFingerprint(): void
}

export interface SctpManagerInternals {
  createSctpTransport(...options: unknown[]): RTCSctpTransport
}

export interface SctpTransportInternals {
  datachannelReceive(streamId: number, protocol: number, data: Buffer): Promise<void>
  dataChannelQueue: [channel: RTCDataChannel, protocol: number, data: Buffer][]
  dataChannelFlush(): Promise<void>
}

export interface SctpInternals {
  readonly outboundQueue: readonly { streamId: number }[]
  readonly sentQueue: readonly { streamId: number }[]
  handleData(packet: Buffer): Promise<void>
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
