import { isArrayBuffer } from 'node:util/types'
import { assertConstructible, type Constructible } from './constructible.ts'
import type { DataStream } from './data-stream.ts'
import { defineEventHandlers, RTCErrorEvent } from './events.ts'
import { RTCError } from './rtc-error.ts'
import { defineInterface, wrapAround } from './webidl.ts'

/** Chromium's. What is queued beyond it is refused, bytes. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024

type Handler<E extends Event> = ((this: RTCDataChannel, event: E) => unknown) | null

/**
 * W3C RTCDataChannel, webrtc-pc §6.2. Events: open, message (`data` is a string, or an ArrayBuffer or Blob as
 * `binaryType` says), bufferedamountlow, error, closing, close.
 */
export class RTCDataChannel extends EventTarget {
  declare onopen: Handler<Event>
  declare onmessage: Handler<MessageEvent>
  declare onbufferedamountlow: Handler<Event>
  declare onerror: Handler<RTCErrorEvent>
  declare onclosing: Handler<Event>
  declare onclose: Handler<Event>

  readonly #stream: DataStream
  readonly #maxMessageSize: () => number
  #binaryType: BinaryType = 'arraybuffer'
  #bufferedAmount = 0
  #bufferedAmountLowThreshold = 0
  #closing = false
  /** Blobs are being read: what is sent meanwhile waits behind them. */
  #reading: Promise<void> | undefined
  /** Messages for whoever is about to listen. */
  #held: (string | Buffer)[] | undefined

  /** @internal Channels come from `RTCPeerConnection.createDataChannel()` and its `datachannel` event. */
  constructor(key: Constructible, stream: DataStream, maxMessageSize: () => number) {
    assertConstructible(key, 'createDataChannel() makes data channels')
    super()
    this.#stream = stream
    this.#maxMessageSize = maxMessageSize
    if (stream.state === 'open') this.#hold()
    stream.handlers = {
      onopen: () => this.#opened(),
      onmessage: (data) => this.#receive(data),
      onsent: (size) => this.#sent(size),
      onclosing: () => this.#closedByPeer(),
      onclose: (error) => this.#closed(error),
    }
  }

  get label(): string {
    return this.#stream.parameters.label
  }
  get protocol(): string {
    return this.#stream.parameters.protocol
  }
  get ordered(): boolean {
    return this.#stream.parameters.ordered
  }
  get negotiated(): boolean {
    return this.#stream.negotiated
  }
  get maxRetransmits(): number | null {
    return this.#stream.parameters.maxRetransmits
  }
  /** Milliseconds. */
  get maxPacketLifeTime(): number | null {
    return this.#stream.parameters.maxPacketLifeTime
  }
  /** null until the answer has settled the DTLS roles, unless negotiated. */
  get id(): number | null {
    return this.#stream.id
  }
  get readyState(): RTCDataChannelState {
    const { state } = this.#stream
    return this.#closing && state !== 'closed' ? 'closing' : state
  }
  /** Bytes of payload that have not been handed to the network. */
  get bufferedAmount(): number {
    return this.#bufferedAmount
  }
  get bufferedAmountLowThreshold(): number {
    return this.#bufferedAmountLowThreshold
  }
  set bufferedAmountLowThreshold(bytes: number) {
    this.#bufferedAmountLowThreshold = wrapAround(bytes, 32)
  }
  get binaryType(): BinaryType {
    return this.#binaryType
  }
  set binaryType(type: BinaryType) {
    if (type === 'arraybuffer' || type === 'blob') this.#binaryType = type
  }

