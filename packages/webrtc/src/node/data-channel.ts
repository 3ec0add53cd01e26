import type { RTCDataChannel as WeriftDataChannel } from 'werift'
import { defineEventHandlers, RTCErrorEvent } from './events.ts'
import { sctpInternals, sctpTransportInternals } from './werift-internals.ts'

/** RFC 8831 §8: SCTP knows no empty messages, so their payload protocol says it. */
const STRING_EMPTY_PPID = 56
const BINARY_EMPTY_PPID = 57
/** How often a closing channel looks whether its last message has been acknowledged. */
const CLOSING_POLL_MS = 10

/**
 * W3C RTCDataChannel. Events: open, message (`data` is a string, or an ArrayBuffer or Blob as `binaryType` says),
 * bufferedamountlow, error, closing, close.
 */
export class RTCDataChannel extends EventTarget {
  declare onopen: ((this: RTCDataChannel, event: Event) => unknown) | null
  declare onmessage: ((this: RTCDataChannel, event: MessageEvent) => unknown) | null
  declare onbufferedamountlow: ((this: RTCDataChannel, event: Event) => unknown) | null
  declare onerror: ((this: RTCDataChannel, event: RTCErrorEvent) => unknown) | null
  declare onclosing: ((this: RTCDataChannel, event: Event) => unknown) | null
  declare onclose: ((this: RTCDataChannel, event: Event) => unknown) | null

  readonly #channel: WeriftDataChannel
  #binaryType: BinaryType = 'arraybuffer'
  #closing = false
  #closeTimer: NodeJS.Timeout | undefined

  /** Channels come from `RTCPeerConnection.createDataChannel()` and its `datachannel` event. */
  constructor(channel: WeriftDataChannel) {
    super()
    this.#channel = channel
    channel.onMessage.subscribe((data) => this.#receive(data))
    channel.bufferedAmountLow.subscribe(() => this.dispatchEvent(new Event('bufferedamountlow')))
    channel.stateChange.subscribe((state) => this.#stateChanged(state))
  }

  get label(): string {
    return this.#channel.label
  }
  get protocol(): string {
    return this.#channel.protocol
  }
  get ordered(): boolean {
    return this.#channel.ordered
  }
  get negotiated(): boolean {
    return this.#channel.negotiated
  }
  get maxRetransmits(): number | null {
    return this.#channel.maxRetransmits
  }
  /** Milliseconds. */
  get maxPacketLifeTime(): number | null {
    return this.#channel.maxPacketLifeTime
  }
  /** null until the channel has a stream. */
  get id(): number | null {
    return this.#channel.id ?? null
  }
  get readyState(): RTCDataChannelState {
    const state = this.#channel.readyState
    return this.#closing && state !== 'closed' ? 'closing' : state
  }
  /** Bytes of payload that have not been handed to the network. */
  get bufferedAmount(): number {
    return this.#channel.bufferedAmount
  }
  get bufferedAmountLowThreshold(): number {
    return this.#channel.bufferedAmountLowThreshold
  }
  set bufferedAmountLowThreshold(bytes: number) {
    this.#channel.bufferedAmountLowThreshold = bytes
  }
  get binaryType(): BinaryType {
    return this.#binaryType
  }
  set binaryType(type: BinaryType) {
    if (type === 'arraybuffer' || type === 'blob') this.#binaryType = type
  }

  /**
   * Sends one message; the bytes are copied. Throws InvalidStateError unless open, TypeError when the message is larger
   * than the peer accepts (`RTCPeerConnection.sctp.maxMessageSize`).
   */
  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.readyState !== 'open') {
      throw new DOMException(`The data channel is ${this.readyState}, not open`, 'InvalidStateError')
    }
    const message = typeof data === 'string' ? data : copyBytes(data)
    const size = Buffer.byteLength(message)
    const limit = this.#channel.sctp.remoteMaxMessageSize
    if (limit > 0 && size > limit) {
      throw new TypeError(`A message of ${size} bytes is more than the ${limit} that the peer accepts: split it`)
    }
    if (size === 0) this.#sendEmpty(typeof data === 'string' ? STRING_EMPTY_PPID : BINARY_EMPTY_PPID)
    else this.#channel.send(message)
  }

  /** Closes once everything that was sent has been acknowledged. */
  close(): void {
    if (this.readyState === 'closing' || this.readyState === 'closed') return
    this.#closing = true
    this.#closeWhenAcknowledged()
  }

  /** The transport below has failed for good. */
  fail(error: Error): void {
    if (this.readyState === 'closed') return
    this.dispatchEvent(new RTCErrorEvent('error', { error }))
    this.#channel.setReadyState('closed')
  }

  #receive(data: string | Buffer): void {
    const payload = typeof data === 'string' ? data : this.#payload(data)
    this.dispatchEvent(new MessageEvent('message', { data: payload }))
  }

  #payload(data: Buffer): ArrayBuffer | Blob {
    const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer
    return this.#binaryType === 'blob' ? new Blob([bytes]) : bytes
  }

  #stateChanged(state: RTCDataChannelState): void {
    if (state === 'open') this.dispatchEvent(new Event('open'))
    if (state === 'closing' && !this.#closing) this.dispatchEvent(new Event('closing'))
    if (state !== 'closed') return
    clearTimeout(this.#closeTimer)
    this.dispatchEvent(new Event('close'))
  }

  /** werift drops empty messages, since they have no fragments. One byte carries them, and is not counted. */
  #sendEmpty(protocol: number): void {
    const sctp = sctpTransportInternals(this.#channel.sctp)
    this.#channel.addBufferedAmount(1)
    sctp.dataChannelQueue.push([this.#channel, protocol, Buffer.alloc(1)])
    void sctp.dataChannelFlush()
  }

  /** werift would reset the stream at once, ahead of what still waits or gets lost. */
  #closeWhenAcknowledged(): void {
    if (this.#hasUnacknowledged()) {
      this.#closeTimer = setTimeout(() => this.#closeWhenAcknowledged(), CLOSING_POLL_MS)
    } else {
      this.#channel.close()
    }
  }

  #hasUnacknowledged(): boolean {
    if (this.#channel.readyState !== 'open') return false
    const { outboundQueue, sentQueue } = sctpInternals(this.#channel.sctp)
    const mine = (chunk: { streamId: number }) => chunk.streamId === this.id
    return this.bufferedAmount > 0 || outboundQueue.some(mine) || sentQueue.some(mine)
  }
}

defineEventHandlers(RTCDataChannel.prototype, ['open', 'message', 'bufferedamountlow', 'error', 'closing', 'close'])

/** W3C RTCDataChannelEvent. */
export class RTCDataChannelEvent extends Event {
  readonly channel: RTCDataChannel

  constructor(type: string, init: { channel: RTCDataChannel }) {
    super(type)
    this.channel = init.channel
  }
}

function copyBytes(data: ArrayBuffer | ArrayBufferView): Buffer {
  if (ArrayBuffer.isView(data))
    return Buffer.copyBytesFrom(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  if (data instanceof ArrayBuffer) return Buffer.copyBytesFrom(new Uint8Array(data))
  throw new TypeError(
    'A data channel sends strings, ArrayBuffers and views of them; read a Blob with arrayBuffer() first',
  )
}
