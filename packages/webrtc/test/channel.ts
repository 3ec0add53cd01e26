import type { Signaling, SignalingMessage } from '../src/signaling.ts'

/** A signaling channel in memory: ordered, asynchronous, JSON all the way, holding messages until somebody listens. */
export class MemorySignaling implements Signaling {
  readonly polite: boolean
  readonly sent: SignalingMessage[] = []
  iceServers: RTCIceServer[] = []
  oniceserverschange: (() => void) | null = null
  readonly #held: string[] = []
  #peer: MemorySignaling | undefined
  #onmessage: Signaling['onmessage'] = null

  private constructor(polite: boolean) {
    this.polite = polite
  }

  /** The impolite end first. */
  static pair(): [MemorySignaling, MemorySignaling] {
    const ends: [MemorySignaling, MemorySignaling] = [new MemorySignaling(false), new MemorySignaling(true)]
    ends[0].#peer = ends[1]
    ends[1].#peer = ends[0]
    return ends
  }

  get onmessage(): Signaling['onmessage'] {
    return this.#onmessage
  }
  set onmessage(handler: Signaling['onmessage']) {
    this.#onmessage = handler
    if (handler) this.#deliver()
  }

  send(message: SignalingMessage): void {
    this.sent.push(message)
    const peer = this.#peer
    if (!peer) return
    peer.#held.push(JSON.stringify(message))
    setImmediate(() => peer.#deliver())
  }

  /** What an attacker or a broken server might deliver. */
  inject(message: unknown): void {
    this.#held.push(JSON.stringify(message))
    this.#deliver()
  }

  /** Nothing gets through any more, either way. */
  cut(): void {
    if (this.#peer) this.#peer.#peer = undefined
    this.#peer = undefined
  }

  #deliver(): void {
    while (this.#onmessage && this.#held.length > 0) this.#onmessage(JSON.parse(this.#held.shift()!))
  }
}
