import { ExchangeError, ExchangeErrorEvent } from './errors.ts'
import {
  type ControlFrame,
  decodeChunk,
  decodeControl,
  encodeControl,
  MAX_NAME,
  MAX_TEXT,
  MAX_TRANSFERS,
  type Offer,
} from './frames.ts'
import { Incoming, type IncomingFile } from './incoming.ts'
import { cancelled, type FileSource, Outgoing, type SendOptions, type Wire } from './outgoing.ts'

/** What an exchange needs of a connection: whole messages, in order. `Connection` of `@floe/webrtc` is one. */
export interface ExchangeConnection {
  /** Sends in call order; resolves when there is room for more. */
  send(data: string | Uint8Array): Promise<void>
  onmessage: ((data: string | Uint8Array) => void) | null
  /** Resolves with the reason when the connection has ended. */
  readonly closed?: Promise<string>
}

/**
 * Chat and file transfer over one connection, both ways and several files at once. Takes over `connection.onmessage`.
 *
 * Nothing the peer sends makes a method throw: what breaks the protocol is an `error` event ({@link ExchangeErrorEvent})
 * and ends at most the transfer that it belongs to.
 */
export class Exchange extends EventTarget {
  /** The peer said something: at most 8192 UTF-16 units. */
  onchat: ((text: string) => void) | null = null
  /** The peer offers a file. Without a handler, offers are declined. */
  onfile: ((incoming: IncomingFile) => void) | null = null

  readonly #connection: ExchangeConnection
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #incoming = new Map<number, Incoming>()
  #nextId = 1
  #lastOffer = 0
  #closed: ExchangeError | undefined

  constructor(connection: ExchangeConnection) {
    super()
    this.#connection = connection
    connection.onmessage = (data) => (typeof data === 'string' ? this.#onControl(data) : this.#onChunk(data))
    connection.closed?.then((reason) => this.#close(reason))
  }

  /**
   * Sends one chat message. Resolves when there is room for more.
   * @throws ExchangeError `ERR_EXCHANGE_ARGUMENT` over 8192 UTF-16 units, `ERR_EXCHANGE_CLOSED`
   */
  async say(text: string): Promise<void> {
    if (text.length > MAX_TEXT) {
      throw new ExchangeError(
        'ERR_EXCHANGE_ARGUMENT',
        `a message has at most ${MAX_TEXT} characters: send it as a file`,
      )
    }
    if (this.#closed) throw this.#closed
    await this.#wire.control({ type: 'chat', text })
  }

  /**
   * Offers a file and sends it when the peer accepts. Resolves with the hexadecimal SHA-256 when the peer has read all
   * of it and found the same.
   * @throws ExchangeError with a code that tells who ended it, see {@link ExchangeErrorCode}
   */
  async sendFile(source: FileSource, options: SendOptions = {}): Promise<{ sha256: string }> {
    if (this.#closed) throw this.#closed
    const problem = problemWith(source) ?? (this.#outgoing.size >= MAX_TRANSFERS ? TOO_MANY : undefined)
    if (problem) throw new ExchangeError('ERR_EXCHANGE_ARGUMENT', problem)
    if (options.signal?.aborted) throw cancelled(options.signal)
    const id = this.#nextId++
    const outgoing = new Outgoing(id, source, options, this.#wire)
    this.#outgoing.set(id, outgoing)
    try {
      return await outgoing.run()
    } finally {
      this.#outgoing.delete(id)
    }
  }

  readonly #wire: Wire = {
    control: (frame) => this.#send(encodeControl(frame)),
    chunk: (frame) => this.#send(frame),
  }

  async #send(data: string | Uint8Array): Promise<void> {
    try {
      await this.#connection.send(data)
    } catch (cause) {
      throw this.#close(cause instanceof Error ? cause.message : String(cause))
    }
  }

  #onControl(text: string): void {
    const frame = decodeControl(text)
    if (!frame) this.#report('a control frame that is malformed')
    else if (frame.type === 'chat') this.onchat?.(frame.text)
    else if (frame.type === 'offer') this.#onOffer(frame)
    else if (!this.#onTransfer(frame)) this.#report(`a frame out of place: ${frame.type} of file ${frame.id}`)
  }

  /** @returns false when the frame breaks the protocol; frames of a transfer that is over may still be under way */
  #onTransfer(frame: Exclude<ControlFrame, { type: 'chat' | 'offer' }>): boolean {
    const fromSender = frame.type === 'end' || frame.type === 'cancel'
    if (frame.id > (fromSender ? this.#lastOffer : this.#nextId - 1)) return false
    const incoming = this.#incoming.get(frame.id)
    const outgoing = this.#outgoing.get(frame.id)
    switch (frame.type) {
      case 'end':
        return incoming?.end(frame.sha256) ?? true
      case 'cancel':
        incoming?.fail(new ExchangeError('ERR_EXCHANGE_CANCELLED', `the sender cancelled: ${frame.reason}`))
        return true
      case 'accept':
        return outgoing?.accept(frame.credit) ?? true
      case 'credit':
        return outgoing?.credit(frame.credit) ?? true
      case 'received':
        return outgoing?.received() ?? true
      case 'reject':
        outgoing?.fail(new ExchangeError('ERR_EXCHANGE_REJECTED', frame.reason || 'the peer declined the file'))
        return true
    }
  }

  #onOffer(offer: Offer): void {
    // Ids only rise, so that a late frame of a finished file is told from an invented one without remembering any.
    if (offer.id <= this.#lastOffer) {
      this.#report(`an offer with the used id ${offer.id}`)
      return
    }
    this.#lastOffer = offer.id
    const incoming = new Incoming(offer, {
      control: (frame) => void this.#wire.control(frame).catch(() => {}),
      finished: () => this.#incoming.delete(offer.id),
    })
    if (!this.onfile || this.#incoming.size >= MAX_TRANSFERS) {
      incoming.reject(this.onfile ? TOO_MANY : 'the peer takes no files')
      return
    }
    this.#incoming.set(offer.id, incoming)
    this.onfile(incoming)
  }

  #onChunk(frame: Uint8Array): void {
    const chunk = decodeChunk(frame)
    if (!chunk || chunk.id > this.#lastOffer) {
      this.#report('a data frame that is malformed')
    } else if (this.#incoming.get(chunk.id)?.chunk(chunk.payload) === false) {
      this.#report(`a data frame out of place for file ${chunk.id}`)
    }
  }

  #report(what: string): void {
    const error = new ExchangeError('ERR_EXCHANGE_PROTOCOL', `the peer sent ${what}`)
    this.dispatchEvent(new ExchangeErrorEvent(error))
  }

  #close(reason: string): ExchangeError {
    this.#closed ??= new ExchangeError('ERR_EXCHANGE_CLOSED', `the connection ended: ${reason}`)
    for (const outgoing of this.#outgoing.values()) outgoing.fail(this.#closed)
    for (const incoming of this.#incoming.values()) incoming.fail(this.#closed)
    return this.#closed
  }
}

const TOO_MANY = `${MAX_TRANSFERS} files are under way already: wait for one to finish`

function problemWith({ name, size, type = '' }: FileSource): string | undefined {
  if (name === '' || name.length > MAX_NAME) return `a file name has 1 to ${MAX_NAME} characters`
  if (!Number.isSafeInteger(size) || size < 0) return `a file size is a whole number of bytes, not ${size}`
  if (type.length > MAX_NAME) return `a media type has at most ${MAX_NAME} characters`
  return undefined
}
