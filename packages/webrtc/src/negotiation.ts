import { ConnectError } from './errors.ts'
import type { Signaling, SignalingMessage } from './signaling.ts'

/** Messages that wait for their turn; a peer that sends more before we have answered is not negotiating. */
const MAX_QUEUED_MESSAGES = 256
/** Candidates that came before the description that they belong to. */
const MAX_EARLY_CANDIDATES = 128

type HelloMessage = Extract<SignalingMessage, { hello: string }>
type CandidateMessage = Extract<SignalingMessage, { candidate: unknown }>

/** floe's in Node: W3C has no word for candidates that go, and browsers neither tell nor take it. */
interface RemovesCandidates {
  removeIceCandidates?(candidates: readonly RTCIceCandidateInit[]): Promise<void>
}

export interface NegotiationHandlers {
  /** The peer said bye. */
  readonly onbye: (reason: string) => void
  /** The peer says who it is. Rejects with ConnectError. */
  readonly onhello: (message: HelloMessage) => Promise<void>
  /** Throws ConnectError when a description is not of the one who said hello. */
  readonly check: (sdp: string) => void
  /** The peer has a new identity: its page was reloaded. `message` is the first word of the new session. */
  readonly onstartover: (message: SignalingMessage) => void
  /** Nothing more can be negotiated. */
  readonly onerror: (error: ConnectError) => void
}

/**
 * Perfect negotiation (webrtc-pc §10.7): both ends may offer at any time; when offers collide the impolite end ignores
 * the peer's and the polite end takes its own back. The polite end leaves the first offer to the impolite one, so that
 * opening never collides. Messages take effect one after another, and none before `ready` resolves: our own hello is to be
 * the first that the peer hears of us.
 */
export class Negotiation {
  readonly #peerConnection: RTCPeerConnection
  readonly #signaling: Signaling
  readonly #polite: boolean
  readonly #handlers: NegotiationHandlers
  readonly #ready: Promise<void>
  #queue: Promise<void>
  #queued = 0
  /** The peer's first word, from when it came and not from when its turn comes: a second one is another peer's. */
  #hello: string | undefined
  #makingOffer = false
  #ignoredOffer = false
  #settingAnswer = false
  #earlyCandidates: CandidateMessage[] = []
  #stopped = false

