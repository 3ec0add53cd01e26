import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { ExchangeError } from './errors.ts'
import { type ControlFrame, type Offer, WINDOW } from './frames.ts'

/** A file the peer offers. Nothing is sent until {@link accept}; nothing more is sent than `chunks` is read. */
export interface IncomingFile {
  /** A bare file name: no path, no control or direction characters, never empty, `.` or `..`. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Media type as the sender claims it; empty when unknown. */
  readonly type: string
  /**
   * The file's bytes, readable once. Ends only when length and checksum are right; throws an `ExchangeError` otherwise.
   * Breaking out of the loop early rejects the rest.
   */
  readonly chunks: AsyncIterable<Uint8Array>
  /** Hexadecimal SHA-256, compared with the sender's. Settles when `chunks` has been read to its end or has failed. */
  readonly sha256: Promise<string>
  /** Asks for the bytes. Does nothing when the offer is over already. */
  accept(): void
  /** Declines the file, or stops receiving it: the sender is told `reason`. */
  reject(reason: string): void
}

export interface Receiver {
  control(frame: ControlFrame): void
  /** The transfer is over, well or not. */
  finished(): void
}

/** One file on its way in. `chunk`, `end` and `fail` are what the peer and the connection do to it. */
export class Incoming implements IncomingFile {
  readonly name: string
  readonly size: number
  readonly type: string
  readonly chunks: AsyncIterable<Uint8Array>
  readonly sha256: Promise<string>
  readonly #id: number
  readonly #receiver: Receiver
  readonly #hash = sha256.create()
  readonly #queue: Uint8Array[] = []
  #phase: 'offered' | 'receiving' | 'ended' | 'over' = 'offered'
  /** Chunks the sender may still send. */
  #credit = 0
  /** Chunks read since credit was last given. */
  #read = 0
  #arrived = 0
  #announced = ''
  #failure: ExchangeError | undefined
  #wake: () => void = () => {}
  #verified!: { resolve(digest: string): void; reject(error: ExchangeError): void }

  constructor(offer: Offer, receiver: Receiver) {
    this.name = bareName(offer.name)
    this.size = offer.size
    this.type = offer.mediaType
    this.#id = offer.id
    this.#receiver = receiver
    this.chunks = this.#chunks()
    this.sha256 = new Promise((resolve, reject) => {
      this.#verified = { resolve, reject }
    })
    // Whoever reads `chunks` hears of the failure there; the promise is for those who ask.
    this.sha256.catch(() => {})
  }

  accept(): void {
    if (this.#phase !== 'offered') return
    this.#phase = 'receiving'
    this.#credit = WINDOW
    this.#receiver.control({ type: 'accept', id: this.#id, credit: WINDOW })
  }

  reject(reason: string): void {
    this.#refuse(new ExchangeError('ERR_EXCHANGE_CANCELLED', reason))
  }

  /** @returns false when the peer broke the protocol; the transfer has failed then */
  chunk(payload: Uint8Array): boolean {
    if (this.#phase !== 'receiving') return this.#violation('data outside of a transfer')
    if (this.#credit === 0) return this.#violation('more data than was asked for')
    if (this.#arrived + payload.length > this.size) return this.#violation('more data than was announced')
    this.#credit -= 1
    this.#arrived += payload.length
    this.#queue.push(payload)
    this.#wake()
    return true
  }

  /** @returns false when the peer broke the protocol; the transfer has failed then */
  end(digest: string): boolean {
    if (this.#phase !== 'receiving') return this.#violation('the end of a transfer that did not begin')
    if (this.#arrived !== this.size) return this.#violation('the file ended early')
    this.#phase = 'ended'
    this.#announced = digest
    this.#wake()
    return true
  }

  fail(error: ExchangeError): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#failure = error
    this.#queue.length = 0
    this.#verified.reject(error)
    this.#receiver.finished()
    this.#wake()
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, void> {
    try {
      while (true) {
        if (this.#failure) throw this.#failure
        const chunk = this.#queue.shift()
        if (chunk) {
          this.#hash.update(chunk)
          yield chunk
          this.#replenish()
        } else if (this.#phase === 'ended') {
          return this.#verify()
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
      }
    } finally {
      this.#refuse(new ExchangeError('ERR_EXCHANGE_CANCELLED', 'the receiver stopped reading'))
    }
  }

  /** Half a window at a time: a frame per chunk would be a flood, a whole window would leave the path idle. */
  #replenish(): void {
    this.#read += 1
    if (this.#read < WINDOW / 2 || this.#phase !== 'receiving') return
    this.#credit += this.#read
    this.#receiver.control({ type: 'credit', id: this.#id, credit: this.#read })
    this.#read = 0
  }

  #verify(): void {
    const digest = bytesToHex(this.#hash.digest())
    if (digest !== this.#announced) {
      const error = new ExchangeError('ERR_EXCHANGE_CORRUPT', 'the checksum is not the one the sender announced')
      this.#refuse(error)
      throw error
    }
    this.#phase = 'over'
    this.#receiver.control({ type: 'received', id: this.#id })
    this.#verified.resolve(digest)
    this.#receiver.finished()
  }

  #violation(what: string): false {
    this.#refuse(new ExchangeError('ERR_EXCHANGE_PROTOCOL', what))
    return false
  }

  #refuse(error: ExchangeError): void {
    if (this.#phase === 'over') return
    this.#receiver.control({ type: 'reject', id: this.#id, reason: error.message })
    this.fail(error)
  }
}

/** The peer's idea of a name must neither leave the download folder nor look like another name on a terminal. */
function bareName(name: string): string {
  const last = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)
  const shown = last.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').trim()
  return shown === '' || shown === '.' || shown === '..' ? 'file' : shown
}
