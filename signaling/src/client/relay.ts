import { MAX_RELAY_FRAME } from '../relay.ts'

/** Bytes that may be under way to the server without its answer: what `RelayClientEvents` says. */
const MAX_UNANSWERED = 131_072

/** `busy`: frames would be refused, wait for `onstatechange`. `down`: the server, or the peer, cannot be reached. */
export type RelayState = 'open' | 'busy' | 'down'

/** How the room feeds a relay: not for users of `Relay`, hence not among its members. */
export interface RelayControl {
  readonly relay: Relay
  receive(frame: Uint8Array): void
  /** A connection to the server, and a peer in the room. */
  setUp(isUp: boolean): void
}

/**
 * A way through the server to one peer, for frames that the server cannot read, at its pace. It may lose frames: who
 * needs them all, in order, numbers them and sends them again, as `connect()` of `@floe/webrtc` does.
 */
export class Relay {
  /** Takes what comes. Without it, what comes is lost. */
  onframe: ((frame: Uint8Array) => void) | null = null
  onstatechange: (() => void) | null = null
  readonly #transmit: (frame: Uint8Array, answered: () => void) => void
  #isUp = false
  #unanswered = 0
  /** Of the connection to the server: answers to an earlier one do not count. */
  #generation = 0

  static control(transmit: (frame: Uint8Array, answered: () => void) => void): RelayControl {
    const relay = new Relay(transmit)
    return {
      relay,
      receive: (frame) => relay.onframe?.(frame),
      setUp: (isUp) => relay.#setUp(isUp),
    }
  }

  private constructor(transmit: (frame: Uint8Array, answered: () => void) => void) {
    this.#transmit = transmit
  }

  get state(): RelayState {
    if (!this.#isUp) return 'down'
    return this.#unanswered < MAX_UNANSWERED ? 'open' : 'busy'
  }

  /**
   * Sends a frame now, or not at all when the relay is down.
   * @throws {RangeError} when it is empty or longer than 16,512 bytes
   */
  send(frame: Uint8Array): void {
    const { length } = frame
    if (length === 0 || length > MAX_RELAY_FRAME) {
      throw new RangeError(`A frame has 1 to ${MAX_RELAY_FRAME} bytes, not ${length}`)
    }
    if (!this.#isUp) return
    this.#unanswered += length
    const generation = this.#generation
    this.#transmit(frame, () => {
      if (generation !== this.#generation) return
      const before = this.state
      this.#unanswered -= length
      if (this.state !== before) this.onstatechange?.()
    })
  }

  #setUp(isUp: boolean): void {
    if (this.#isUp === isUp) return
    this.#isUp = isUp
    this.#generation++
    this.#unanswered = 0
    this.onstatechange?.()
  }
}
