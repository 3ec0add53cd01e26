import { DataStream, type OutgoingMessage, type StreamOwner } from './data-stream.ts'
import { ACK, type ChannelParameters, isAck, Ppid, parseOpen } from './dcep.ts'
import { RTCError } from './rtc-error.ts'

/** RFC 8832 §6: 65535 is not to be used. */
const MAX_STREAM_ID = 65_534

/** What data channels need of SCTP. */
export interface Association {
  /** Data can be sent. */
  readonly isConnected: boolean
  /** As many as the peer takes, in either direction; null until connected. */
  readonly maxChannels: number | null
  events: AssociationEvents | undefined
  /** Resolves when all of it has been handed to the network once. */
  send(streamId: number, message: OutgoingMessage): Promise<void>
  /** Whether anything sent on the stream waits to be acknowledged or given up. */
  hasOutstanding(streamId: number): boolean
  /** Outgoing SSN Reset, RFC 6525 §5.1.2. */
  reset(streamId: number): void
}

export interface AssociationEvents {
  onconnect(): void
  onmessage(streamId: number, ppid: number, data: Buffer): void
  /** The peer has acknowledged something. */
  onacknowledged(): void
  onincomingreset(streamIds: readonly number[]): void
  onoutgoingreset(streamIds: readonly number[]): void
  /** Nothing follows. */
  onclose(error: RTCError | undefined): void
}

/** All data channels of one association: who has which id, whose turn it is to send, what came for whom. */
export class DataStreams implements StreamOwner, AssociationEvents {
  /** How many have reached, and left, the state 'open'. */
  opened = 0
  closed = 0
  readonly #association: Association
  readonly #onstream: (stream: DataStream) => void
  readonly #byId = new Map<number, DataStream>()
  readonly #unassigned = new Set<DataStream>()
  /** Streams with something to send take turns, one message each. */
  readonly #turns = new Set<DataStream>()
  readonly #closing = new Set<DataStream>()
  #sending = false
  #parity: 0 | 1 | undefined

  /** `onstream` learns of channels that the peer opens. */
  constructor(association: Association, onstream: (stream: DataStream) => void) {
    this.#association = association
    this.#onstream = onstream
    association.events = this
  }

  /** Those that have an id, and are not over. */
  get active(): Iterable<DataStream> {
    return this.#byId.values()
  }