  /**
   * Sends one message; the bytes are copied. Throws InvalidStateError unless open, TypeError when the message is larger
   * than the peer accepts (`RTCPeerConnection.sctp.maxMessageSize`), OperationError when 16 MiB are waiting already.
   */
  send(data: string | Blob | ArrayBuffer | ArrayBufferView): void {
    // biome-ignore lint/complexity/noArguments: undefined is a message, to Web IDL
    if (arguments.length === 0) throw new TypeError('send() needs a message')
    if (this.readyState !== 'open') {
      throw new DOMException(`The data channel is ${this.readyState}, not open`, 'InvalidStateError')
    }
    const message = data instanceof Blob ? data : copyOf(data)
    const size = message instanceof Blob ? message.size : Buffer.byteLength(message)
    this.#checkSize(size)
    this.#bufferedAmount += size
    if (message instanceof Blob || this.#reading) this.#sendInOrder(message)
    else this.#stream.send(message)
  }

  /** Closes once everything that was sent has been acknowledged. */
  close(): void {
    if (this.readyState === 'closing' || this.readyState === 'closed') return
    this.#closing = true
    if (this.#reading) void this.#reading.then(() => this.#stream.close())
    else this.#stream.close()
  }

  #checkSize(size: number): void {
    const limit = this.#maxMessageSize()
    if (size > limit) {
      throw new TypeError(`A message of ${size} bytes is more than the ${limit} that the peer accepts: split it`)
    }
    if (this.#bufferedAmount > 0 && this.#bufferedAmount + size > MAX_BUFFERED_BYTES) {
      const advice = 'wait for bufferedamountlow'
      throw new DOMException(`${this.#bufferedAmount} bytes wait to be sent already: ${advice}`, 'OperationError')
    }
  }

  #sendInOrder(message: string | Buffer | Blob): void {
    const turn = (this.#reading ?? Promise.resolve()).then(async () => {
      try {
        const bytes = message instanceof Blob ? Buffer.from(await message.arrayBuffer()) : message
        if (this.#stream.state === 'open') this.#stream.send(bytes)
      } catch (cause) {
        this.#giveUp(cause)
      }
      if (this.#reading === turn) this.#reading = undefined
    })
    this.#reading = turn
  }

  /** A Blob is gone, of a file that has changed, say: what follows it must not pass for the whole. */
  #giveUp(cause: unknown): void {
    if (this.#stream.state !== 'open') return
    this.#closing = true
    this.#stream.close()
    const error = new RTCError({ errorDetail: 'data-channel-failure', cause }, 'A Blob could not be read to be sent')
    this.dispatchEvent(new RTCErrorEvent('error', { error }))
  }

  #opened(): void {
    this.#hold()
    this.dispatchEvent(new Event('open'))
  }

  /** A listener that is set in a continuation of the event misses nothing: messages are tasks of their own in W3C's terms. */
  #hold(): void {
    if (this.#held) return
    this.#held = []
    setImmediate(() => this.#release())
  }

  #release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const data of held) this.#receive(data)
  }

  #receive(data: string | Buffer): void {
    if (this.#held) return void this.#held.push(data)
    if (this.#closing) return
    const payload = typeof data === 'string' ? data : this.#payload(data)
    this.dispatchEvent(new MessageEvent('message', { data: payload }))
  }

  #payload(data: Buffer): ArrayBuffer | Blob {
    const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer
    return this.#binaryType === 'blob' ? new Blob([bytes]) : bytes
  }

  #sent(size: number): void {
    const wasHigh = this.#bufferedAmount > this.#bufferedAmountLowThreshold
    this.#bufferedAmount -= size
    if (wasHigh && this.#bufferedAmount <= this.#bufferedAmountLowThreshold) {
      this.dispatchEvent(new Event('bufferedamountlow'))
    }
  }

  #closedByPeer(): void {
    this.#release()
    this.dispatchEvent(new Event('closing'))
  }

  #closed(error: RTCError | undefined): void {
    this.#release()
    if (error) this.dispatchEvent(new RTCErrorEvent('error', { error }))
    this.dispatchEvent(new Event('close'))
  }
}

defineInterface(RTCDataChannel)

defineEventHandlers(RTCDataChannel.prototype, ['open', 'message', 'bufferedamountlow', 'error', 'closing', 'close'])

function copyOf(data: unknown): string | Buffer {
  if (ArrayBuffer.isView(data)) {
    return Buffer.copyBytesFrom(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  // Of whatever realm: test runners and sandboxes have classes of their own.
  return isArrayBuffer(data) ? Buffer.copyBytesFrom(new Uint8Array(data)) : String(data)
}
