import { type ChannelParameters, formatOpen, Ppid } from './dcep.ts'
import type { RTCError } from './rtc-error.ts'

/** What arrives before we know that the association is up; a peer that sends more has no reason to. Bytes. */
const MAX_EARLY_BYTES = 1_048_576
/** How long the peer may take to close its direction after we have closed ours. Some never do. Milliseconds. */
const PEER_RESET_TIMEOUT_MS = 3000

/** One message for SCTP. */
export interface OutgoingMessage {
  readonly ppid: number
  readonly data: Buffer
  /** Payload that the application counts as buffered, bytes. An empty message has a byte of data all the same. */
  readonly size: number
  readonly ordered: boolean
  readonly maxRetransmits: number | null
  /** On the clock of `Date.now()`; null: never. */
  readonly expiresAt: number | null
}

/** What happens to a stream. Nothing of it throws. */
export interface StreamHandlers {
  onopen(): void
  onmessage(data: string | Buffer): void
  /** So many bytes have left the queue. */
  onsent(size: number): void
  /** The peer has closed its direction. */
  onclosing(): void
  /** The last event. */
  onclose(error: RTCError | undefined): void
}

/** The table that a stream stands in. */
export interface StreamOwner {
  /** There is something to send. */
  schedule(stream: DataStream): void
  /** It has left the state 'open', and wants to hear of acknowledgements. */
  leave(stream: DataStream): void
  /** Whether something that was sent may still have to be sent again. */
  hasOutstanding(stream: DataStream): boolean
  /** Closes our direction, RFC 6525. */
  reset(stream: DataStream): void
  /** It is over, and its id is free. */
  release(stream: DataStream): void
}

export interface StreamOptions {
  readonly negotiated: boolean
  /** The peer opened it: it is open from the start. */
  readonly announced: boolean
}

/** A pair of SCTP streams, one each way, that make up a data channel: RFC 8831 §6.4 to §6.7, RFC 8832 §6. */
export class DataStream {
  readonly parameters: ChannelParameters
  readonly negotiated: boolean
  handlers: StreamHandlers | undefined
  /** null until the DTLS roles are known. */
  id: number | null = null
  messagesSent = 0
  bytesSent = 0
  messagesReceived = 0
  bytesReceived = 0
  readonly #owner: StreamOwner
  #state: RTCDataChannelState
  #queue: OutgoingMessage[] = []
  #early: [ppid: number, data: Buffer][] = []
  #earlyBytes = 0
  /** The peer knows of the channel, so order no longer guarantees that it does. */
  #known: boolean
  #incomingClosed = false
  #outgoing: 'open' | 'resetting' | 'closed' = 'open'
  #resetTimer: NodeJS.Timeout | undefined

  constructor(owner: StreamOwner, parameters: ChannelParameters, { negotiated, announced }: StreamOptions) {
    this.#owner = owner
    this.parameters = parameters
    this.negotiated = negotiated
    this.#known = negotiated || announced
    this.#state = announced ? 'open' : 'connecting'
  }

  get state(): RTCDataChannelState {
    return this.#state
  }

  get hasQueued(): boolean {
    return this.#queue.length > 0
  }

