import { type Connect, createConnect } from '../connect.ts'
import { RTCPeerConnection } from './peer-connection.ts'

export { ConnectError } from '../errors.ts'
export { RTCDataChannel } from './data-channel.ts'
export { PeerAuthenticationError } from './dtls-guard.ts'
export { RTCIceCandidate } from './ice-candidate.ts'
export { RTCPeerConnection } from './peer-connection.ts'
export { RTCSessionDescription } from './session-description.ts'
export { webcrypto } from './webcrypto.ts'

/** Connects to the peer at the other end of a signaling channel, in a browser and in Node alike. */
export const connect: Connect = createConnect(RTCPeerConnection as unknown as typeof globalThis.RTCPeerConnection)
