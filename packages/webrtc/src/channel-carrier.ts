import { FRAME_SIZE } from './session/defaults.ts'
import type { CarrierLink, SessionDriver } from './session/driver.ts'

/** More than this waiting in the channel, in bytes, and the session waits … */
const HIGH_WATER_BYTES = 1024 * 1024
/** … until so much is left. */
const LOW_WATER_BYTES = 256 * 1024

/** The data channel as the session's direct carrier, for as long as it is open. */
export class ChannelCarrier implements CarrierLink {
  readonly #channel: RTCDataChannel
  readonly #driver: SessionDriver

  constructor(channel: RTCDataChannel, driver: SessionDriver) {
    this.#channel = channel
    this.#driver = driver
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES
    channel.addEventListener('open', () => driver.attach('direct', this))
    channel.addEventListener('close', () => driver.detach('direct'))
    channel.addEventListener('bufferedamountlow', () => driver.ready('direct'))
    channel.addEventListener('message', ({ data }) => {
      // Ours are binary; an empty frame is none, so that text breaks the session.
      driver.receive('direct', typeof data === 'string' ? new Uint8Array() : new Uint8Array(data))
    })
  }

  get isReady(): boolean {
    return this.#channel.bufferedAmount <= HIGH_WATER_BYTES - FRAME_SIZE
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    try {
      this.#channel.send(frame)
    } catch {
      this.#driver.detach('direct') // It is closing, which its event will say in a moment.
    }
  }
}
