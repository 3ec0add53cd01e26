import { ConnectError } from './errors.ts'

/**
 * Why DTLS refused the peer: Node's RTCPeerConnection dispatches 'error', browsers do so on the DTLS transport, which
 * they show once the channel is being negotiated.
 */
export function watchSecurity(peerConnection: RTCPeerConnection, onerror: (error: ConnectError) => void): void {
  let watched: EventTarget | undefined
  const report = (event: Event) => onerror(securityError((event as RTCErrorEvent).error))
  peerConnection.addEventListener('error', report)
  peerConnection.addEventListener('signalingstatechange', () => {
    const transport = peerConnection.sctp?.transport
    if (!transport || transport === watched) return
    watched = transport
    transport.addEventListener('error', report)
  })
}

function securityError(cause: RTCError): ConnectError {
  const isImpostor = cause.errorDetail === 'fingerprint-failure'
  const message = isImpostor ? 'The peer is not the one that the signaling named' : 'No secure channel could be set up'
  const code = isImpostor ? 'ERR_CONNECT_UNAUTHENTICATED' : 'ERR_CONNECT_FAILED'
  return new ConnectError(code, `${message}: ${cause.message}`, { cause })
}
