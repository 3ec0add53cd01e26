import type { Relay, Signaling, SignalingMessage } from '@floe/webrtc'
import type { Journal } from './journal.ts'

/** Passes everything through and writes down what passed: what was told to the peer explains most failures. */
export class RecordedSignaling implements Signaling {
  readonly polite: boolean
  readonly relay?: Relay
  readonly #peer: Signaling
  readonly #journal: Journal
  readonly #servers: readonly RTCIceServer[]
  readonly #onrecord: (kind: 'hello' | 'description') => void
  #onmessage: ((message: SignalingMessage) => void) | null = null

  /** `servers`: ICE servers beside those that come with the peer. */
  constructor(
    peer: Signaling,
    servers: readonly RTCIceServer[],
    journal: Journal,
    onrecord: (kind: 'hello' | 'description') => void,
  ) {
    this.polite = peer.polite ?? false
    if (peer.relay) this.relay = peer.relay
    this.#peer = peer
    this.#servers = servers
    this.#journal = journal
    this.#onrecord = onrecord
  }

  get iceServers(): readonly RTCIceServer[] {
    return [...(this.#peer.iceServers ?? []), ...this.#servers]
  }

  get oniceserverschange(): (() => void) | null {
    return this.#peer.oniceserverschange ?? null
  }
  set oniceserverschange(listener: (() => void) | null) {
    this.#peer.oniceserverschange = listener
  }

  send(message: SignalingMessage): void {
    this.#record('sent', message)
    this.#peer.send(message)
  }

  get onmessage(): ((message: SignalingMessage) => void) | null {
    return this.#onmessage
  }

  /** The peer holds messages back until it has a listener, so it gets ours only when we have one. */
  set onmessage(listener: ((message: SignalingMessage) => void) | null) {
    this.#onmessage = listener
    this.#peer.onmessage =
      listener === null
        ? null
        : (message) => {
            this.#record('received', message)
            listener(message)
          }
  }

  #record(direction: 'sent' | 'received', message: SignalingMessage): void {
    if ('description' in message) {
      this.#journal.note(`${direction} ${message.description.type}`)
      if (direction === 'received') this.#onrecord('description')
    } else if ('candidate' in message) {
      this.#journal.note(`${direction} candidate`, message.candidate?.candidate || 'end of candidates')
    } else if ('hello' in message) {
      this.#journal.note(`${direction} hello`)
      if (direction === 'received') this.#onrecord('hello')
    } else {
      this.#journal.note(`${direction} bye`, message.bye)
    }
  }
}
