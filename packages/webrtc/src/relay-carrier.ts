import type { RelayKeys } from './secure/keys.ts'
import { Opener, type RelayFaults, Sealer } from './secure/sealed.ts'
import type { CarrierLink, SessionDriver } from './session/driver.ts'
import type { Relay } from './signaling.ts'

/** Bytes that wait to be sealed, or to be opened: more cannot be under way but by somebody's fault. */
const MAX_SEALING_BYTES = 65_536
const MAX_OPENING_BYTES = 1_048_576
/** What a frame costs of those beside its bytes, however few these are: its place in the queue. */
const FRAME_CHARGE = 256
/** A peer can make us answer faster than the relay takes it: what goes beyond this is lost, as relays lose frames. Bytes. */
const MAX_ANSWER_BYTES: number = 16 * MAX_SEALING_BYTES

/** So many frames that are not the peer's, and the relay is not used any more. One may be an accident. */
const MAX_ALTERED_FRAMES = 64

/** The relay as a carrier of the session, once there are keys: seals what goes out, opens what comes in, in turn. */
export class RelayCarrier implements CarrierLink {
  readonly #relay: Relay
  readonly #driver: SessionDriver
  #sealer: Sealer | undefined
  #opener: Opener | undefined
  #sealing: Promise<void> = Promise.resolve()
  #sealingBytes = 0
  #opening: Promise<void>
  #openingBytes = 0
  #isUp = false
  #isStopped = false

  constructor(relay: Relay, subtle: SubtleCrypto, keys: Promise<RelayKeys>, driver: SessionDriver) {
    this.#relay = relay
    this.#driver = driver
    this.#opening = keys.then(({ sealing, opening }) => {
      this.#sealer = new Sealer(subtle, sealing)
      this.#opener = new Opener(subtle, opening)
      this.#onStateChange()
    })
    relay.onframe = (frame) => this.#receive(frame)
    relay.onstatechange = () => this.#onStateChange()
  }

  get faults(): RelayFaults {
    return this.#opener?.faults ?? { missing: 0, repeated: 0, altered: 0 }
  }

  get isReady(): boolean {
    return this.#relay.state === 'open' && this.#sealingBytes < MAX_SEALING_BYTES
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#sealingBytes > MAX_ANSWER_BYTES) return
    this.#sealingBytes += FRAME_CHARGE + frame.length
    this.#sealing = this.#sealing.then(() => this.#send(frame))
  }

  #receive(frame: Uint8Array): void {
    const charge = FRAME_CHARGE + frame.length
    if (this.#isStopped || this.#openingBytes + charge > MAX_OPENING_BYTES) return
    this.#openingBytes += charge
    // A copy, and of one type: what comes may be a Buffer over memory that others use, too.
    const bytes = new Uint8Array(frame)
    this.#opening = this.#opening.then(() => this.#open(bytes))
  }

  /** Resolves when what was sent before has been handed to the relay. */
  flushed(): Promise<void> {
    return this.#sealing
  }

  stop(): void {
    this.#isStopped = true
    this.#relay.onframe = null
    this.#relay.onstatechange = null
    this.#setUp(false)
  }

  async #send(frame: Uint8Array<ArrayBuffer>): Promise<void> {
    const sealed = await this.#sealer!.seal(frame)
    const wasReady = this.isReady
    this.#sealingBytes -= FRAME_CHARGE + frame.length
    if (sealed === undefined) return this.stop()
    try {
      if (!this.#isStopped) this.#relay.send(sealed)
    } catch {} // It may lose frames in this way, too.
    if (!wasReady && this.isReady) this.#driver.ready('relay')
  }

  async #open(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const frame = await this.#opener!.open(bytes)
    this.#openingBytes -= FRAME_CHARGE + bytes.length
    if (frame !== undefined) this.#driver.receive('relay', frame)
    else if (this.faults.altered >= MAX_ALTERED_FRAMES) this.stop()
  }

  #onStateChange(): void {
    this.#setUp(this.#sealer !== undefined && this.#relay.state !== 'down' && !this.#isStopped)
    if (this.#isUp) this.#driver.ready('relay')
  }

  #setUp(isUp: boolean): void {
    if (isUp === this.#isUp) return
    this.#isUp = isUp
    if (isUp) this.#driver.attach('relay', this)
    else this.#driver.detach('relay')
  }
}
