import { ConnectError } from './errors.ts'
import type { RelayFaults } from './secure/sealed.ts'
import { RECEIVE_WINDOW } from './session/defaults.ts'
import { SessionDriver } from './session/driver.ts'
import type { Carrier, SessionOutput } from './session/session.ts'

/** More than this not acknowledged by the peer, in bytes, and send() holds its caller back … */
const HIGH_WATER_BYTES = RECEIVE_WINDOW
/** … until so much is left. */
const LOW_WATER_BYTES: number = RECEIVE_WINDOW / 2

/** How long close() waits for the last messages to arrive, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000
/** The peer's bye may come by another way than its closing of the channel. */
const BYE_GRACE_MS = 250

/** `relay`: through the signaling server, which sees ciphertext. `direct`: over the best path of ICE, TURN included. */
export type ConnectionPath = Carrier

/** A message as it comes in: text, or a Uint8Array that is the receiver's to keep. */
export type ConnectionMessage = string | Uint8Array

/**
 * A connection to one peer: messages both ways, in order, each once, none lost, whatever path they take. The shape is that
 * of WebSocketStream, with a handler beside it. Messages are taken in one of three ways: by `onmessage`, by iteration, or
 * from `readable`; what nobody takes waits, and the peer is held back.
 */
export interface Connection extends EventTarget, AsyncDisposable, AsyncIterable<ConnectionMessage> {
  readonly peerConnection: RTCPeerConnection
  readonly channel: RTCDataChannel
  /** 'interrupted': no path at the moment, and we are looking for one. Messages wait. Changes fire 'statechange'. */
  readonly state: 'open' | 'interrupted' | 'closed'
  /** Where our messages go; `undefined`: nowhere at present. Changes fire 'pathchange' and call `onpathchange`. */
  readonly path: ConnectionPath | undefined
  onpathchange: ((path: ConnectionPath | undefined) => void) | null
  onmessage: ((data: ConnectionMessage) => void) | null
  /** Messages as a stream, without any buffer of its own. Cancelling it closes the connection. */
  readonly readable: ReadableStream<ConnectionMessage>
  /** send() as a stream; closing or aborting it closes the connection, the reason being the one given. */
  readonly writable: WritableStream<ConnectionMessage>
  /** Bytes that the peer has not acknowledged, and 64 for each frame of at most 16 KiB. */
  readonly bufferedAmount: number
  /** What the relay has done to the peer's frames: all of it has been made good, and counted. */
  readonly relayFaults: RelayFaults
  /** Resolves with the reason, whoever gave it. */
  readonly closed: Promise<string>
  /**
   * Sends one message and resolves when there is room for more, so `await` it in a loop. Rejects with ConnectError when
   * closed, with TypeError when the message is neither text nor a Uint8Array, or has more than 1 MiB.
   */
  send(data: ConnectionMessage): Promise<void>
  /** Lets what was sent arrive, says bye with the reason, and frees everything. */
  close(reason?: string): Promise<void>
}

/** What a connection needs of the one who set it up. */
export interface ConnectionOwner {
  readonly relayFaults: RelayFaults
  /** Resolves when frames that were sent have left. */
  flushed(): Promise<void>
  /** Tells the peer, and stops what it runs for the connection. */
  release(reason: string): void
}

/** A session as a {@link Connection}. Dispatches 'statechange', 'pathchange', and 'close' in the end. */
export class SessionConnection extends EventTarget implements Connection {
  readonly peerConnection: RTCPeerConnection
  readonly channel: RTCDataChannel
  readonly closed: Promise<string>
  /** For the owner, who attaches the carriers. */
  readonly driver: SessionDriver
  onpathchange: Connection['onpathchange'] = null
  readonly #owner: ConnectionOwner
  #state: Connection['state'] = 'open'
  #onmessage: Connection['onmessage'] = null
  #readable: ReadableStream<ConnectionMessage> | undefined
  #writable: WritableStream<ConnectionMessage> | undefined
  #resolveClosed!: (reason: string) => void
  #closing: Promise<void> | undefined
  #onfinished = (): void => {}
  /** What waits in send(). */
  #senders: (() => void)[] = []
  /** What waits for a message, or for the end. */
  #readers: (() => void)[] = []

  constructor(peerConnection: RTCPeerConnection, channel: RTCDataChannel, owner: ConnectionOwner) {
    super()
    this.peerConnection = peerConnection
    this.channel = channel
    this.#owner = owner
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.driver = new SessionDriver((output) => this.#onOutput(output))
  }

  get state(): Connection['state'] {
    return this.#state
  }

  get path(): ConnectionPath | undefined {
    return this.#state === 'closed' ? undefined : this.driver.path
  }

  get bufferedAmount(): number {
    return this.driver.bufferedAmount
  }

  get relayFaults(): RelayFaults {
    return this.#owner.relayFaults
  }

  get onmessage(): Connection['onmessage'] {
    return this.#onmessage
  }
  set onmessage(handler: Connection['onmessage']) {
    this.#onmessage = handler
    this.#deliver()
  }

  get readable(): ReadableStream<ConnectionMessage> {
    const messages = () => this[Symbol.asyncIterator]()
    let source: AsyncIterator<ConnectionMessage> | undefined
    this.#readable ??= new ReadableStream<ConnectionMessage>(
      {
        pull: async (controller) => {
          source ??= messages()
          const { done, value } = await source.next()
          if (done) controller.close()
          else controller.enqueue(value)
        },
        cancel: (reason) => this.close(wordsOf(reason)),
      },
      { highWaterMark: 0 },
    )
    return this.#readable
  }

