/**
 * `import '@floe/webrtc/polyfill'`: W3C's classes as globals, for libraries that look for them there (PeerJS,
 * webrtc-adapter …). It has to be imported before they are. Where there is a WebRTC already, nothing changes: parts of
 * two do not fit together.
 * @module
 */
import { RTCCertificate } from './certificate.ts'
import { RTCDataChannel } from './data-channel.ts'
import { RTCDataChannelEvent } from './data-channel-event.ts'
import { RTCErrorEvent, RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent } from './events.ts'
import { RTCIceCandidate } from './ice-candidate.ts'
import { RTCPeerConnection } from './peer-connection.ts'
import { RTCError } from './rtc-error.ts'
import { RTCSessionDescription } from './session-description.ts'
import { RTCStatsReport } from './stats.ts'
import { RTCDtlsTransport, RTCIceTransport, RTCSctpTransport } from './transports.ts'

const INTERFACES = {
  RTCCertificate,
  RTCDataChannel,
  RTCDataChannelEvent,
  RTCDtlsTransport,
  RTCError,
  RTCErrorEvent,
  RTCIceCandidate,
  RTCIceTransport,
  RTCPeerConnection,
  RTCPeerConnectionIceErrorEvent,
  RTCPeerConnectionIceEvent,
  RTCSctpTransport,
  RTCSessionDescription,
  RTCStatsReport,
}

if (!('RTCPeerConnection' in globalThis)) {
  for (const [name, value] of Object.entries(INTERFACES)) {
    // As Web IDL §3.7.1 defines interface objects.
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true })
  }
}
