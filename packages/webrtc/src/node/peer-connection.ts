import { RTCCertificate } from './certificate.ts'
import {
  type CheckedConfiguration,
  checkChange,
  checkConfiguration,
  copyConfiguration,
  iceOptions,
  MAX_MESSAGE_BYTES,
  type NodeConfiguration,
} from './configuration.ts'
import { constructible } from './constructible.ts'
import { RTCDataChannel } from './data-channel.ts'
import { RTCDataChannelEvent } from './data-channel-event.ts'
import { checkChannelInit } from './data-channel-init.ts'
import type { DataStream } from './data-stream.ts'
import { DataStreams } from './data-streams.ts'
import { Descriptions } from './descriptions.ts'
import {
  defineEventHandlers,
  IceCandidatesRemovedEvent,
  RTCErrorEvent,
  RTCPeerConnectionIceErrorEvent,
  RTCPeerConnectionIceEvent,
} from './events.ts'
import { RTCIceCandidate } from './ice-candidate.ts'
import { LocalCandidates } from './local-candidates.ts'
import { OperationsChain } from './operations.ts'
import type { RTCError } from './rtc-error.ts'
import { SeamPeerConnection, type SeamTransport } from './seam.ts'
import { type RTCSessionDescription, SDP_TYPES } from './session-description.ts'
import { connectionState, iceConnectionState, iceGatheringState } from './states.ts'
import { type RTCStatsReport, statsReport } from './stats.ts'
import { RTCDtlsTransport, RTCSctpTransport } from './transports.ts'
import { defineInterface, dictionary, oneOf, usvString, wrapAround } from './webidl.ts'
import type { WeriftAssociation } from './werift-association.ts'

type Handler<E extends Event> = ((this: RTCPeerConnection, event: E) => unknown) | null

/**
 * W3C RTCPeerConnection for Node, for data channels, over floe's ICE.
 *
 * Beyond W3C: an `error` event says why a connection failed (its RTCError has the PeerAuthenticationError as `cause`
 * when the peer is not the one that the signalling named); `icecandidatesremoved` and `removeIceCandidates()` take
 * candidates back; `close()` returns a promise that resolves when every socket and timer is gone; and `configuration.ice`
 * reaches the ICE transport.
 */
export class RTCPeerConnection extends EventTarget implements AsyncDisposable {
  declare onnegotiationneeded: Handler<Event>
  declare onicecandidate: Handler<RTCPeerConnectionIceEvent>
  declare onicecandidateerror: Handler<RTCPeerConnectionIceErrorEvent>
  declare onicecandidatesremoved: Handler<IceCandidatesRemovedEvent>
  declare onsignalingstatechange: Handler<Event>
  declare oniceconnectionstatechange: Handler<Event>
  declare onicegatheringstatechange: Handler<Event>
  declare onconnectionstatechange: Handler<Event>
  declare ondatachannel: Handler<RTCDataChannelEvent>
  declare onerror: Handler<RTCErrorEvent>

