import {
  ACK_DELAY,
  ACK_EVERY,
  MAX_MESSAGE_SIZE,
  RECEIVE_WINDOW,
  RELAY_WINDOW,
  RTO,
  STALLED_AFTER,
  SUSPECT_AFTER,
} from './defaults.ts'
import { decodeFrame, encodeFrame, type Frame } from './frame.ts'
import { type Message, ReceiveQueue } from './receive-queue.ts'
import { SendQueue } from './send-queue.ts'

/** `relay`: through the signaling server. `direct`: the data channel, over whatever path ICE has. */
export type Carrier = 'relay' | 'direct'

export type SessionOutput =
  | { readonly type: 'frame'; readonly carrier: Carrier; readonly bytes: Uint8Array<ArrayBuffer> }
  /** Where our messages go now. `undefined`: nowhere, they wait. */
  | { readonly type: 'path'; readonly path: Carrier | undefined }
  /** There is something to `read()`. */
  | { readonly type: 'readable' }
  /** The peer has received something of ours: `bufferedAmount` is less than before. */
  | { readonly type: 'acknowledged' }
  /** The relay has not carried anything for several attempts, though it is said to be up; or it does again. */
  | { readonly type: 'stalled'; readonly isStalled: boolean }
  /** All of ours has arrived, and the peer has been told that it was all. */
  | { readonly type: 'finished' }
  /** The peer has said all that it had to say, and we have received it. */
  | { readonly type: 'closed'; readonly reason: string }
  /** The peer does not follow the protocol: nothing that it says from now on can be relied on. */
  | { readonly type: 'broken' }

interface CarrierState {
  isUp: boolean
  /** Whether the driver would take another data frame. Few and small others are always taken. */
  isReady: boolean
}

/**
 * One ordered, reliable stream of messages over two carriers, of which each may come and go. Sans I/O, in the shape of
 * `Machine` (packages/stun/src/machine.ts): after any call `poll()` until `undefined`, then sleep until `timeout()`.
 *
 * Frames are numbered over the whole session, so it does not matter on which carrier one comes, or how often. On every
 * move to another carrier all that is not acknowledged is sent again there: whatever the old one had under way may arrive
 * or not. Acknowledgements go back on the carrier on which the data came, so that they prove both its directions.
 */
