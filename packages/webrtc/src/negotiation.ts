import { ConnectError } from './errors.ts'
import { fingerprints, type Signaling, type SignalingMessage } from './signaling.ts'

/** Messages that wait for their turn; a peer that sends more before we have answered is not negotiating. */
const MAX_QUEUED_MESSAGES = 256
/** Candidates that came before the description that they belong to. */
const MAX_EARLY_CANDIDATES = 128

export interface NegotiationHandlers {
  /** The peer said bye. */
  readonly onbye: (reason: string) => void
  /** The peer has a new identity: its page was reloaded. `message` is the first word of the new session. */
  readonly onstartover: (message: SignalingMessage) => void
  /** Nothing more can be negotiated. */
  readonly onerror: (error: ConnectError) => void
}

/**
 * Perfect negotiation (webrtc-pc §10.7): both ends may offer at any time; when offers collide the impolite end ignores
 * the peer's and the polite end takes its own back. The polite end leaves the first offer to the impolite one, so that
 * opening never collides. Messages take effect one after another.
 */
export class Negotiation {
  readonly #peerConnection: RTCPeerConnection
  readonly #signaling: Signaling
  readonly #polite: boolean
  readonly #handlers: NegotiationHandlers
  #queue: Promise<void> = Promise.resolve()
  #queued = 0
  #makingOffer = false
  #ignoredOffer = false
  #settingAnswer = false
  #earlyCandidates: (RTCIceCandidateInit | null)[] = []
  #stopped = false

  constructor(peerConnection: RTCPeerConnection, signaling: Signaling, polite: boolean, handlers: NegotiationHandlers) {
    this.#peerConnection = peerConnection
    this.#signaling = signaling
    this.#polite = polite
    this.#handlers = handlers
    peerConnection.addEventListener('negotiationneeded', () => void this.#offer())
    peerConnection.addEventListener('icecandidate', ({ candidate }) => {
      this.#send({ candidate: candidate && (candidate.toJSON() as RTCIceCandidateInit) })
    })
  }

  /** From the signaling channel. Never throws: whatever is wrong ends up in `onerror`. */
  receive(message: SignalingMessage): void {
    if (this.#stopped) return
    if (!isSignalingMessage(message)) return this.#fail('The peer sent something that is no signaling message')
    if ('bye' in message) return this.#handlers.onbye(message.bye)
    if (this.#queued >= MAX_QUEUED_MESSAGES)
      return this.#fail('The peer sends signaling messages faster than they can apply')
    this.#queued++
    this.#queue = this.#queue
      .then(() => (this.#stopped ? undefined : this.#apply(message)))
      .catch((cause) => this.#fail(`The peer's signaling could not be applied: ${cause.message ?? cause}`, cause))
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
    if (this.#stopped || (isFirst && this.#polite)) return
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

  async #apply(message: Exclude<SignalingMessage, { bye: string }>): Promise<void> {
    if ('candidate' in message) return this.#applyCandidate(message.candidate)
    const { description } = message
    const { remoteDescription, signalingState } = this.#peerConnection
    const known = fingerprints(remoteDescription?.sdp)
    if (description.type === 'offer' && known && fingerprints(description.sdp) !== known) {
      return this.#handlers.onstartover(message)
    }
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
    for (const candidate of this.#earlyCandidates.splice(0)) await this.#applyCandidate(candidate)
    if (description.type !== 'offer') return
    await this.#peerConnection.setLocalDescription()
    this.#sendDescription()
  }

  async #applyCandidate(candidate: RTCIceCandidateInit | null): Promise<void> {
    if (!this.#peerConnection.remoteDescription) {
      if (this.#earlyCandidates.length < MAX_EARLY_CANDIDATES) this.#earlyCandidates.push(candidate)
      return
    }
    // One candidate that does not fit (of an ignored offer, of an older generation, of a later standard) is no reason
    // to give up all the others.
    await this.#peerConnection.addIceCandidate(candidate ?? undefined).catch(() => {})
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
    if (this.#stopped) return
    this.#handlers.onerror(new ConnectError('ERR_CONNECT_SIGNALING', message, { cause }))
  }
}

/** What the network delivers may be anything. */
function isSignalingMessage(message: unknown): message is SignalingMessage {
  if (typeof message !== 'object' || message === null) return false
  const { description, candidate, bye } = message as Record<string, unknown>
  if (bye !== undefined) return typeof bye === 'string'
  if (candidate !== undefined) return typeof candidate === 'object'
  if (typeof description !== 'object' || description === null) return false
  const { type, sdp } = description as Record<string, unknown>
  return typeof type === 'string' && (sdp === undefined || typeof sdp === 'string')
}