  /** To be called while open. `size` 0 takes the payload protocol of empty messages. */
  send(data: string | Buffer): void {
    const isString = typeof data === 'string'
    const bytes = isString ? Buffer.from(data) : data
    const { ordered, maxRetransmits, maxPacketLifeTime } = this.parameters
    this.messagesSent++
    this.bytesSent += bytes.length
    this.#enqueue({
      ppid: bytes.length > 0 ? (isString ? Ppid.string : Ppid.binary) : isString ? Ppid.emptyString : Ppid.emptyBinary,
      // SCTP has no empty messages: RFC 8831 §6.6 sends one byte that counts for nothing.
      data: bytes.length > 0 ? bytes : Buffer.alloc(1),
      size: bytes.length,
      ordered,
      maxRetransmits,
      expiresAt: maxPacketLifeTime === null ? null : Date.now() + maxPacketLifeTime,
    })
  }

  /** Closes once everything that was sent has arrived, or has been given up. */
  close(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    const wasConnecting = this.#state === 'connecting'
    this.#state = 'closing'
    if (wasConnecting) return queueMicrotask(() => this.end(undefined))
    this.#owner.leave(this)
    this.settle()
  }

  /** From the table: the association is up. */
  open(): void {
    if (this.#state !== 'connecting') return
    if (!this.#known) this.control(formatOpen(this.parameters))
    this.#state = 'open'
    this.handlers?.onopen()
    for (const [ppid, data] of this.#early.splice(0)) this.receive(ppid, data)
  }

  /** From the table: a message of RFC 8832 for the peer, ahead of everything that may get lost. */
  control(data: Buffer): void {
    this.#enqueue({ ppid: Ppid.dcep, data, size: 0, ordered: true, maxRetransmits: null, expiresAt: null })
  }

  /** From the table: the peer has answered our opening. */
  acknowledge(): void {
    this.#known = true
  }

  /** From the table: the next message whose time is not over. */
  take(): OutgoingMessage | undefined {
    for (;;) {
      const message = this.#queue.shift()
      if (!message) return undefined
      const { ppid, expiresAt, size } = message
      if (expiresAt === null || expiresAt > Date.now()) {
        // RFC 8832 §6: in order until the peer has acknowledged, so that nothing arrives before the channel does.
        return ppid === Ppid.dcep || this.#known ? message : { ...message, ordered: true }
      }
      this.handlers?.onsent(size)
    }
  }

  /** From the table. What arrives on a channel that is closing is nobody's any more. */
  receive(ppid: number, data: Buffer): void {
    if (this.#state === 'connecting') return this.#keep(ppid, data)
    if (this.#state !== 'open') return
    const message = payload(ppid, data)
    if (message === undefined) return
    this.messagesReceived++
    this.bytesReceived += Buffer.byteLength(message)
    this.handlers?.onmessage(message)
  }

  /** From the table: the peer has closed its direction, so ours closes too. */
  closeIncoming(): void {
    if (this.#state === 'connecting') return
    this.#incomingClosed = true
    if (this.#state === 'open') {
      this.#state = 'closing'
      this.#queue = []
      this.#owner.leave(this)
      this.handlers?.onclosing()
    }
    this.settle()
  }

  /** From the table: the peer has seen that our direction is closed. */
  closeOutgoing(): void {
    if (this.#outgoing !== 'resetting') return
    this.#outgoing = 'closed'
    this.#resetTimer = setTimeout(() => this.end(undefined), PEER_RESET_TIMEOUT_MS)
    this.#resetTimer.unref()
    this.settle()
  }

  /** From the table: something has been sent or acknowledged. Goes on with closing, RFC 8831 §6.7. */
  settle(): void {
    if (this.#state !== 'closing') return
    if (this.#outgoing === 'closed' && this.#incomingClosed) return this.end(undefined)
    if (this.#outgoing !== 'open' || this.hasQueued || this.#owner.hasOutstanding(this)) return
    this.#outgoing = 'resetting'
    this.#owner.reset(this)
  }

  /** From the table: at once and for good. */
  end(error: RTCError | undefined): void {
    if (this.#state === 'closed') return
    clearTimeout(this.#resetTimer)
    if (this.#state === 'open') this.#owner.leave(this)
    this.#state = 'closed'
    this.#queue = []
    this.#owner.release(this)
    this.handlers?.onclose(error)
  }

  #enqueue(message: OutgoingMessage): void {
    this.#queue.push(message)
    this.#owner.schedule(this)
  }

  #keep(ppid: number, data: Buffer): void {
    this.#earlyBytes += data.length
    if (this.#earlyBytes <= MAX_EARLY_BYTES) this.#early.push([ppid, data])
  }
}

function payload(ppid: number, data: Buffer): string | Buffer | undefined {
  switch (ppid) {
    case Ppid.string:
      return data.toString()
    case Ppid.binary:
      return data
    case Ppid.emptyString:
      return ''
    case Ppid.emptyBinary:
      return Buffer.alloc(0)
    default:
      return undefined
  }
}
