/** What two peers tell each other over the signaling channel. Plain JSON. */
export type SignalingMessage =
  | { description: { type: 'offer' | 'answer' | 'pranswer' | 'rollback'; sdp?: string } }
  /**
   * null: no more candidates. `removed`: these are gone, and `candidate` is one of them: whoever does not know the word takes
   * it for a repetition, which changes nothing.
   */
  | { candidate: RTCIceCandidateInit | null; removed?: RTCIceCandidateInit[] }
  /** Who an end is, before all else: opaque to the channel. `proof`: that it knows the secret. */
  | { hello: string; proof?: string }
  /** The peer goes, and why. */
  | { bye: string }

/**
 * Carries frames to the peer while there is no other path. They are encrypted. It may lose some, but has nothing to gain
 * from it: connect() numbers them and sends again what is lost.
 */
export interface Relay {
  /** `busy`: another frame would have to wait. `down`: nothing gets through at present. */
  readonly state: 'open' | 'busy' | 'down'
  onstatechange: (() => void) | null
  /** Sends one frame of at most 16,512 bytes. */
  send(frame: Uint8Array<ArrayBuffer>): void
  onframe: ((frame: Uint8Array) => void) | null
}

/**
 * A way to one peer: ordered and reliable, as a WebSocket is. A peer of a `@floe/signaling` room is one; so is anything
 * with the first three of these members that carries every kind of message.
 */
export interface Signaling {
  send(message: SignalingMessage): void
  /** Messages that arrive while it is null should be held for the next handler. */
  onmessage: ((message: SignalingMessage) => void) | null
  /** Of the two ends exactly one is polite: it waits for the first offer, and yields when offers collide. */
  readonly polite?: boolean
  /** With it messages flow before there is a path, and when there is none. */
  readonly relay?: Relay
  /** STUN and TURN servers that whoever runs the channel offers: for a connect() whose caller names none. */
  readonly iceServers?: readonly RTCIceServer[]
  /** Called when `iceServers` are others, as before the credentials of TURN servers expire. */
  oniceserverschange?: (() => void) | null
}

/**
 * The fingerprints of a session description: a peer with other ones is another peer, or has started over. Whole lines, and
 * wherever they stand: readers of SDP differ in the white space that they let pass (RFC 8122 §5 has one space), and what one
 * of them takes for a fingerprint must not be hidden from whoever compares them.
 */
export function fingerprints(sdp: string | undefined): string {
  const lines = sdp?.match(/a=fingerprint[^\r\n]*/gi) ?? []
  return [...new Set(lines.map((line) => line.trim().toLowerCase()))].sort().join()
}