export class Session {
  readonly #carriers: Record<Carrier, CarrierState> = {
    relay: { isUp: false, isReady: true },
    direct: { isUp: false, isReady: true },
  }
  readonly #outgoing = new SendQueue()
  readonly #incoming = new ReceiveQueue()
  readonly #outputs: SessionOutput[] = []
  #now = 0
  #path: Carrier | undefined
  /** The direct path does not answer. It stays up, with a ping under way that an answer would prove it by. */
  #isSuspect = false
  /** Id of the ping under way on the direct path. */
  #ping: number | undefined
  #pings = 0
  /** Since when something on the direct path waits for an answer. */
  #unansweredSince = Number.POSITIVE_INFINITY
  #rto: number = RTO.initial
  #resendAt = Number.POSITIVE_INFINITY
  /** The data channel has closed: is the peer still there? A ping on the relay finds out. */
  #isProbing = false
  /** Times in a row that it was sent again in vain. */
  #resends = 0
  /** Base for which a gap has been repaired: once is enough, the rest is the timer's. */
  #repaired = -1
  #ackOn: Carrier | undefined
  #unacknowledged = 0
  #ackAt = Number.POSITIVE_INFINITY
  /** What the last acknowledgement allowed the peer. */
  #announcedLimit = RECEIVE_WINDOW
  #finishing: string | undefined
  #isOver = false

  get path(): Carrier | undefined {
    return this.#path
  }

  /** Bytes that the peer has not acknowledged, each frame with a charge. */
  get bufferedAmount(): number {
    return this.#outgoing.bufferedAmount
  }

  /** Queues a message of at most `MAX_MESSAGE_SIZE` bytes; copies it. */
  send(now: number, message: string | Uint8Array): void {
    this.#now = now
    const isText = typeof message === 'string'
    const payload = isText ? new TextEncoder().encode(message) : message
    if (payload.length > MAX_MESSAGE_SIZE) {
      throw new TypeError(`A message has at most ${MAX_MESSAGE_SIZE} bytes, not ${payload.length}`)
    }
    this.#outgoing.add(payload, isText)
    this.#setTimers()
  }

  /** The next message of the peer. Reading makes room for more. */
  read(now: number): Message | undefined {
    this.#now = now
    const message = this.#incoming.read()
    if (this.#incoming.limit - this.#announcedLimit >= RECEIVE_WINDOW / 4) this.#acknowledge()
    return message
  }

  /** Nothing more will be sent: tells the peer when it has everything. */
  finish(now: number, reason: string): void {
    this.#now = now
    this.#finishing ??= reason
    this.#closeWhenDone()
  }

  setUp(now: number, carrier: Carrier, isUp: boolean): void {
    this.#now = now
    this.#carriers[carrier] = { isUp, isReady: true }
    const wasDirect = this.#path === 'direct'
    if (carrier === 'direct') this.#trustDirect()
    else this.#rto = RTO.initial
    this.#isProbing = carrier === 'direct' && !isUp && wasDirect && this.#carriers.relay.isUp
    if (this.#isProbing) this.#emit('relay', { type: 'ping', id: 0 })
    this.#choosePath()
  }

  setReady(now: number, carrier: Carrier, isReady: boolean): void {
    this.#now = now
    this.#carriers[carrier].isReady = isReady
    this.#setTimers()
  }

  /** From those who look after the direct path: it is down as far as they can see. */
  suspectDirect(now: number): void {
    this.#now = now
    if (!this.#carriers.direct.isUp || this.#isSuspect) return
    this.#isSuspect = true
    this.#pingDirect()
    this.#choosePath()
  }

  /** Takes what came over a carrier, which has authenticated it. Never throws, whatever the bytes. */
  handleFrame(now: number, carrier: Carrier, bytes: Uint8Array): void {
    this.#now = now
    const frame = decodeFrame(bytes)
    if (this.#isOver) return
    if (frame === undefined) return this.#break()
    if (frame.type === 'data') this.#onData(carrier, frame)
    else if (frame.type === 'ack') this.#onAck(carrier, frame)
    else if (frame.type === 'ping') this.#onPing(carrier, frame)
    else if (frame.type === 'pong') this.#onPong(carrier, frame)
    else if (frame.type === 'close') this.#onClose(frame)
  }

  handleTimeout(now: number): void {
    this.#now = now
    if (now >= this.#ackAt) this.#acknowledge()
    if (this.#canSuspect() && now >= this.#unansweredSince + SUSPECT_AFTER) this.suspectDirect(now)
    if (now >= this.#resendAt) this.#resend()
    this.#setTimers()
  }

  timeout(): number {
    const suspectAt = this.#canSuspect() ? this.#unansweredSince + SUSPECT_AFTER : Number.POSITIVE_INFINITY
    return Math.min(this.#ackAt, suspectAt, this.#resendAt)
  }

  poll(): SessionOutput | undefined {
    const output = this.#outputs.shift()
    if (output !== undefined) return output
    const path = this.#path
    if (path === undefined || this.#isOver || !this.#carriers[path].isReady) return undefined
    const bytes = this.#outgoing.take(this.#now, path === 'relay' ? RELAY_WINDOW : Number.POSITIVE_INFINITY)
    if (bytes === undefined) return undefined
    if (path === 'direct') this.#unansweredSince = Math.min(this.#unansweredSince, this.#now)
    this.#setTimers()
    return { type: 'frame', carrier: path, bytes }
  }

  #onData(carrier: Carrier, frame: Extract<Frame, { type: 'data' }>): void {
    const outcome = this.#incoming.add(frame)
    if (outcome === 'broken') return this.#break()
    this.#ackOn = carrier
    if (outcome === 'next') this.#outputs.push({ type: 'readable' })
    // The peer has gone back to the relay: is the direct path of use to us?
    if (carrier === 'relay' && this.#path === 'direct') this.#pingDirect()
    this.#unacknowledged++
    if (outcome !== 'next' || this.#unacknowledged >= ACK_EVERY) this.#acknowledge()
    else if (this.#ackAt === Number.POSITIVE_INFINITY) this.#ackAt = this.#now + ACK_DELAY
  }

  #onAck(carrier: Carrier, { next, limit, gap }: Extract<Frame, { type: 'ack' }>): void {
    const allowsMore = limit > this.#outgoing.limit
    if (allowsMore) this.#outgoing.limit = limit
    const took = this.#outgoing.acknowledge(this.#now, next)
    if (took !== false) this.#onProgress(took)
    if (carrier === 'direct') this.#answered()
    else if (gap && this.#path === 'relay' && next === this.#outgoing.base && next !== this.#repaired) {
      this.#repaired = next
      this.#outgoing.rewind()
    }
    this.#setTimers()
    this.#closeWhenDone()
  }

  #onProgress(took: number | undefined): void {
    if (took !== undefined) this.#rto = Math.min(Math.max(RTO.least, 2 * took + ACK_DELAY), RTO.most)
    this.#resendAt = Number.POSITIVE_INFINITY // set anew, from now on
    this.#flows()
    this.#outputs.push({ type: 'acknowledged' })
  }

  #onPing(carrier: Carrier, { id }: Extract<Frame, { type: 'ping' }>): void {
    this.#emit(carrier, { type: 'pong', id })
    this.#ackOn = carrier
    this.#acknowledge()
  }

  #onPong(carrier: Carrier, { id }: Extract<Frame, { type: 'pong' }>): void {
    if (carrier === 'relay') {
      this.#isProbing = false
      this.#resendAt = Number.POSITIVE_INFINITY
      this.#flows()
      return this.#setTimers()
    }
    if (id !== this.#ping) return
    this.#trustDirect()
    this.#choosePath()
  }

  #onClose({ number, reason }: Extract<Frame, { type: 'close' }>): void {
    if (this.#incoming.next < number) return // Closing waits for the acknowledgement of all.
    this.#isOver = true
    this.#outputs.push({ type: 'closed', reason })
  }

  /** Something has come back over the direct path. */
  #answered(): void {
    const waits = this.#ping !== undefined || (this.#path === 'direct' && this.#outgoing.isOutstanding)
    this.#unansweredSince = waits ? this.#now : Number.POSITIVE_INFINITY
  }

  #trustDirect(): void {
    this.#isSuspect = false
    this.#ping = undefined
    this.#answered()
  }

  #canSuspect(): boolean {
    return this.#path === 'direct' && this.#carriers.relay.isUp
  }

  #pingDirect(): void {
    if (this.#ping !== undefined) return
    this.#ping = ++this.#pings
    this.#unansweredSince = Math.min(this.#unansweredSince, this.#now)
    this.#emit('direct', { type: 'ping', id: this.#ping })
  }

  #choosePath(): void {
    const { relay, direct } = this.#carriers
    const path = direct.isUp && !(this.#isSuspect && relay.isUp) ? 'direct' : relay.isUp ? 'relay' : undefined
    if (path !== this.#path) {
      this.#path = path
      this.#outgoing.rewind()
      this.#repaired = -1
      this.#flows()
      this.#resendAt = Number.POSITIVE_INFINITY
      this.#answered()
      this.#outputs.push({ type: 'path', path })
    }
    this.#setTimers()
    this.#closeWhenDone()
  }

  /** The relay loses what it cannot carry. The data channel does not, and has timers of its own. */
  #setTimers(): void {
    const waits = (this.#path === 'relay' && this.#isWaiting) || this.#outgoing.isBlocked
    if (this.#path === undefined || !waits) this.#resendAt = Number.POSITIVE_INFINITY
    else if (this.#resendAt === Number.POSITIVE_INFINITY) this.#resendAt = this.#now + this.#rto
  }

  /** For an answer on the relay. */
  get #isWaiting(): boolean {
    return this.#outgoing.isOutstanding || this.#isProbing
  }

  #resend(): void {
    this.#rto = Math.min(2 * this.#rto, RTO.most)
    this.#resendAt = Number.POSITIVE_INFINITY
    if (this.#path === 'relay' && this.#isWaiting) {
      this.#outgoing.rewind()
      if (this.#isProbing) this.#emit('relay', { type: 'ping', id: 0 })
      if (++this.#resends === STALLED_AFTER) this.#outputs.push({ type: 'stalled', isStalled: true })
    } else if (this.#path !== undefined && this.#outgoing.isBlocked) {
      // The word that there is room again may have been lost: an answer to a ping brings it.
      this.#emit(this.#path, { type: 'ping', id: 0 })
    }
  }

  #flows(): void {
    if (this.#resends >= STALLED_AFTER) this.#outputs.push({ type: 'stalled', isStalled: false })
    this.#resends = 0
  }

  #acknowledge(): void {
    this.#ackAt = Number.POSITIVE_INFINITY
    this.#unacknowledged = 0
    const carrier = this.#ackOn && this.#carriers[this.#ackOn].isUp ? this.#ackOn : this.#path
    if (carrier === undefined || this.#isOver) return
    const { next, limit, hasGap } = this.#incoming
    this.#announcedLimit = limit
    this.#emit(carrier, { type: 'ack', next, limit, gap: hasGap })
  }

  #closeWhenDone(): void {
    if (this.#finishing === undefined || this.#isOver || !this.#outgoing.isEmpty || this.#path === undefined) return
    // The peer, which may be closing as well, waits for the word that we have all of its messages.
    if (this.#ackAt !== Number.POSITIVE_INFINITY) this.#acknowledge()
    for (const carrier of ['direct', 'relay'] as const) {
      const frame = { type: 'close', number: this.#outgoing.made, reason: this.#finishing } as const
      if (this.#carriers[carrier].isUp) this.#emit(carrier, frame)
    }
    this.#isOver = true
    this.#outputs.push({ type: 'finished' })
  }

  #break(): void {
    this.#isOver = true
    this.#outputs.push({ type: 'broken' })
  }

  #emit(carrier: Carrier, frame: Frame): void {
    this.#outputs.push({ type: 'frame', carrier, bytes: encodeFrame(frame) })
  }
}
