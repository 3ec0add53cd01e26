import type { PeerConnectionConfiguration } from './configuration.ts'
import { ChannelConnection, type Connection } from './connection.ts'
import { ConnectError } from './errors.ts'
import { Negotiation } from './negotiation.ts'
import { Recovery } from './recovery.ts'
import type { Signaling, SignalingMessage } from './signaling.ts'

/** To open, and to come back after an interruption, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000
/** Both ends create it with this label and number, so it is open as soon as SCTP is: RFC 8832 needs a round trip more. */
const CHANNEL_LABEL = 'floe'
const CHANNEL_ID = 0
/** Of a new session, between its first message and the connect() that takes it up. */
const MAX_LEFT_OVER_MESSAGES = 256

export interface ConnectOptions {
  /** Wait for the peer's offer and yield to it. Default: what `signaling.polite` says. */
  polite?: boolean
  /** Default: what `signaling.iceServers` offers, also when that changes later. */
  iceServers?: RTCIceServer[]
  /** Aborts the attempt, not the open connection. */
  signal?: AbortSignal
  /** Milliseconds, default 30000: to open, and later to come back after an interruption. */
  timeout?: number
  /** Anything else for the RTCPeerConnection. */
  configuration?: PeerConnectionConfiguration
  /** Called once, before the first offer: for those who show candidates and states while connecting, or why it failed. */
  onpeerconnection?: (peerConnection: RTCPeerConnection) => void
}

/**
 * Connects to the peer at the other end of a signaling channel; the same call in a browser and in Node, and one of the
 * two ends has to be polite. Resolves when messages can flow. Rejects with {@link ConnectError}.
 */
export type Connect = (signaling: Signaling, options?: ConnectOptions) => Promise<Connection>

/** connect() over the RTCPeerConnection of this world. */
export function createConnect(Peer: new (configuration: PeerConnectionConfiguration) => RTCPeerConnection): Connect {
  return async (signaling, options = {}) => {
    const { configuration, signal } = options
    if (signal?.aborted) throw aborted(signal)
    const polite = options.polite ?? signaling.polite
    if (polite === undefined) {
      const advice = 'Say `polite: true` at one end and `polite: false` at the other'
      throw new ConnectError('ERR_CONNECT_SIGNALING', `Nobody knows who makes the first offer. ${advice}`)
    }
    const named = options.iceServers ?? configuration?.iceServers
    const iceServers = named ?? offeredServers(signaling)
    const peerConnection = new Peer({ ...configuration, ...(iceServers ? { iceServers } : {}) })
    options.onpeerconnection?.(peerConnection)
    const session = new Session(peerConnection, signaling, polite, options)
    if (named === undefined) session.followOffers()
    return session.opened
  }
}

function offeredServers({ iceServers }: Signaling): RTCIceServer[] | undefined {
  return iceServers && [...iceServers]
}

/** Messages for the next connect() on a channel whose peer started over. */
const leftOver = new WeakMap<Signaling, SignalingMessage[]>()

/** One attempt to connect, and what keeps the connection alive afterwards. */
class Session {
  readonly opened: Promise<Connection>
  readonly #peerConnection: RTCPeerConnection
  readonly #signaling: Signaling
  readonly #signal: AbortSignal | undefined
  readonly #connection: ChannelConnection
  readonly #negotiation: Negotiation
  readonly #recovery: Recovery
  readonly #openTimer: ReturnType<typeof setTimeout>
  #isOpen = false
  #startedOver = false
  #followsOffers = false
  #resolve!: (connection: Connection) => void
  #reject!: (error: ConnectError) => void

