/** Why a byte stream is not TURN. It can't be resynchronised: close the connection. */
export type StreamFailure =
  /** The first two bits are neither STUN's 00 nor ChannelData's 01 in its range (RFC 8656 §12.5). */
  | 'not-turn'
  /** A STUN length that is no multiple of four (RFC 8489 §5). */
  | 'bad-length'
  /** No magic cookie. */
  | 'wrong-cookie'

/** Cuts a TCP or TLS stream into STUN messages and ChannelData, RFC 8656 §12.5. Holds one unfinished frame at most. */
export class TurnStream {
  #failure: StreamFailure | undefined
  /** The frame that has begun: its header until the length is known, then all of it. */
  #frame = new Uint8Array(HEADER)
  #filled = 0

  /** Set once the stream turned out to be something else; nothing comes out any more. */
  get failure(): StreamFailure | undefined {
    return this.#failure
  }

  /**
   * Takes what came, in whatever pieces. Returns the frames that are complete now, ChannelData without its padding;
   * they may be views into `chunk`.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = []
    let at = 0
    while (at < chunk.length && this.#failure === undefined) {
      const left = chunk.length - at
      const size = this.#filled === 0 ? this.#measure(chunk, at, left) : 0
      if (size > 0 && padded(size) <= left) {
        frames.push(new Uint8Array(chunk.buffer, chunk.byteOffset + at, size))
        at += padded(size)
      } else if (this.#failure === undefined) {
        at += this.#assemble(chunk, at, frames)
      }
    }
    return frames
  }

  /** Adds to the unfinished frame; each byte is copied once. Returns how many bytes it took. */
  #assemble(chunk: Uint8Array, from: number, frames: Uint8Array[]): number {
    let at = from
    let size = 0
    while (at < chunk.length && this.#filled < HEADER && size === 0 && this.#failure === undefined) {
      this.#frame[this.#filled++] = chunk[at++]!
      size = this.#measure(this.#frame, 0, this.#filled)
    }
    if (size === 0 && this.#filled >= HEADER) size = this.#measure(this.#frame, 0, HEADER)
    if (size === 0) return at - from
    this.#makeRoom(padded(size))
    const part = chunk.subarray(at, at + padded(size) - this.#filled)
    this.#frame.set(part, this.#filled)
    this.#filled += part.length
    if (this.#filled === padded(size)) {
      frames.push(this.#frame.subarray(0, size))
      this.#frame = new Uint8Array(HEADER)
      this.#filled = 0
    }
    return at + part.length - from
  }

  /** Bytes of the frame that begins there, without padding; 0 when more must be seen, or when it is none. */
  #measure(bytes: Uint8Array, at: number, length: number): number {
    if (length < 4) return 0
    const first = bytes[at]!
    const body = (bytes[at + 2]! << 8) | bytes[at + 3]!
    if (first >= 0x40 && first <= 0x4f) return 4 + body
    if (first >= 0x40) this.#failure = 'not-turn'
    else if ((body & 3) !== 0) this.#failure = 'bad-length'
    else if (length >= HEADER && !hasCookie(bytes, at)) this.#failure = 'wrong-cookie'
    return this.#failure === undefined && length >= HEADER ? 20 + body : 0
  }

  #makeRoom(length: number): void {
    if (this.#frame.length >= length) return
    const larger = new Uint8Array(length)
    larger.set(this.#frame.subarray(0, this.#filled))
    this.#frame = larger
  }
}

/** The kind and length of a frame, and the cookie of a STUN message. */
const HEADER = 8

function padded(length: number): number {
  return (length + 3) & ~3
}

function hasCookie(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 4] === 0x21 && bytes[at + 5] === 0x12 && bytes[at + 6] === 0xa4 && bytes[at + 7] === 0x42
}
