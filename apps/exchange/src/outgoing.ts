import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { ExchangeError } from './errors.ts'
import { CHUNK_SIZE, type ControlFrame, newChunk } from './frames.ts'

/** A file to send: a browser's `File` reduced to what is needed, so that Node's streams fit as well. */
export interface FileSource {
  /** The file's own name, at most 255 UTF-16 units. The receiver keeps only what follows the last slash. */
  readonly name: string
  /** Bytes. {@link stream} must yield exactly as many. */
  readonly size: number
  /** Media type; empty or absent when unknown. */
  readonly type?: string
  /** Called once, when the receiver has accepted. */
  stream(): AsyncIterable<Uint8Array>
}

export interface SendOptions {
  /** Called after every piece with the bytes handed to the connection so far. */
  onprogress?(sentBytes: number): void
  /** Cancels the transfer; the receiver is told. */
  signal?: AbortSignal
}

/** How a transfer reaches the peer: in call order; resolves when there is room for more. */
export interface Wire {
  control(frame: ControlFrame): Promise<void>
  chunk(frame: Uint8Array): Promise<void>
}

/** One file on its way out. `accept`, `credit`, `received` and `fail` are what the peer and the connection do to it. */
export class Outgoing {
  readonly #id: number
  readonly #source: FileSource
  readonly #options: SendOptions
  readonly #wire: Wire
  readonly #hash = sha256.create()
  #phase: 'offered' | 'sending' | 'ended' | 'received' = 'offered'
  #credit = 0
  #sent = 0
  #failure: ExchangeError | undefined
  #wake: () => void = () => {}
  #interrupt: (error: ExchangeError) => void = () => {}

  constructor(id: number, source: FileSource, options: SendOptions, wire: Wire) {
    this.#id = id
    this.#source = source
    this.#options = options
    this.#wire = wire
  }

  /** Resolves when the receiver has read the file to its end and found the same checksum. */
  async run(): Promise<{ sha256: string }> {
    const { signal } = this.#options
    const abort = () => this.fail(cancelled(signal))
    signal?.addEventListener('abort', abort)
    try {
      return await this.#send()
    } catch (error) {
      const failure = asFailure(error)
      // A receiver that rejected has forgotten the file, and a closed connection carries nothing.
      if (failure.code !== 'ERR_EXCHANGE_REJECTED' && failure.code !== 'ERR_EXCHANGE_CLOSED') {
        void this.#wire.control({ type: 'cancel', id: this.#id, reason: failure.message }).catch(() => {})
      }
      throw failure
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** @returns false when the frame makes no sense now */
  accept(credit: number): boolean {
    if (this.#phase !== 'offered') return false
    this.#phase = 'sending'
    return this.credit(credit)
  }

  credit(credit: number): boolean {
    if (this.#phase === 'offered') return false
    this.#credit += credit
    this.#wake()
    return true
  }

  received(): boolean {
    if (this.#phase !== 'ended') return false
    this.#phase = 'received'
    this.#wake()
    return true
  }

  fail(error: ExchangeError): void {
    this.#failure ??= error
    this.#interrupt(this.#failure)
  }

  async #send(): Promise<{ sha256: string }> {
    const { name, size, type = '' } = this.#source
    await this.#until(this.#wire.control({ type: 'offer', id: this.#id, name, size, mediaType: type }))
    while (this.#phase === 'offered') await this.#change()
    await this.#sendChunks()
    const digest = bytesToHex(this.#hash.digest())
    this.#phase = 'ended'
    await this.#until(this.#wire.control({ type: 'end', id: this.#id, sha256: digest }))
    while (this.#phase === 'ended') await this.#change()
    return { sha256: digest }
  }

  async #sendChunks(): Promise<void> {
    const { size } = this.#source
    const pieces = this.#source.stream()[Symbol.asyncIterator]()
    let chunk = newChunk(this.#id, Math.min(CHUNK_SIZE, size))
    let filled = 0
    try {
      for (;;) {
        const { done, value } = await this.#until(pieces.next())
        if (done) break
        for (let piece: Uint8Array = value; piece.length > 0; ) {
          if (chunk.payload.length === 0) throw wrongLength(size, 'longer')
          const part = piece.subarray(0, chunk.payload.length - filled)
          chunk.payload.set(part, filled)
          filled += part.length
          piece = piece.subarray(part.length)
          if (filled < chunk.payload.length) continue
          await this.#sendChunk(chunk)
          chunk = newChunk(this.#id, Math.min(CHUNK_SIZE, size - this.#sent))
          filled = 0
        }
      }
    } finally {
      // Not awaited: a generator stuck in a read that never ends would hold the cancel back.
      void pieces.return?.()?.catch(() => {})
    }
    if (this.#sent !== size) throw wrongLength(size, 'shorter')
  }

  async #sendChunk({ frame, payload }: { frame: Uint8Array; payload: Uint8Array }): Promise<void> {
    while (this.#credit === 0) await this.#change()
    this.#credit -= 1
    this.#hash.update(payload)
    await this.#until(this.#wire.chunk(frame))
    this.#sent += payload.length
    this.#options.onprogress?.(this.#sent)
  }

  /** Waits until the peer has said something. */
  #change(): Promise<void> {
    return this.#until(
      new Promise((resolve) => {
        this.#wake = resolve
      }),
    )
  }

  /** Waits for `step` or for {@link fail}, whichever is first, and leaves no reaction behind on anything long-lived. */
  #until<T>(step: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      step.then(resolve, reject)
      if (this.#failure) reject(this.#failure)
    })
  }
}

export function cancelled(signal: AbortSignal | undefined): ExchangeError {
  return new ExchangeError('ERR_EXCHANGE_CANCELLED', 'cancelled', { cause: signal?.reason })
}

function wrongLength(size: number, comparison: 'longer' | 'shorter'): ExchangeError {
  return new ExchangeError('ERR_EXCHANGE_SOURCE', `the file is ${comparison} than the ${size} bytes announced`)
}

function asFailure(error: unknown): ExchangeError {
  if (error instanceof ExchangeError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new ExchangeError('ERR_EXCHANGE_SOURCE', `the file could not be read: ${why}`, { cause: error })
}
