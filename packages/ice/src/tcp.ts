/** How messages are told apart in a byte stream: RFC 4571 between peers, RFC 8656 §12.5 towards a TURN server. */
export interface Framing {
  /**
   * What goes on the wire for one message: one piece, or several in order, which may be views of the message.
   * `undefined`: this framing cannot carry it, it is too long.
   */
  encode(message: Uint8Array): Uint8Array | readonly Uint8Array[] | undefined
  /** One per connection: it remembers the beginning of a message. */
  decoder(): FrameDecoder
}

export interface FrameDecoder {
  /**
   * Takes the next bytes of the stream, cut anywhere, and gives the messages that are complete with them. Messages that
   * lie in this chunk are views of it. Never throws. After an `error` the stream cannot be understood any more.
   */
  push(chunk: Uint8Array): DecodedFrames
}

export interface DecodedFrames {
  readonly frames: readonly Uint8Array[]
  /** Why what follows the frames is none, for a log: "which is neither STUN nor ChannelData". */
  readonly error?: string
}

/** RFC 4571 §2: the length has 16 bits. */
export const MAX_FRAME = 0xffff

/** RFC 4571 §2, which RFC 6544 §3 uses for ICE over TCP: two bytes of length, then the message. */
export const rfc4571: Framing = {
  encode(message) {
    const { length } = message
    return length > MAX_FRAME ? undefined : [Uint8Array.of(length >> 8, length & 0xff), message]
  },
  decoder: () => new Rfc4571Decoder(),
}

/** Remembers one unfinished frame, so at most 64 KiB. Each byte of it is copied once. */
class Rfc4571Decoder implements FrameDecoder {
  /** First byte of a length whose second one has not come. */
  #lengthHigh: number | undefined
  #unfinished: Uint8Array | undefined
  #filled = 0

  push(chunk: Uint8Array): DecodedFrames {
    const frames: Uint8Array[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#unfinished) {
        at = this.#fill(this.#unfinished, chunk, at, frames)
      } else if (this.#lengthHigh === undefined) {
        this.#lengthHigh = chunk[at++]
      } else {
        const length = (this.#lengthHigh << 8) | chunk[at++]!
        this.#lengthHigh = undefined
        at = this.#begin(length, chunk, at, frames)
      }
    }
    return { frames }
  }

  /** Returns where the next frame begins, or the end of the chunk. */
  #begin(length: number, chunk: Uint8Array, at: number, frames: Uint8Array[]): number {
    const end = at + length
    if (end > chunk.length) {
      this.#unfinished = new Uint8Array(length)
      this.#filled = 0
      return this.#fill(this.#unfinished, chunk, at, frames)
    }
    // RFC 4571 §2 allows empty frames, and they mean nothing.
    if (length > 0) frames.push(chunk.subarray(at, end))
    return end
  }

  #fill(frame: Uint8Array, chunk: Uint8Array, at: number, frames: Uint8Array[]): number {
    const end = Math.min(chunk.length, at + frame.length - this.#filled)
    frame.set(chunk.subarray(at, end), this.#filled)
    this.#filled += end - at
    if (this.#filled === frame.length) {
      this.#unfinished = undefined
      frames.push(frame)
    }
    return end
  }
}
