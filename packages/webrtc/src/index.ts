import type { PeerConnectionConfiguration } from './configuration.ts'
import { type Connect, createConnect } from './connect.ts'

export type { NodeIceOptions, PeerConnectionConfiguration } from './configuration.ts'
export type { Connect } from './connect.ts'
export type { ConnectOptions } from './connect-options.ts'
export type { Connection, ConnectionMessage, ConnectionPath } from './connection.ts'
export { ConnectError, type ConnectErrorCode } from './errors.ts'
export { createSecret } from './secure/keys.ts'
export type { RelayFaults } from './secure/sealed.ts'
export type { Relay, Signaling, SignalingMessage } from './signaling.ts'
export { explainRelay, RELAY_REASONS, type RelayReason } from './why-relayed.ts'

/** The browser's own; in Node floe's, by import condition. */
export const RTCPeerConnection: {
  new (configuration?: PeerConnectionConfiguration): globalThis.RTCPeerConnection
  generateCertificate(algorithm: AlgorithmIdentifier): Promise<RTCCertificate>
} = globalThis.RTCPeerConnection
export type RTCPeerConnection = globalThis.RTCPeerConnection
export const RTCSessionDescription: typeof globalThis.RTCSessionDescription = globalThis.RTCSessionDescription
export type RTCSessionDescription = globalThis.RTCSessionDescription
export const RTCIceCandidate: typeof globalThis.RTCIceCandidate = globalThis.RTCIceCandidate
export type RTCIceCandidate = globalThis.RTCIceCandidate
export const RTCDataChannel: typeof globalThis.RTCDataChannel = globalThis.RTCDataChannel
export type RTCDataChannel = globalThis.RTCDataChannel
export const RTCDataChannelEvent: typeof globalThis.RTCDataChannelEvent = globalThis.RTCDataChannelEvent
export type RTCDataChannelEvent = globalThis.RTCDataChannelEvent
export const RTCPeerConnectionIceEvent: typeof globalThis.RTCPeerConnectionIceEvent =
  globalThis.RTCPeerConnectionIceEvent
export type RTCPeerConnectionIceEvent = globalThis.RTCPeerConnectionIceEvent
export const RTCPeerConnectionIceErrorEvent: typeof globalThis.RTCPeerConnectionIceErrorEvent =
  globalThis.RTCPeerConnectionIceErrorEvent
export type RTCPeerConnectionIceErrorEvent = globalThis.RTCPeerConnectionIceErrorEvent
export const RTCErrorEvent: typeof globalThis.RTCErrorEvent = globalThis.RTCErrorEvent
export type RTCErrorEvent = globalThis.RTCErrorEvent
export const RTCError: typeof globalThis.RTCError = globalThis.RTCError
export type RTCError = globalThis.RTCError
export const RTCCertificate: typeof globalThis.RTCCertificate = globalThis.RTCCertificate
export type RTCCertificate = globalThis.RTCCertificate
export const RTCIceTransport: typeof globalThis.RTCIceTransport = globalThis.RTCIceTransport
export type RTCIceTransport = globalThis.RTCIceTransport
export const RTCDtlsTransport: typeof globalThis.RTCDtlsTransport = globalThis.RTCDtlsTransport
export type RTCDtlsTransport = globalThis.RTCDtlsTransport
export const RTCSctpTransport: typeof globalThis.RTCSctpTransport = globalThis.RTCSctpTransport
export type RTCSctpTransport = globalThis.RTCSctpTransport

/** Connects to the peer at the other end of a signaling channel, in a browser and in Node alike. */
export const connect: Connect = createConnect(RTCPeerConnection, globalThis.crypto?.subtle)
