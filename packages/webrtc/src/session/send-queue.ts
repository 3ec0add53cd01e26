import { FRAME_CHARGE, RECEIVE_WINDOW } from './defaults.ts'
import { encodeFrame, MAX_PAYLOAD } from './frame.ts'

interface Segment {
  readonly number: number
  readonly frame: Uint8Array<ArrayBuffer>
  /** Of all segments up to and with this one: what the peer's limit counts. */
  readonly end: number
  /** When it was first sent; `NaN` when it was sent twice, as nobody knows which one an answer is for (Karn). */
  sentAt: number | undefined
}

/** What the peer has not acknowledged, in order; what of it has been sent on the carrier of the moment. */
export class SendQueue {
  /** From the peer: how many bytes may be sent in all. */
  limit: number = RECEIVE_WINDOW
  #segments: (Segment | undefined)[] = []
  /** Index in `#segments` of the first that is not acknowledged. */
  #head = 0
  /** Number of the next segment to be made. */
  #made = 0
  #end = 0
  /** Number of the first segment that is not acknowledged. */
  #base = 0
  #acknowledgedEnd = 0
  /** Number of the next segment to be sent. */
  #next = 0

  /** Number of the first frame that the peer may lack. */
  get base(): number {
    return this.#base
  }

  /** How many frames there are so far. */
  get made(): number {
    return this.#made
  }

  /** Bytes that are not acknowledged, sent or not. */
  get bufferedAmount(): number {
    return this.#end - this.#acknowledgedEnd
  }

  /** Whether something has been sent on this carrier that is not acknowledged. */
  get isOutstanding(): boolean {
    return this.#next > this.#base
  }

  /** Whether nothing is left to be acknowledged. */
  get isEmpty(): boolean {
    return this.#base === this.#made
  }

  /** Whether only the peer's limit keeps us from sending. */
  get isBlocked(): boolean {
    const segment = this.#at(this.#next)
    return segment !== undefined && segment.end > this.limit
  }

  /** Copies `payload`. An empty message is one empty frame. */
  add(payload: Uint8Array, text: boolean): void {
    let offset = 0
    do {
      const part = payload.subarray(offset, offset + MAX_PAYLOAD)
      offset += part.length
      const number = this.#made++
      this.#end += part.length + FRAME_CHARGE
      const frame = encodeFrame({ type: 'data', number, text, last: offset >= payload.length, payload: part })
      this.#segments.push({ number, frame, end: this.#end, sentAt: undefined })
    } while (offset < payload.length)
  }

  /** The next frame to send, when the limit of the peer and the `window` of the carrier, in bytes, let it. */
  take(now: number, window: number): Uint8Array<ArrayBuffer> | undefined {
    const segment = this.#at(this.#next)
    if (segment === undefined || segment.end > this.limit) return undefined
    if (segment.end - this.#acknowledgedEnd > window && this.isOutstanding) return undefined
    segment.sentAt = segment.sentAt === undefined ? now : Number.NaN
    this.#next++
    return segment.frame
  }

  /** All before `next` has arrived. Returns how long the last of it took, in ms, if that is known; `false`: nothing new. */
  acknowledge(now: number, next: number): number | undefined | false {
    if (next <= this.#base || next > this.#made) return false
    const last = this.#at(next - 1)!
    this.#acknowledgedEnd = last.end
    // The places are given back many at a time, what is in them at once.
    this.#segments.fill(undefined, this.#head, this.#head + next - this.#base)
    this.#head += next - this.#base
    this.#base = next
    this.#next = Math.max(this.#next, next)
    if (this.#head > 1024 || this.#head === this.#segments.length) {
      this.#segments = this.#segments.slice(this.#head)
      this.#head = 0
    }
    const took = now - (last.sentAt ?? Number.NaN)
    return Number.isNaN(took) ? undefined : took
  }

  /** Everything that is not acknowledged is to be sent again. */
  rewind(): void {
    this.#next = this.#base
  }

  #at(number: number): Segment | undefined {
    return this.#segments[this.#head + number - this.#base]
  }
}