  /** Throws OperationError when the id is taken or more than the peer takes, or none is left. Without an id the channel is opened in its stream. */
  create(parameters: ChannelParameters, id?: number): DataStream {
    const stream = new DataStream(this, parameters, { negotiated: id !== undefined, announced: false })
    if (id !== undefined) {
      if (this.#byId.has(id)) throw new DOMException(`Data channel ${id} exists already`, 'OperationError')
      if (id > this.#maxId)
        throw new DOMException(`The peer takes ids up to ${this.#maxId}, not ${id}`, 'OperationError')
      this.#assign(stream, id)
    } else if (this.#parity === undefined) {
      this.#unassigned.add(stream)
    } else {
      const free = this.#freeId(this.#parity)
      if (free === undefined) throw new DOMException('No data channel id is left', 'OperationError')
      this.#assign(stream, free)
    }
    // Later: whoever made it has to be able to listen first.
    if (this.#association.isConnected) setImmediate(() => this.#open(stream))
    return stream
  }

  /** RFC 8832 §6: the DTLS client uses even ids, the server odd ones. Repeated calls change nothing. */
  assignIds(isDtlsClient: boolean): void {
    this.#parity ??= isDtlsClient ? 0 : 1
    for (const stream of this.#unassigned) {
      const free = this.#freeId(this.#parity)
      this.#unassigned.delete(stream)
      if (free !== undefined) this.#assign(stream, free)
      else stream.end(noIdLeft())
    }
  }

  /** Every channel ends, as far as this end is concerned. */
  end(error: RTCError | undefined): void {
    for (const stream of [...this.#byId.values(), ...this.#unassigned]) stream.end(error)
  }

  schedule(stream: DataStream): void {
    this.#turns.add(stream)
    void this.#send()
  }

  hasOutstanding({ id }: DataStream): boolean {
    return id !== null && this.#association.hasOutstanding(id)
  }

  reset({ id }: DataStream): void {
    if (id !== null) this.#association.reset(id)
  }

  leave(stream: DataStream): void {
    this.closed++
    this.#closing.add(stream)
  }

  release(stream: DataStream): void {
    this.#turns.delete(stream)
    this.#closing.delete(stream)
    this.#unassigned.delete(stream)
    if (stream.id !== null && this.#byId.get(stream.id) === stream) this.#byId.delete(stream.id)
  }

  onconnect(): void {
    for (const stream of [...this.#byId.values()]) {
      // webrtc-pc §6.1.1.3: what the peer would drop without a word.
      if (stream.id! > this.#maxId) stream.end(noIdLeft())
      else this.#open(stream)
    }
    void this.#send()
  }

  onmessage(streamId: number, ppid: number, data: Buffer): void {
    const stream = this.#byId.get(streamId)
    if (ppid !== Ppid.dcep) stream?.receive(ppid, data)
    else if (stream) isAck(data) && stream.acknowledge()
    else this.#announce(streamId, data)
  }

  onacknowledged(): void {
    for (const stream of this.#closing) stream.settle()
  }

  onincomingreset(streamIds: readonly number[]): void {
    for (const id of streamIds) this.#byId.get(id)?.closeIncoming()
  }

  onoutgoingreset(streamIds: readonly number[]): void {
    for (const id of streamIds) this.#byId.get(id)?.closeOutgoing()
  }

  onclose(error: RTCError | undefined): void {
    this.end(error)
  }

  #open(stream: DataStream): void {
    if (stream.state !== 'connecting') return
    this.opened++
    stream.open()
  }

  /** webrtc-pc §6.2.2: the channel is open when the application sees it, and says so afterwards. */
  #announce(streamId: number, message: Buffer): void {
    const parameters = parseOpen(message)
    if (!parameters || streamId > MAX_STREAM_ID) return
    const stream = new DataStream(this, parameters, { negotiated: false, announced: true })
    this.#assign(stream, streamId)
    this.opened++
    stream.control(ACK)
    this.#onstream(stream)
    if (stream.state === 'open') stream.handlers?.onopen()
  }

  async #send(): Promise<void> {
    if (this.#sending || !this.#association.isConnected) return
    this.#sending = true
    try {
      for (let turn = this.#nextTurn(); turn; turn = this.#nextTurn()) {
        const { stream, message } = turn
        await this.#association.send(stream.id!, message)
        stream.handlers?.onsent(message.size)
        stream.settle()
      }
    } finally {
      this.#sending = false
    }
  }

  #nextTurn(): { stream: DataStream; message: OutgoingMessage } | undefined {
    for (const stream of this.#turns) {
      this.#turns.delete(stream)
      const message = stream.take()
      if (stream.hasQueued) this.#turns.add(stream)
      if (message && stream.id !== null) return { stream, message }
    }
    return undefined
  }

  #assign(stream: DataStream, id: number): void {
    stream.id = id
    this.#byId.set(id, stream)
  }

  get #maxId(): number {
    return Math.min(MAX_STREAM_ID, (this.#association.maxChannels ?? Number.POSITIVE_INFINITY) - 1)
  }

  #freeId(parity: 0 | 1): number | undefined {
    const last = this.#maxId
    for (let id: number = parity; id <= last; id += 2) if (!this.#byId.has(id)) return id
    return undefined
  }
}

function noIdLeft(): RTCError {
  return new RTCError({ errorDetail: 'data-channel-failure' }, 'No data channel id is left that the peer takes')
}
