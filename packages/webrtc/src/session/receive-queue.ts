import { FRAME_CHARGE, MAX_MESSAGE_SIZE, RECEIVE_WINDOW } from './defaults.ts'
import type { Frame } from './frame.ts'

type DataFrame = Extract<Frame, { type: 'data' }>
export type Message = string | Uint8Array<ArrayBuffer>

/** A byte order mark is part of the message like everything else. */
const TEXT = new TextDecoder('utf-8', { ignoreBOM: true })

/** Puts in order what came over any carrier, once, and makes messages of it. */
export class ReceiveQueue {
  /** Of frames that came before their time. */
  readonly #early = new Map<number, DataFrame>()
  readonly #messages: { readonly message: Message; readonly charge: number }[] = []
  /** Of the message that is not complete. */
  #parts: DataFrame[] = []
  #partsSize = 0
  #next = 0
  /** Of everything that is here: early, in parts, and whole messages. */
  #held = 0
  /** Of everything that the application has read. */
  #read = 0

  /** Number of the next frame that is missing. */
  get next(): number {
    return this.#next
  }

  /** How much the peer may send in all. */
  get limit(): number {
    return this.#read + RECEIVE_WINDOW
  }

  get isReadable(): boolean {
    return this.#messages.length > 0
  }

  /** Something is here while something before it is missing. */
  get hasGap(): boolean {
    return this.#early.size > 0
  }

  /**
   * `old`: it has been here before. `early`: kept until what is missing has come. `over`: more than was allowed, not
   * taken. `broken`: no message of ours is like that.
   */
  add(frame: DataFrame): 'next' | 'early' | 'old' | 'over' | 'broken' {
    if (frame.number < this.#next || this.#early.has(frame.number)) return 'old'
    const charge = frame.payload.length + FRAME_CHARGE
    if (this.#held + charge > RECEIVE_WINDOW) return 'over'
    this.#held += charge
    if (frame.number > this.#next) {
      // A view of a carrier's buffer may keep more alive than itself.
      this.#early.set(frame.number, { ...frame, payload: frame.payload.slice() })
      return 'early'
    }
    for (let now: DataFrame | undefined = frame; now !== undefined; now = this.#takeEarly()) {
      this.#next++
      if (!this.#append(now)) return 'broken'
    }
    return 'next'
  }

  read(): Message | undefined {
    const first = this.#messages.shift()
    if (first === undefined) return undefined
    this.#held -= first.charge
    this.#read += first.charge
    return first.message
  }

  #takeEarly(): DataFrame | undefined {
    const frame = this.#early.get(this.#next)
    this.#early.delete(this.#next)
    return frame
  }

  #append(frame: DataFrame): boolean {
    if (this.#parts.length > 0 && this.#parts[0]!.text !== frame.text) return false
    this.#partsSize += frame.payload.length
    if (this.#partsSize > MAX_MESSAGE_SIZE) return false
    this.#parts.push(frame.last ? frame : { ...frame, payload: frame.payload.slice() })
    if (!frame.last) return true
    const bytes = new Uint8Array(this.#partsSize)
    let offset = 0
    for (const { payload } of this.#parts) {
      bytes.set(payload, offset)
      offset += payload.length
    }
    const charge = this.#partsSize + this.#parts.length * FRAME_CHARGE
    this.#messages.push({ message: frame.text ? TEXT.decode(bytes) : bytes, charge })
    this.#parts = []
    this.#partsSize = 0
    return true
  }
}
