import * as v from 'valibot'
import {
  type AgentKind,
  describeIssues,
  type IceServer,
  LENGTHS,
  type PeerInfo,
  type SignalingMessage,
  SignalingMessageSchema,
  signalingError,
} from '../protocol.ts'
import type { Relay, RelayControl } from './relay.ts'

/**
 * Why a peer is gone: `left`: it said so. `vanished`: its connection broke and it did not come back in time.
 * `closed`: we are out of the room ourselves.
 */
export type LeaveReason = 'left' | 'vanished' | 'closed'

/** Messages that wait for `onmessage` to be set: a description and all candidates of several restarts. */
const HELD_MESSAGES = 256

/** How the room feeds its peers: not for users of `Peer`, hence not among its members. */
export interface PeerControl {
  readonly peer: Peer
  readonly relay: RelayControl | undefined
  receive(message: SignalingMessage): void
  leave(reason: LeaveReason): void
  /** The room's ICE servers are others. */
  renew(): void
}

/** What a peer needs of its room. */
export interface PeerRoom {
  transmit(message: SignalingMessage): void
  iceServers(): readonly IceServer[]
  /** When the server relays frames. */
  readonly relay?: RelayControl
}

/** Another member of the room. Fits `connect()` of `@floe/webrtc` as it is. */
export class Peer {
  readonly id: string
  readonly agent: AgentKind
  /**
   * Whether it is we who give way when both make an offer at once. Towards a browser Node is impolite, as it wants to
   * be the controlling side of ICE; among equals the newcomer is polite. The two ends always hold opposite values.
   */
  readonly polite: boolean
  /** A way through the server for frames that it cannot read; absent when the server offers none. */
  readonly relay?: Relay
  /** Called when `iceServers` are others. */
  oniceserverschange: (() => void) | null = null
  readonly #room: PeerRoom
  #held: SignalingMessage[] = []
  #onmessage: ((message: SignalingMessage) => void) | null = null
  #onleave: ((reason: LeaveReason) => void) | null = null
  #left: LeaveReason | undefined

  /** Peers come from `Room`; this is for the room's own use. */
  static control(info: PeerInfo, polite: boolean, room: PeerRoom): PeerControl {
    const peer = new Peer(info, polite, room)
    return {
      peer,
      relay: room.relay,
      receive: (message) => peer.#receive(message),
      leave: (reason) => peer.#leave(reason),
      renew: () => peer.oniceserverschange?.(),
    }
  }

  private constructor(info: PeerInfo, polite: boolean, room: PeerRoom) {
    this.id = info.id
    this.agent = info.agent
    this.polite = polite
    this.#room = room
    if (room.relay) this.relay = room.relay.relay
  }

  /** Those of the room, for a connection with this peer. */
  get iceServers(): readonly IceServer[] {
    return this.#room.iceServers()
  }

  /** Why it left; `undefined` while it is there. */
  get left(): LeaveReason | undefined {
    return this.#left
  }

  /** Takes what this peer sends. What came before is held (up to 256 messages) and handed over when this is set. */
  get onmessage(): ((message: SignalingMessage) => void) | null {
    return this.#onmessage
  }
  set onmessage(listener: ((message: SignalingMessage) => void) | null) {
    this.#onmessage = listener
    while (this.#onmessage !== null && this.#held.length > 0) this.#onmessage(this.#held.shift()!)
  }

  /** Called once when the peer is gone; at once when it is gone already. */
  get onleave(): ((reason: LeaveReason) => void) | null {
    return this.#onleave
  }
  set onleave(listener: ((reason: LeaveReason) => void) | null) {
    this.#onleave = listener
    if (this.#left !== undefined) listener?.(this.#left)
  }

  /**
   * Sends to this peer, and to it only. While the connection to the server is interrupted, messages wait. To a peer that
   * has left, nothing is sent.
   * @throws {SignalingError} `ERR_SIGNALING_MESSAGE` when it is no signaling message or too big. A `bye` that is too long is cut.
   */
  send(message: SignalingMessage): void {
    // The round trip turns RTCIceCandidate and RTCSessionDescription objects into what they are on the wire.
    const plain = JSON.parse(JSON.stringify(message ?? null))
    // A reason is for people, and often some error's message: too long is no reason to lose it.
    if (typeof plain?.bye === 'string') plain.bye = plain.bye.slice(0, LENGTHS.short)
    const parsed = v.safeParse(SignalingMessageSchema, plain)
    if (!parsed.success) {
      const limits = `(an SDP may have ${LENGTHS.sdp} characters, a candidate ${LENGTHS.candidate})`
      throw signalingError('ERR_SIGNALING_MESSAGE', `Not a message: ${describeIssues(parsed.issues)} ${limits}.`)
    }
    if (this.#left === undefined) this.#room.transmit(parsed.output)
  }

  #receive(message: SignalingMessage): void {
    if (this.#onmessage !== null) this.#onmessage(message)
    else if (this.#held.length < HELD_MESSAGES) this.#held.push(message)
  }

  #leave(reason: LeaveReason): void {
    if (this.#left !== undefined) return
    this.#left = reason
    this.#room.relay?.setUp(false)
    this.#onleave?.(reason)
  }
}