  constructor(
    peerConnection: RTCPeerConnection,
    signaling: Signaling,
    polite: boolean,
    ready: Promise<void>,
    handlers: NegotiationHandlers,
  ) {
    this.#peerConnection = peerConnection
    this.#signaling = signaling
    this.#polite = polite
    this.#handlers = handlers
    this.#ready = ready
    this.#queue = ready
    peerConnection.addEventListener('negotiationneeded', () => void this.#offer())
    peerConnection.addEventListener('icecandidate', ({ candidate }) => {
      this.#send({ candidate: candidate && toInit(candidate) })
    })
    peerConnection.addEventListener('icecandidatesremoved', (event) => {
      const removed = (event as Event & { candidates: readonly RTCIceCandidate[] }).candidates.map(toInit)
      if (removed[0]) this.#send({ candidate: removed[0], removed })
    })
  }

  /** From the signaling channel. Never throws: whatever is wrong ends up in `onerror`. */
  receive(message: SignalingMessage): void {
    if (this.#stopped) return
    if (!isSignalingMessage(message)) return this.#fail('The peer sent something that is no signaling message')
    if ('bye' in message) return this.#handlers.onbye(message.bye)
    // At once: what comes after it is for the new session, too.
    if ('hello' in message && message.hello !== (this.#hello ??= message.hello)) {
      return this.#handlers.onstartover(message)
    }
    if (this.#queued >= MAX_QUEUED_MESSAGES)
      return this.#fail('The peer sends signaling messages faster than they can apply')
    this.#queued++
    this.#queue = this.#queue
      .then(() => (this.#stopped ? undefined : this.#apply(message)))
      .catch((cause) => {
        if (cause instanceof ConnectError) this.#end(cause)
        else this.#fail(`The peer's signaling could not be applied: ${cause.message ?? cause}`, cause)
      })
      .finally(() => this.#queued--)
  }

  /** What comes in from now on is ignored. Without a reason the peer is not told. */
  stop(reason?: string): void {
    if (this.#stopped) return
    if (reason !== undefined) this.#send({ bye: reason })
    this.#stopped = true
  }

  async #offer(): Promise<void> {
    const isFirst = !this.#peerConnection.remoteDescription
    if (isFirst && this.#polite) return
    await this.#ready
    if (this.#stopped) return
    this.#makingOffer = true
    try {
      await this.#peerConnection.setLocalDescription()
      this.#sendDescription()
    } catch (cause) {
      this.#fail('No offer could be made', cause)
    } finally {
      this.#makingOffer = false
    }
  }

  /** Our first message. */
  sayHello(message: HelloMessage): void {
    this.#send(message)
  }

  async #apply(message: Exclude<SignalingMessage, { bye: string }>): Promise<void> {
    if ('candidate' in message) return this.#applyCandidate(message)
    if ('hello' in message) return this.#handlers.onhello(message)
    const { description } = message
    const { signalingState } = this.#peerConnection
    if (description.sdp) this.#handlers.check(description.sdp)
    const readyForOffer = !this.#makingOffer && (signalingState === 'stable' || this.#settingAnswer)
    this.#ignoredOffer = description.type === 'offer' && !readyForOffer && !this.#polite
    if (this.#ignoredOffer) return
    // The answer to an offer that has been taken back.
    if (description.type === 'answer' && signalingState === 'stable') return
    await this.#applyDescription(description as RTCSessionDescriptionInit)
  }

  async #applyDescription(description: RTCSessionDescriptionInit): Promise<void> {
    this.#settingAnswer = description.type === 'answer'
    try {
      await this.#peerConnection.setRemoteDescription(description)
    } finally {
      this.#settingAnswer = false
    }
    for (const message of this.#earlyCandidates.splice(0)) await this.#applyCandidate(message)
    if (description.type !== 'offer') return
    await this.#peerConnection.setLocalDescription()
    this.#sendDescription()
  }

  async #applyCandidate(message: CandidateMessage): Promise<void> {
    if (!this.#peerConnection.remoteDescription) {
      if (this.#earlyCandidates.length < MAX_EARLY_CANDIDATES) this.#earlyCandidates.push(message)
      return
    }
    const { candidate, removed } = message
    const peerConnection: RTCPeerConnection & RemovesCandidates = this.#peerConnection
    // One candidate that does not fit (of an ignored offer, of an older generation, of a later standard) is no reason
    // to give up all the others.
    if (removed) await peerConnection.removeIceCandidates?.(removed).catch(() => {})
    else await peerConnection.addIceCandidate(candidate ?? undefined).catch(() => {})
  }

  #sendDescription(): void {
    const { localDescription } = this.#peerConnection
    if (localDescription) this.#send({ description: { type: localDescription.type, sdp: localDescription.sdp } })
  }

  #send(message: SignalingMessage): void {
    if (this.#stopped) return
    try {
      this.#signaling.send(message)
    } catch (cause) {
      this.#fail('The signaling channel does not take messages', cause)
    }
  }

  #fail(message: string, cause?: unknown): void {
    this.#end(new ConnectError('ERR_CONNECT_SIGNALING', message, { cause }))
  }

  #end(error: ConnectError): void {
    if (!this.#stopped) this.#handlers.onerror(error)
  }
}

function toInit(candidate: RTCIceCandidate): RTCIceCandidateInit {
  return candidate.toJSON() as RTCIceCandidateInit
}

/** What the network delivers may be anything. */
function isSignalingMessage(message: unknown): message is SignalingMessage {
  if (typeof message !== 'object' || message === null) return false
  const { description, candidate, removed, bye, hello, proof } = message as Record<string, unknown>
  if (bye !== undefined) return typeof bye === 'string'
  if (hello !== undefined) return typeof hello === 'string' && (proof === undefined || typeof proof === 'string')
  if (candidate !== undefined) return typeof candidate === 'object' && (removed === undefined || Array.isArray(removed))
  if (typeof description !== 'object' || description === null) return false
  const { type, sdp } = description as Record<string, unknown>
  return typeof type === 'string' && (sdp === undefined || typeof sdp === 'string')
}
