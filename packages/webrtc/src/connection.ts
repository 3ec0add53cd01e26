import { ConnectError } from './errors.ts'

/** More than this waiting to be sent, in bytes, and send() holds its caller back … */
const HIGH_WATER_BYTES = 1024 * 1024
/** … until so much is left. */
const LOW_WATER_BYTES = 256 * 1024
/** Messages that arrive before `onmessage` is set. Beyond it the oldest are dropped: nobody listens. */
const MAX_HELD_MESSAGES = 1024

/** How long close() waits for the last messages to arrive, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000
/** The peer's bye may come by another way than its closing of the channel. */
const BYE_GRACE_MS = 250

/** A connection to one peer: messages both ways, in order and reliable, for as long as ICE finds any path. */
export interface Connection extends EventTarget, AsyncDisposable {
  readonly peerConnection: RTCPeerConnection
  readonly channel: RTCDataChannel
  /** 'interrupted': no path at the moment, and we are looking for one. Messages wait. */
  readonly state: 'open' | 'interrupted' | 'closed'
  /** Whatever comes before it is set is held and delivered on setting. Binary messages are Uint8Arrays. */
  onmessage: ((data: string | Uint8Array) => void) | null
  /** Resolves with the reason, whoever gave it. */
  readonly closed: Promise<string>
  /**
   * Sends one message and resolves when there is room for more, so `await` it in a loop. Rejects with ConnectError when
   * closed, TypeError when the message is larger than `peerConnection.sctp.maxMessageSize`.
   */
  send(data: string | Uint8Array): Promise<void>
  /** Lets what was sent arrive, says bye with the reason, and frees everything. */
  close(reason?: string): Promise<void>
}

/** What a connection needs of the one who set it up. */
export interface ConnectionOwner {
  /** Tells the peer, and stops what it runs for the connection. */
  release(reason: string): void
}

/** The open data channel as a {@link Connection}. Dispatches 'statechange', and 'close' in the end. */
export class ChannelConnection extends EventTarget implements Connection {
  readonly peerConnection: RTCPeerConnection
  readonly channel: RTCDataChannel
  readonly closed: Promise<string>
  readonly #owner: ConnectionOwner
  #state: Connection['state'] = 'open'
  #onmessage: Connection['onmessage'] = null
  readonly #held: (string | Uint8Array)[] = []
  #resolveClosed!: (reason: string) => void
  #closing: Promise<void> | undefined
  /** What waits in send(). */
  #waiting: (() => void)[] = []

  constructor(peerConnection: RTCPeerConnection, channel: RTCDataChannel, owner: ConnectionOwner) {
    super()
    this.peerConnection = peerConnection
    this.channel = channel
    this.#owner = owner
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES
    channel.addEventListener('message', ({ data }) => this.#receive(data))
    channel.addEventListener('bufferedamountlow', () => this.#resume())
    channel.addEventListener('close', () => {
      this.#resume()
      void this.#peerClosed()
    })
  }

  get state(): Connection['state'] {
    return this.#state
  }

  get onmessage(): Connection['onmessage'] {
    return this.#onmessage
  }
  set onmessage(handler: Connection['onmessage']) {
    this.#onmessage = handler
    while (this.#onmessage && this.#held.length > 0) this.#onmessage(this.#held.shift()!)
  }

  send(data: string | Uint8Array): Promise<void> {
    const sent = this.#send(data)
    // Whoever does not await it learns of the end from `closed`, and not from an unhandled rejection.
    sent.catch(() => {})
    return sent
  }

  close(reason = 'closed'): Promise<void> {
    this.#closing ??= this.#close(reason)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** From the owner: a path has been lost or found. */
  setState(state: 'open' | 'interrupted'): void {
    if (this.#state === 'closed' || this.#state === state) return
    this.#state = state
    this.dispatchEvent(new Event('statechange'))
  }

  /** From the owner: it is over, without asking the peer. */
  async finish(reason: string): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#owner.release(reason)
    // In Node this waits for the sockets; in a browser there is nothing to wait for.
    await this.peerConnection.close()
    this.#resume()
    this.#resolveClosed(reason)
    this.dispatchEvent(new Event('statechange'))
    this.dispatchEvent(new Event('close'))
  }

  async #send(data: string | Uint8Array): Promise<void> {
    if (!this.#isUsable()) throw closedError()
    this.channel.send(data as Uint8Array<ArrayBuffer>)
    if (this.channel.bufferedAmount <= HIGH_WATER_BYTES) return
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    // Our own close() lets arrive what was sent before it.
    if (!this.#closing && !this.#isUsable()) throw closedError()
  }

  #isUsable(): boolean {
    return this.#state !== 'closed' && this.channel.readyState === 'open'
  }

  #resume(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #close(reason: string): Promise<void> {
    // A data channel closes when the peer has everything that was sent before: RFC 8831 §6.7.
    if (this.channel.readyState === 'open' && this.#state === 'open') {
      const closed = eventOf(this.channel, 'close', CLOSE_TIMEOUT_MS)
      this.channel.close()
      await closed
    }
    await this.finish(reason)
  }

  async #peerClosed(): Promise<void> {
    if (this.#closing || this.#state === 'closed') return
    await eventOf(this, 'close', BYE_GRACE_MS)
    await this.finish('the peer closed the connection')
  }

  #receive(data: string | ArrayBuffer): void {
    const message = typeof data === 'string' ? data : new Uint8Array(data)
    if (this.#onmessage) return this.#onmessage(message)
    this.#held.push(message)
    if (this.#held.length > MAX_HELD_MESSAGES) this.#held.shift()
  }
}

function closedError(): ConnectError {
  return new ConnectError('ERR_CONNECT_FAILED', 'The connection is closed: its `closed` promise says why')
}

function eventOf(target: EventTarget, type: string, timeout?: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = timeout === undefined ? undefined : setTimeout(resolve, timeout)
    target.addEventListener(
      type,
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}
