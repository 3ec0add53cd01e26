import { ChannelCarrier } from './channel-carrier.ts'
import type { ConnectOptions } from './connect-options.ts'
import { type Connection, type ConnectionOwner, SessionConnection } from './connection.ts'
import { aborted, ConnectError } from './errors.ts'
import { Introduction } from './introduction.ts'
import { Negotiation } from './negotiation.ts'
import { Recovery } from './recovery.ts'
import { RelayCarrier } from './relay-carrier.ts'
import type { RelayKeys } from './secure/keys.ts'
import type { RelayFaults } from './secure/sealed.ts'
import { watchSecurity } from './security.ts'
import type { Relay, Signaling, SignalingMessage } from './signaling.ts'

/** To open, and to come back after an interruption, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000
/** Both ends create it with this label and number, so it is open as soon as SCTP is: RFC 8832 needs a round trip more. */
const CHANNEL_LABEL = 'floe'
const CHANNEL_ID = 0
/** Of a new session, between its first message and the connect() that takes it up. */
const MAX_LEFT_OVER_MESSAGES = 256

/** Messages for the next connect() on a channel whose peer started over. */
const leftOver = new WeakMap<Signaling, SignalingMessage[]>()

/** One attempt to connect, and what keeps the connection alive afterwards. */
export class Attempt implements ConnectionOwner {
  readonly opened: Promise<Connection>
  readonly #peerConnection: RTCPeerConnection
  readonly #signaling: Signaling
  readonly #subtle: SubtleCrypto | undefined
  readonly #signal: AbortSignal | undefined
  readonly #timeout: number
  readonly #connection: SessionConnection
  readonly #negotiation: Negotiation
  readonly #recovery: Recovery
  readonly #openTimer: ReturnType<typeof setTimeout>
  #lostTimer: ReturnType<typeof setTimeout> | undefined
  #introduction: Introduction | undefined
  #relay: RelayCarrier | undefined
  #unlockRelay = (_keys: RelayKeys): void => {}
  #isOpen = false
  #startedOver = false
  #resolve!: (connection: Connection) => void
  #reject!: (error: ConnectError) => void