  get writable(): WritableStream<ConnectionMessage> {
    this.#writable ??= new WritableStream<ConnectionMessage>({
      write: (message) => this.send(message),
      close: () => this.close(),
      abort: (reason) => this.close(wordsOf(reason)),
    })
    return this.#writable
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ConnectionMessage> {
    for (;;) {
      const message = this.driver.read()
      if (message !== undefined) yield message
      else if (this.#state === 'closed') return
      else await new Promise<void>((resolve) => this.#readers.push(resolve))
    }
  }

  send(data: ConnectionMessage): Promise<void> {
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

  /** From the owner: messages flow, or wait. */
  setState(state: 'open' | 'interrupted'): void {
    if (this.#state === 'closed' || this.#state === state) return
    this.#state = state
    this.dispatchEvent(new Event('statechange'))
  }

  /** From the owner: the peer has closed the channel, and does not answer on any other way. */
  async peerClosed(): Promise<void> {
    if (this.#closing || this.#state !== 'interrupted') return
    await eventOf(this, 'close', BYE_GRACE_MS)
    if (this.#state === 'interrupted') await this.finish('the peer closed the connection')
  }

  /** From the owner: it is over, without asking the peer. */
  async finish(reason: string): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.driver.stop()
    this.#onfinished() // our own close() has nothing to wait for any more
    this.#owner.release(reason)
    // In Node this waits for the sockets; in a browser there is nothing to wait for.
    await this.peerConnection.close()
    wake(this.#senders)
    wake(this.#readers)
    this.#resolveClosed(reason)
    this.dispatchEvent(new Event('statechange'))
    this.dispatchEvent(new Event('close'))
  }

  async #send(data: ConnectionMessage): Promise<void> {
    if (this.#closing || this.#state === 'closed') throw closedError()
    if (typeof data !== 'string' && Object.prototype.toString.call(data) !== '[object Uint8Array]') {
      throw new TypeError(
        'A message is text or a Uint8Array: put it into one, an ArrayBuffer by new Uint8Array(buffer)',
      )
    }
    this.driver.send(data)
    if (this.driver.bufferedAmount <= HIGH_WATER_BYTES) return
    await new Promise<void>((resolve) => this.#senders.push(resolve))
    // Our own close() lets arrive what was sent before it.
    if (!this.#closing && (this.#state as Connection['state']) === 'closed') throw closedError()
  }

  async #close(reason: string): Promise<void> {
    if (this.#state === 'open') {
      const finished = new Promise<void>((resolve) => {
        this.#onfinished = resolve
      })
      this.driver.finish(reason)
      await within(CLOSE_TIMEOUT_MS, finished)
      await this.#owner.flushed()
      await this.#closeChannel()
    }
    await this.finish(reason)
  }

  /** A data channel closes when the peer has everything that was sent before: RFC 8831 §6.7. */
  async #closeChannel(): Promise<void> {
    if (this.driver.path !== 'direct' || this.channel.readyState !== 'open') return
    const closed = eventOf(this.channel, 'close', CLOSE_TIMEOUT_MS)
    this.channel.close()
    await closed
  }

  #onOutput(output: Exclude<SessionOutput, { type: 'frame' }>): void {
    switch (output.type) {
      case 'readable':
        wake(this.#readers)
        return this.#deliver()
      case 'acknowledged':
        if (this.driver.bufferedAmount <= LOW_WATER_BYTES) wake(this.#senders)
        return
      case 'path':
        this.#onPath(output.path)
        return
      case 'stalled':
        return this.setState(output.isStalled ? 'interrupted' : 'open')
      case 'finished':
        return this.#onfinished()
      case 'closed':
        void this.finish(output.reason)
        return
      case 'broken':
        void this.finish('the peer does not follow the protocol')
    }
  }

  #onPath(path: ConnectionPath | undefined): void {
    this.setState(path === undefined ? 'interrupted' : 'open')
    this.dispatchEvent(new Event('pathchange'))
    report(() => this.onpathchange?.(path))
  }

  #deliver(): void {
    while (this.#onmessage) {
      const message = this.driver.read()
      if (message === undefined) return
      report(() => this.#onmessage?.(message))
    }
  }
}

/** What a handler throws is reported like what an event listener throws, and is not in the way of what else is due. */
function report(handle: () => void): void {
  try {
    handle()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

function wake(waiting: (() => void)[]): void {
  for (const resolve of waiting.splice(0)) resolve()
}

function wordsOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason ?? 'closed')
}

function closedError(): ConnectError {
  return new ConnectError('ERR_CONNECT_FAILED', 'The connection is closed: its `closed` promise says why')
}

function eventOf(target: EventTarget, type: string, timeout: number): Promise<void> {
  const event = new Promise<void>((resolve) => target.addEventListener(type, () => resolve(), { once: true }))
  return within(timeout, event)
}

function within(timeout: number, promise: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeout)
    void promise.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
