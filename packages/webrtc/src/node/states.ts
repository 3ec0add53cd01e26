/** How W3C sums up the states of several transports: webrtc-pc §4.3.3 and §4.3.4, §5.6. Pure functions. */

export interface TransportStates {
  readonly ice: RTCIceTransportState
  readonly dtls: RTCDtlsTransportState
  readonly gathering: RTCIceGatheringState
}

/** RTCPeerConnectionState. */
export function connectionState(transports: readonly TransportStates[]): RTCPeerConnectionState {
  const ice = transports.map((transport) => transport.ice)
  const dtls = transports.map((transport) => transport.dtls)
  if (ice.includes('failed') || dtls.includes('failed')) return 'failed'
  if (ice.includes('disconnected')) return 'disconnected'
  if (only(ice, 'new', 'closed') && only(dtls, 'new', 'closed')) return 'new'
  if (only(ice, 'connected', 'completed', 'closed') && only(dtls, 'connected', 'closed')) return 'connected'
  return 'connecting'
}

/** RTCIceConnectionState. */
export function iceConnectionState(transports: readonly TransportStates[]): RTCIceConnectionState {
  const ice = transports.map((transport) => transport.ice)
  if (ice.includes('failed')) return 'failed'
  if (ice.includes('disconnected')) return 'disconnected'
  if (only(ice, 'new', 'closed')) return 'new'
  if (ice.includes('new') || ice.includes('checking')) return 'checking'
  if (only(ice, 'completed', 'closed')) return 'completed'
  return 'connected'
}

/** RTCIceGatheringState. */
export function iceGatheringState(transports: readonly TransportStates[]): RTCIceGatheringState {
  const gathering = transports.map((transport) => transport.gathering)
  if (gathering.includes('gathering')) return 'gathering'
  return gathering.length > 0 && only(gathering, 'complete') ? 'complete' : 'new'
}

function only<State extends string>(states: readonly State[], ...allowed: State[]): boolean {
  return states.every((state) => allowed.includes(state))
}
