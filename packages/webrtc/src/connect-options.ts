import type { PeerConnectionConfiguration } from './configuration.ts'

export interface ConnectOptions {
  /** Wait for the peer's offer and yield to it. Default: what `signaling.polite` says. */
  polite?: boolean
  /** Default: what `signaling.iceServers` offers, also when that changes later. */
  iceServers?: RTCIceServer[]
  /**
   * What both ends know and nobody else does, the signaling server least of all: at least 22 characters, from
   * `createSecret()`. With it nobody can come between the two; without it the signaling server could, as always in WebRTC.
   */
  secret?: string
  /** `false`: no message goes through the signaling server, not even encrypted. Default: if both ends have a relay. */
  relay?: boolean
  /** Aborts the attempt, not the open connection. */
  signal?: AbortSignal
  /** Milliseconds, default 30000: to open, and later to come back when there is no path at all. */
  timeout?: number
  /** Anything else for the RTCPeerConnection. */
  configuration?: PeerConnectionConfiguration
  /** Called once, before the first offer: for those who show candidates and states while connecting, or why it failed. */
  onpeerconnection?: (peerConnection: RTCPeerConnection) => void
}