  #configuration: CheckedConfiguration
  readonly #werift: SeamPeerConnection
  readonly #descriptions: Descriptions
  readonly #operations = new OperationsChain(
    () => this.#isClosed,
    () => this.#updateNegotiationNeeded(),
  )
  readonly #localCandidates = new LocalCandidates({
    oncandidate: (candidate) => this.#reportCandidate(candidate),
    onremoved: (candidates) => this.#reportRemoved(candidates),
  })
  #association: WeriftAssociation | undefined
  #streams: DataStreams | undefined
  #hasCreatedChannels = false
  #sctp: RTCSctpTransport | null = null
  readonly #dtlsViews = new Map<SeamTransport['dtls'], RTCDtlsTransport>()
  #isClosed = false
  #closed: Promise<void> | undefined
  #connectionState: RTCPeerConnectionState = 'new'
  #iceConnectionState: RTCIceConnectionState = 'new'
  #iceGatheringState: RTCIceGatheringState = 'new'
  #negotiationNeeded = false
  #asking: NodeJS.Immediate | undefined

  /**
   * 'ECDSA' with P-256, or 'RSASSA-PKCS1-v1_5' with 2048 bits and SHA-256; `expires` in milliseconds from now. Rejects
   * with NotSupportedError for anything else.
   */
  static async generateCertificate(algorithm: AlgorithmIdentifier): Promise<RTCCertificate> {
    if (algorithm === undefined) throw new TypeError('A certificate needs an algorithm')
    return RTCCertificate.generate(algorithm)
  }

  /** Throws TypeError, SyntaxError or InvalidAccessError for what webrtc-pc §4.4.1.6 refuses. */
  constructor(configuration: NodeConfiguration | null = {}) {
    super()
    this.#configuration = checkConfiguration(configuration)
    this.#werift = new SeamPeerConnection({
      ice: iceOptions(this.#configuration),
      bundlePolicy: this.#configuration.bundlePolicy,
      maxMessageSize: MAX_MESSAGE_BYTES,
      onTransport: (transport) => this.#adopt(transport),
      onAssociation: (association) => this.#associate(association),
    })
    // Ahead of time: it is ready before the first description asks for its fingerprint.
    const [given] = this.#configuration.certificates
    const certificate = given ? Promise.resolve(given) : RTCCertificate.generate()
    certificate.catch(() => {})
    this.#descriptions = new Descriptions(this.#werift, certificate)
    this.#werift.onIceCandidate.subscribe((candidate) => candidate && this.#localCandidates.add(candidate))
    this.#werift.signalingStateChange.subscribe(() => {
      if (!this.#isClosed) this.dispatchEvent(new Event('signalingstatechange'))
    })
  }

  get connectionState(): RTCPeerConnectionState {
    return this.#connectionState
  }
  get iceConnectionState(): RTCIceConnectionState {
    return this.#iceConnectionState
  }
  get iceGatheringState(): RTCIceGatheringState {
    return this.#iceGatheringState
  }
  get signalingState(): RTCSignalingState {
    return this.#isClosed ? 'closed' : this.#werift.signalingState
  }
  /** null when the peer's description has not been set: trickling is unknown then. */
  get canTrickleIceCandidates(): boolean | null {
    return this.#werift.canTrickleIceCandidates
  }
  /** Candidates are in it as far as they are known; all of them once `iceGatheringState` is 'complete'. */
  get localDescription(): RTCSessionDescription | null {
    return this.pendingLocalDescription ?? this.currentLocalDescription
  }
  get currentLocalDescription(): RTCSessionDescription | null {
    return this.#descriptions.currentLocal
  }
  get pendingLocalDescription(): RTCSessionDescription | null {
    return this.#descriptions.pendingLocal
  }
  get remoteDescription(): RTCSessionDescription | null {
    return this.pendingRemoteDescription ?? this.currentRemoteDescription
  }
  get currentRemoteDescription(): RTCSessionDescription | null {
    return this.#descriptions.currentRemote
  }
  get pendingRemoteDescription(): RTCSessionDescription | null {
    return this.#descriptions.pendingRemote
  }
  /** null until both sides have agreed on data channels. */
  get sctp(): RTCSctpTransport | null {
    return this.#sctp
  }

  getConfiguration(): NodeConfiguration {
    return copyConfiguration(this.#configuration)
  }

  /**
   * Servers and policy count for gathering that has not begun; other servers for the next ICE restart, too.
   * Throws InvalidStateError when closed, InvalidModificationError for certificates and policies that are settled.
   */
  setConfiguration(configuration?: NodeConfiguration): void {
    if (this.#isClosed) throw new DOMException('The connection is closed', 'InvalidStateError')
    const given = { ...configuration }
    // What was not given again stays: it cannot change.
    const { certificates, ice } = this.#configuration
    const next = checkConfiguration({ ice, ...given })
    checkChange(this.#configuration, next, given, this.localDescription !== null)
    this.#configuration = { ...next, certificates }
    this.#werift.setIceOptions(iceOptions(this.#configuration))
  }

  createOffer(options?: RTCOfferOptions): Promise<RTCSessionDescriptionInit> {
    return this.#operations.run(() => this.#descriptions.createOffer(!!options?.iceRestart))
  }

  createAnswer(): Promise<RTCSessionDescriptionInit> {
    return this.#operations.run(() => this.#descriptions.createAnswer())
  }

  /** Without a type it creates the offer or answer that the signaling state asks for. Gathering starts here. */
  async setLocalDescription(description?: RTCLocalSessionDescriptionInit): Promise<void> {
    const { type, sdp = '' } = dictionary(description, 'A local description')
    const given = { type: type && oneOf(type, SDP_TYPES, 'The type of a description'), sdp: usvString(sdp) }
    return this.#operations.run(async () => {
      this.#localCandidates.holdUntil(this.#operations.settled)
      await this.#descriptions.setLocal(given)
      this.#described()
    })
  }

  /** An offer that collides with our own rolls ours back, as W3C has it. */
  async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    const { type, sdp = '' } = dictionary(description, 'A remote description')
    const given = { type: oneOf(type, SDP_TYPES, 'The type of a description'), sdp: usvString(sdp) }
    return this.#operations.run(async () => {
      await this.#descriptions.setRemote(given)
      this.#described()
    })
  }

  /** null, '' and a missing candidate line all end the candidates. Names ending in `.local` are resolved. */
  async addIceCandidate(candidate: RTCIceCandidateInit | null = null): Promise<void> {
    const { candidate: line = '', sdpMid, sdpMLineIndex, usernameFragment } = dictionary(candidate, 'A candidate')
    const given = {
      candidate: String(line),
      sdpMid: sdpMid == null ? null : String(sdpMid),
      sdpMLineIndex: sdpMLineIndex == null ? null : wrapAround(sdpMLineIndex, 16),
      usernameFragment: usernameFragment == null ? null : String(usernameFragment),
    }
    if (given.candidate && given.sdpMid === null && given.sdpMLineIndex === null) {
      throw new TypeError('A candidate needs an sdpMid or an sdpMLineIndex')
    }
    return this.#operations.run(() => this.#descriptions.addCandidate(given))
  }

  /** What the peer's `icecandidatesremoved` told: data leaves them at once. Rejects with TypeError when they are no candidates. */
  async removeIceCandidates(candidates: readonly RTCIceCandidateInit[]): Promise<void> {
    const gone = [...candidates].map((one) => ({ candidate: String(dictionary(one, 'A candidate').candidate ?? '') }))
    return this.#operations.run(() => this.#descriptions.removeCandidates(gone))
  }

  /** Asks for new paths: `negotiationneeded` fires, and the next offer restarts ICE. Data flows on meanwhile. */
  restartIce(): void {
    if (this.#isClosed) return
    this.#descriptions.wantRestart()
    this.#updateNegotiationNeeded()
  }

  /**
   * Throws InvalidStateError when closed, TypeError for options that contradict each other or are out of range,
   * OperationError when the id is taken.
   */
  createDataChannel(label: string, init: RTCDataChannelInit = {}): RTCDataChannel {
    // biome-ignore lint/complexity/noArguments: a label that is undefined is one all the same, to Web IDL
    if (arguments.length === 0) throw new TypeError('A data channel needs a label')
    if (this.#isClosed) throw new DOMException('The connection is closed', 'InvalidStateError')
    const { parameters, id } = checkChannelInit(label, init)
    this.#werift.ensureSctp()
    const channel = this.#createChannel(this.#streams!.create(parameters, id))
    this.#hasCreatedChannels = true
    this.#updateNegotiationNeeded()
    return channel
  }

  /** Candidates and their pairs, transport, certificates and data channels, as W3C's webrtc-stats names them. */
  async getStats(selector: MediaStreamTrack | null = null): Promise<RTCStatsReport> {
    if (selector !== null) throw new DOMException('There are no tracks to select', 'InvalidAccessError')
    return statsReport({
      transports: this.#werift.transports,
      channels: this.#streams?.active ?? [],
      dataChannelsOpened: this.#streams?.opened ?? 0,
      dataChannelsClosed: this.#streams?.closed ?? 0,
    })
  }

  /** The data channels of both ends close. Resolves when all sockets and timers are gone; W3C's returns nothing. */
  close(): Promise<void> {
    if (this.#isClosed) return this.#closed ?? Promise.resolve()
    this.#isClosed = true
    this.#closed = this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#iceConnectionState = this.#connectionState = 'closed'
    const closing = this.#werift.close()
    this.#streams?.end(undefined)
    await closing
    // Also those that werift has let go of.
    await Promise.all(this.#werift.transports.map(({ dtls }) => dtls.stop()))
  }

  /** After every description: what the two sides have agreed on by now. */
  #described(): void {
    const role = this.#werift.sctpTransport?.dtlsTransport.role
    if (this.signalingState !== 'stable') return
    this.#negotiationNeeded = false
    if (!this.#descriptions.hasDataSection || !this.#association) return
    if (role === 'client' || role === 'server') this.#streams?.assignIds(role === 'client')
    const dtls = this.#dtlsViews.get(this.#werift.sctpTransport!.dtlsTransport as SeamTransport['dtls'])!
    if (this.#sctp?.transport !== dtls) this.#sctp = new RTCSctpTransport(constructible, this.#association, dtls)
  }

  /** webrtc-pc §4.7.3, for data channels and ICE restarts. */
  #updateNegotiationNeeded(): void {
    if (this.#isClosed || !this.#operations.isEmpty || this.signalingState !== 'stable') return
    const lacksData = this.#hasCreatedChannels && !this.#descriptions.hasDataSection
    const needed = this.#descriptions.wantsRestart || lacksData
    if (needed && !this.#negotiationNeeded) this.#asking ??= setImmediate(() => this.#askToNegotiate())
    this.#negotiationNeeded = needed
  }

  #askToNegotiate(): void {
    this.#asking = undefined
    if (this.#isClosed || !this.#negotiationNeeded) return
    // What is under way may settle it; the end of the chain asks again.
    if (!this.#operations.isEmpty || this.signalingState !== 'stable') this.#negotiationNeeded = false
    else this.dispatchEvent(new Event('negotiationneeded'))
  }

  #createChannel(stream: DataStream): RTCDataChannel {
    const association = this.#association!
    return new RTCDataChannel(constructible, stream, () => association.maxMessageSize)
  }

  #associate(association: WeriftAssociation): void {
    this.#association = association
    this.#streams = new DataStreams(association, (stream) => {
      const channel = this.#createChannel(stream)
      this.dispatchEvent(new RTCDataChannelEvent('datachannel', { channel }))
    })
  }

  #adopt(transport: SeamTransport): void {
    const { dtls, connection } = transport
    const section = () => {
      const { mid, mLineIndex } = this.#werift.sctpTransport ?? {}
      return { sdpMid: mid ?? null, sdpMLineIndex: mLineIndex ?? 0 }
    }
    this.#dtlsViews.set(dtls, new RTCDtlsTransport(constructible, transport, section))
    connection.transportEvent.subscribe((event) => {
      if (event.type === 'statechange' || event.type === 'gatheringstatechange') this.#updateStates()
      else if (event.type === 'icecandidateerror' && !this.#isClosed) {
        this.dispatchEvent(new RTCPeerConnectionIceErrorEvent(event.type, event as RTCPeerConnectionIceErrorEvent))
      } else if (event.type === 'icecandidatesremoved') {
        const { candidates } = event as IceCandidatesRemovedEvent
        this.#localCandidates.remove(candidates.map((candidate) => ({ ...candidate, ...section() })))
      }
    })
    connection.gathered.subscribe(() => this.#localCandidates.add(null))
    dtls.onStateChange.subscribe((state) => {
      if (state === 'failed' && dtls.failure) this.#fail(dtls.failure)
      this.#updateStates()
    })
  }

  #fail(error: RTCError): void {
    if (this.#isClosed) return
    this.dispatchEvent(new RTCErrorEvent('error', { error }))
    this.#streams?.end(error)
  }

  #reportCandidate(init: RTCIceCandidateInit | null): void {
    if (this.#isClosed) return
    const candidate = init && new RTCIceCandidate(init, (line) => this.#werift.localCandidate(line))
    this.dispatchEvent(new RTCPeerConnectionIceEvent('icecandidate', { candidate, url: candidate?.url ?? null }))
  }

  #reportRemoved(inits: readonly RTCIceCandidateInit[]): void {
    if (this.#isClosed) return
    const candidates = inits.map((init) => new RTCIceCandidate(init))
    this.dispatchEvent(new IceCandidatesRemovedEvent('icecandidatesremoved', { candidates }))
  }

  #updateStates(): void {
    if (this.#isClosed) return
    const transports = this.#werift.transports.map(({ dtls, connection }) => ({
      ice: connection.transport.state,
      dtls: dtls.state,
      gathering: connection.gatheringState,
    }))
    const before = [this.#iceGatheringState, this.#iceConnectionState, this.#connectionState]
    this.#iceGatheringState = iceGatheringState(transports)
    this.#iceConnectionState = iceConnectionState(transports)
    this.#connectionState = connectionState(transports)
    if (this.#iceGatheringState !== before[0]) this.dispatchEvent(new Event('icegatheringstatechange'))
    if (this.#iceConnectionState !== before[1]) this.dispatchEvent(new Event('iceconnectionstatechange'))
    if (this.#connectionState !== before[2]) this.dispatchEvent(new Event('connectionstatechange'))
  }
}

defineInterface(RTCPeerConnection)

defineEventHandlers(RTCPeerConnection.prototype, [
  'negotiationneeded',
  'icecandidate',
  'icecandidateerror',
  'icecandidatesremoved',
  'signalingstatechange',
  'iceconnectionstatechange',
  'icegatheringstatechange',
  'connectionstatechange',
  'datachannel',
  'error',
])