  constructor(peerConnection: RTCPeerConnection, signaling: Signaling, polite: boolean, options: ConnectOptions) {
    const { timeout = DEFAULT_TIMEOUT_MS, signal } = options
    this.#peerConnection = peerConnection
    this.#signaling = signaling
    this.#signal = signal
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#negotiation = new Negotiation(peerConnection, signaling, polite, {
      onbye: (reason) => this.#end(new ConnectError('ERR_CONNECT_PEER_LEFT', `The peer left: ${reason}`), reason),
      onstartover: (message) => this.#startOver(message),
      onerror: (error) => this.#end(error),
    })
    this.#recovery = new Recovery(peerConnection, polite, timeout, {
      onstate: (state) => this.#connection.setState(state),
      onlost: () => this.#end(new ConnectError('ERR_CONNECT_FAILED', 'No path to the peer could be found again')),
    })
    this.#openTimer = setTimeout(() => this.#end(this.#timedOut(timeout)), timeout)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    watchSecurity(peerConnection, (error) => this.#end(error))
    const channel = peerConnection.createDataChannel(CHANNEL_LABEL, { negotiated: true, id: CHANNEL_ID })
    channel.addEventListener('open', () => this.#open())
    this.#connection = new ChannelConnection(peerConnection, channel, this)
    this.#listen()
  }

  /** Servers that the signaling offers later are taken into the configuration. */
  followOffers(): void {
    if (this.#signaling.iceServers === undefined || this.#connection.state === 'closed') return
    this.#followsOffers = true
    this.#signaling.oniceserverschange = () => this.#takeOffer()
  }

  /** Of the connection: it has ended. */
  release(reason: string): void {
    clearTimeout(this.#openTimer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#recovery.stop()
    // A bye would reach the new session of a peer that started over, which is not meant.
    this.#negotiation.stop(this.#startedOver ? undefined : reason)
    if (!this.#startedOver) this.#signaling.onmessage = null
    if (this.#followsOffers) this.#signaling.oniceserverschange = null
    this.#reject(new ConnectError('ERR_CONNECT_FAILED', `The connection was closed: ${reason}`))
  }

  /** For what is gathered later: these servers are asked at the next ICE restart. */
  #takeOffer(): void {
    const iceServers = offeredServers(this.#signaling) ?? []
    try {
      this.#peerConnection.setConfiguration({ ...this.#peerConnection.getConfiguration(), iceServers })
    } catch {} // What this RTCPeerConnection does not take is no reason to give up a path that works.
  }

  #listen(): void {
    const early = leftOver.get(this.#signaling) ?? []
    leftOver.delete(this.#signaling)
    for (const message of early) this.#negotiation.receive(message)
    this.#signaling.onmessage = (message) => this.#negotiation.receive(message)
  }

  #open(): void {
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

  #timedOut(timeout: number): ConnectError {
    const { connectionState, remoteDescription } = this.#peerConnection
    const why = remoteDescription
      ? `no path was found (${connectionState}): candidates of both sides have to reach each other`
      : 'the peer did not answer: is it in the same room?'
    const code = connectionState === 'failed' ? 'ERR_CONNECT_FAILED' : 'ERR_CONNECT_TIMEOUT'
    return new ConnectError(code, `Not connected after ${timeout} ms, since ${why}`)
  }

  readonly #onAbort = (): void => {
    if (!this.#isOpen) this.#end(aborted(this.#signal!))
  }
}

/**
 * Why DTLS refused the peer: Node's RTCPeerConnection dispatches 'error', browsers do so on the DTLS transport, which
 * they show once the channel is being negotiated.
 */
function watchSecurity(peerConnection: RTCPeerConnection, onerror: (error: ConnectError) => void): void {
  let watched: EventTarget | undefined
  const report = (event: Event) => onerror(securityError((event as RTCErrorEvent).error))
  peerConnection.addEventListener('error', report)
  peerConnection.addEventListener('signalingstatechange', () => {
    const transport = peerConnection.sctp?.transport
    if (!transport || transport === watched) return
    watched = transport
    transport.addEventListener('error', report)
  })
}

function securityError(cause: RTCError): ConnectError {
  const isImpostor = cause.errorDetail === 'fingerprint-failure'
  const message = isImpostor ? 'The peer is not the one that the signaling named' : 'No secure channel could be set up'
  const code = isImpostor ? 'ERR_CONNECT_UNAUTHENTICATED' : 'ERR_CONNECT_FAILED'
  return new ConnectError(code, `${message}: ${cause.message}`, { cause })
}

function aborted(signal: AbortSignal): ConnectError {
  return new ConnectError('ERR_CONNECT_ABORTED', 'Connecting was aborted', { cause: signal.reason })
}