  constructor(
    peerConnection: RTCPeerConnection,
    signaling: Signaling,
    polite: boolean,
    subtle: SubtleCrypto | undefined,
    options: ConnectOptions,
  ) {
    const { timeout = DEFAULT_TIMEOUT_MS, signal } = options
    this.#peerConnection = peerConnection
    this.#signaling = signaling
    this.#subtle = subtle
    this.#signal = signal
    this.#timeout = timeout
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const channel = peerConnection.createDataChannel(CHANNEL_LABEL, { negotiated: true, id: CHANNEL_ID })
    this.#connection = new SessionConnection(peerConnection, channel, this)
    this.#watch(channel)
    this.#negotiation = new Negotiation(peerConnection, signaling, polite, this.#introduce(polite, options), {
      onhello: (message) => this.#onHello(message),
      check: (sdp) => this.#introduction!.check(sdp),
      onbye: (reason) => this.#end(new ConnectError('ERR_CONNECT_PEER_LEFT', `The peer left: ${reason}`), reason),
      onstartover: (message) => this.#startOver(message),
      onerror: (error) => this.#end(error),
    })
    this.#recovery = new Recovery(peerConnection, polite, (state) => this.#onDirectState(state))
    this.#openTimer = setTimeout(() => this.#end(this.#timedOut()), timeout)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    watchSecurity(peerConnection, (error) => this.#end(error))
    this.#listen()
  }

  get isOver(): boolean {
    return this.#connection.state === 'closed'
  }

  /** Resolves when the attempt, or the connection that came of it, has ended. */
  get ended(): Promise<string> {
    return this.#connection.closed
  }

  /** Of the connection. */
  get relayFaults(): RelayFaults {
    return this.#relay?.faults ?? { missing: 0, repeated: 0, altered: 0 }
  }

  flushed(): Promise<void> {
    return this.#relay?.flushed() ?? Promise.resolve()
  }

  /** Of the connection: it has ended. */
  release(reason: string): void {
    clearTimeout(this.#openTimer)
    clearTimeout(this.#lostTimer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#recovery.stop()
    this.#relay?.stop()
    // A bye would reach the new session of a peer that started over, which is not meant.
    this.#negotiation.stop(this.#startedOver ? undefined : reason)
    if (!this.#startedOver) this.#signaling.onmessage = null
    this.#reject(new ConnectError('ERR_CONNECT_FAILED', `The connection was closed: ${reason}`))
  }

  #watch(channel: RTCDataChannel): void {
    new ChannelCarrier(channel, this.#connection.driver)
    channel.addEventListener('close', () => {
      if (this.#connection.path === undefined) void this.#connection.peerClosed()
    })
    this.#connection.addEventListener('pathchange', () => {
      if (this.#connection.path !== undefined) this.#open()
    })
    this.#connection.addEventListener('statechange', () => this.#onStateChange())
  }

  #listen(): void {
    const early = leftOver.get(this.#signaling) ?? []
    leftOver.delete(this.#signaling)
    for (const message of early) this.#negotiation.receive(message)
    this.#signaling.onmessage = (message) => this.#negotiation.receive(message)
  }

  /** Says who we are. The offer that tells us the fingerprint is not used: its like is made when its time has come. */
  async #introduce(polite: boolean, { secret, relay = true }: ConnectOptions): Promise<void> {
    const role = polite ? 'polite' : 'impolite'
    const usesRelay = relay && this.#subtle !== undefined && this.#signaling.relay !== undefined
    const options = { role, subtle: this.#subtle, secret, relay: usesRelay } as const
    if (usesRelay) this.#relay = this.#lockedRelay(this.#signaling.relay!, this.#subtle!)
    try {
      const { sdp = '' } = await this.#peerConnection.createOffer()
      this.#introduction = await Introduction.create(options, sdp)
      this.#negotiation.sayHello(await this.#introduction.message())
    } catch (cause) {
      if (!this.isOver) this.#end(new ConnectError('ERR_CONNECT_FAILED', 'No connection could be prepared', { cause }))
    }
  }

  async #onHello(message: Extract<SignalingMessage, { hello: string }>): Promise<void> {
    const keys = await this.#introduction!.receive(message)
    if (keys) this.#unlockRelay(keys)
  }

  /** Frames of a peer that has our hello may come before we are done with its own: they wait for the keys. */
  #lockedRelay(relay: Relay, subtle: SubtleCrypto): RelayCarrier {
    const keys = new Promise<RelayKeys>((resolve) => {
      this.#unlockRelay = resolve
    })
    return new RelayCarrier(relay, subtle, keys, this.#connection.driver)
  }

  /** What the peer connection says of the direct path. The session finds out by itself, but later. */
  #onDirectState(state: 'open' | 'interrupted'): void {
    const connection = this.#connection
    if (state === 'interrupted') connection.driver.suspectDirect()
    if (connection.path === 'direct') connection.setState(state)
  }

  #onStateChange(): void {
    clearTimeout(this.#lostTimer)
    if (this.#connection.state !== 'interrupted') return
    const error = new ConnectError('ERR_CONNECT_FAILED', 'No path to the peer could be found again')
    this.#lostTimer = setTimeout(() => this.#end(error), this.#timeout)
    if (this.#connection.channel.readyState === 'closed') void this.#connection.peerClosed()
  }

  #open(): void {
    if (this.#isOpen) return
    this.#isOpen = true
    clearTimeout(this.#openTimer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#resolve(this.#connection)
  }

  /** Before it is open the error rejects connect(); afterwards its message is the reason of closing. */
  #end(error: ConnectError, reason = error.message): void {
    this.#reject(error)
    void this.#connection.finish(reason)
  }

  /** The new session's messages wait for the application's next connect() on the same channel. */
  #startOver(first: SignalingMessage): void {
    const messages = [first]
    this.#startedOver = true
    leftOver.set(this.#signaling, messages)
    this.#signaling.onmessage = (message) => {
      if (messages.length < MAX_LEFT_OVER_MESSAGES) messages.push(message)
    }
    this.#end(new ConnectError('ERR_CONNECT_PEER_LEFT', 'The peer started over, as after a page reload: connect again'))
  }

  #timedOut(): ConnectError {
    const { connectionState, remoteDescription } = this.#peerConnection
    const why = remoteDescription
      ? `no path was found (${connectionState}): candidates of both sides have to reach each other`
      : 'the peer did not answer: is it in the same room?'
    const code = connectionState === 'failed' ? 'ERR_CONNECT_FAILED' : 'ERR_CONNECT_TIMEOUT'
    return new ConnectError(code, `Not connected after ${this.#timeout} ms, since ${why}`)
  }

  readonly #onAbort = (): void => {
    if (!this.#isOpen) this.#end(aborted(this.#signal!))
  }
}
