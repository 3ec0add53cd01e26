import { type Connect, createConnect } from '../connect.ts'
import { RTCPeerConnection } from './peer-connection.ts'
import { webcrypto } from './webcrypto.ts'

export { ConnectError } from '../errors.ts'
export { createSecret } from '../secure/keys.ts'
export { explainRelay, RELAY_REASONS, type RelayReason } from '../why-relayed.ts'
export { RTCCertificate } from './certificate.ts'
export { RTCDataChannel } from './data-channel.ts'
export { RTCDataChannelEvent } from './data-channel-event.ts'
export { PeerAuthenticationError } from './dtls-guard.ts'
export {
  IceCandidatesRemovedEvent,
  RTCErrorEvent,
  RTCPeerConnectionIceErrorEvent,
  RTCPeerConnectionIceEvent,
} from './events.ts'
export { RTCIceCandidate } from './ice-candidate.ts'
export { RTCPeerConnection } from './peer-connection.ts'
export { RTCError } from './rtc-error.ts'
export { RTCSessionDescription } from './session-description.ts'
export { RTCStatsReport } from './stats.ts'
export { RTCDtlsTransport, RTCIceTransport, RTCSctpTransport } from './transports.ts'
export { webcrypto }

/** Connects to the peer at the other end of a signaling channel, in a browser and in Node alike. */
export const connect: Connect = createConnect(
  RTCPeerConnection as unknown as typeof globalThis.RTCPeerConnection,
  webcrypto.subtle as unknown as SubtleCrypto,
)
