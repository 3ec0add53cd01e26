/** Megabytes that can be made and checked on both ends of a channel without being kept. */

export const CHUNK_BYTES = 64 * 1024

/** Fills chunk after chunk from a seed: xorshift32, so that no two chunks are alike and a swapped pair shows. */
export class BulkSource {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1
  }

  next(bytes: number): Uint8Array<ArrayBuffer> {
    const words = new Uint32Array(Math.ceil(bytes / 4))
    let state = this.#state
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      words[i] = state
    }
    this.#state = state
    return new Uint8Array(words.buffer, 0, bytes)
  }
}

/** FNV-1a over 32-bit words: sees a changed, lost, doubled or swapped word. It guards against faults, not forgery. */
export class Checksum {
  #hash = 0x811c9dc5
  bytes = 0

  add(chunk: ArrayBuffer | Uint8Array<ArrayBuffer>): void {
    if (chunk.byteLength % 4 !== 0) throw new RangeError(`a chunk of ${chunk.byteLength} bytes is not made of words`)
    const start = chunk instanceof Uint8Array ? chunk.byteOffset : 0
    const words = new Uint32Array(chunk instanceof Uint8Array ? chunk.buffer : chunk, start, chunk.byteLength / 4)
    let hash = this.#hash
    for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193)
    this.#hash = hash
    this.bytes += chunk.byteLength
  }

  get value(): string {
    return `${this.bytes}:${(this.#hash >>> 0).toString(16).padStart(8, '0')}`
  }
}
