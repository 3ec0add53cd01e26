import type { RTCSessionDescriptionInit as WeriftDescription } from 'werift'
import { RTCCertificate } from './certificate.ts'
import { checkConfiguration, iceOptions, MAX_MESSAGE_BYTES, type NodeConfiguration } from './configuration.ts'
import { RTCDataChannel, RTCDataChannelEvent } from './data-channel.ts'
import {
  defineEventHandlers,
  RTCErrorEvent,
  RTCPeerConnectionIceErrorEvent,
  RTCPeerConnectionIceEvent,
} from './events.ts'
import { RTCIceCandidate } from './ice-candidate.ts'
import { SeamPeerConnection, type SeamTransport } from './seam.ts'
import { RTCSessionDescription } from './session-description.ts'
import { connectionState, iceConnectionState, iceGatheringState } from './states.ts'
import { peerConnectionInternals } from './werift-internals.ts'

/**
 * W3C RTCPeerConnection for Node, for data channels, over floe's ICE.
 *
 * Beyond W3C: an `error` event says why a connection failed (PeerAuthenticationError when the peer does not hold the
 * key of its certificate); `close()` returns a promise that resolves when every socket and timer is gone; and
 * `configuration.ice` reaches the ICE transport.
 */
export class RTCPeerConnection extends EventTarget implements AsyncDisposable {
  declare onnegotiationneeded: Handler<Event>
  declare onicecandidate: Handler<RTCPeerConnectionIceEvent>
  declare onicecandidateerror: Handler<RTCPeerConnectionIceErrorEvent>
  declare onsignalingstatechange: Handler<Event>
  declare oniceconnectionstatechange: Handler<Event>
  declare onicegatheringstatechange: Handler<Event>
  declare onconnectionstatechange: Handler<Event>
  declare ondatachannel: Handler<RTCDataChannelEvent>
  declare onerror: Handler<RTCErrorEvent>

  readonly #configuration: NodeConfiguration
  readonly #werift: SeamPeerConnection
  readonly #certificate: Promise<RTCCertificate>
  readonly #channels = new Set<RTCDataChannel>()
  #operations: Promise<unknown> = Promise.resolve()
  #operationCount = 0
  #closed: Promise<void> | undefined
  #connectionState: RTCPeerConnectionState = 'new'
  #iceConnectionState: RTCIceConnectionState = 'new'
  #iceGatheringState: RTCIceGatheringState = 'new'
  #negotiationNeeded = false
  #heldCandidates: (RTCIceCandidateInit | null)[] | undefined
  /** An ICE restart is due; has been offered, and waits for its answer. */
  #restart: 'none' | 'wanted' | 'offered' = 'none'

  static generateCertificate(algorithm: AlgorithmIdentifier): Promise<RTCCertificate> {
    return RTCCertificate.generate(algorithm)
  }

  constructor(configuration: NodeConfiguration = {}) {
    super()
    checkConfiguration(configuration)
    this.#configuration = configuration
    this.#werift = new SeamPeerConnection({
      ice: iceOptions(configuration),
      bundlePolicy: configuration.bundlePolicy ?? 'max-bundle',
      maxMessageSize: MAX_MESSAGE_BYTES,
      onTransport: (transport) => this.#adopt(transport),
    })
    // Ahead of time: it is ready before the first description asks for its fingerprint.
    const [certificate] = configuration.certificates ?? []
    this.#certificate = certificate ? Promise.resolve(certificate) : RTCCertificate.generate()
    this.#certificate.catch(() => {})
    this.#werift.onIceCandidate.subscribe((candidate) => candidate && this.#candidate(candidate))
    this.#werift.onDataChannel.subscribe((channel) => {
      this.dispatchEvent(new RTCDataChannelEvent('datachannel', { channel: this.#track(new RTCDataChannel(channel)) }))
    })
    this.#werift.signalingStateChange.subscribe(() => {
      if (!this.#closed) this.dispatchEvent(new Event('signalingstatechange'))
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
    return this.#closed ? 'closed' : this.#werift.signalingState
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
    return describe(this.#werift.describeLocal('current'))
  }
  get pendingLocalDescription(): RTCSessionDescription | null {
    return describe(this.#werift.describeLocal('pending'))
  }
  get remoteDescription(): RTCSessionDescription | null {
    return this.pendingRemoteDescription ?? this.currentRemoteDescription
  }
  get currentRemoteDescription(): RTCSessionDescription | null {
    return describe(this.#werift.currentRemoteDescription ?? undefined)
  }
  get pendingRemoteDescription(): RTCSessionDescription | null {
    return describe(this.#werift.pendingRemoteDescription ?? undefined)
  }
  /** null until a data channel has been created or offered. */
  get sctp(): { readonly maxMessageSize: number; readonly state: RTCSctpTransportState } | null {
    const sctp = this.#werift.sctpTransport
    if (!sctp) return null
    const state = this.#closed ? 'closed' : sctp.dtlsTransport.state === 'connected' ? 'connected' : 'connecting'
    return { maxMessageSize: sctp.remoteMaxMessageSize || Number.POSITIVE_INFINITY, state }
  }

  getConfiguration(): NodeConfiguration {
    return { iceServers: [], iceTransportPolicy: 'all', bundlePolicy: 'max-bundle', ...this.#configuration }
  }

  createOffer(options: RTCOfferOptions = {}): Promise<RTCSessionDescriptionInit> {
    return this.#chain(async () => {
      if (options.iceRestart) this.#wantRestart()
      await this.#installCertificate()
      return describe(await this.#werift.createOffer())!.toJSON()
    })
  }

  createAnswer(): Promise<RTCSessionDescriptionInit> {
    return this.#chain(async () => {
      this.#expectState('createAnswer()', 'have-remote-offer', 'have-local-pranswer')
      await this.#installCertificate()
      return describe(await this.#werift.createAnswer())!.toJSON()
    })
  }

  /** Without an argument it creates the offer or answer that the signaling state asks for. Gathering starts here. */
  setLocalDescription(description?: RTCLocalSessionDescriptionInit): Promise<void> {
    return this.#chain(async () => {
      await this.#installCertificate()
      this.#holdCandidates()
      await this.#werift.setLocalDescription(description as WeriftDescription | undefined)
      if (description?.type === 'rollback') this.#rolledBack()
      else if (this.signalingState === 'have-local-offer' && this.#restart === 'wanted') this.#restart = 'offered'
      // An answer carries the credentials of a restart that was offered in vain.
      else if (this.signalingState === 'stable' && this.#restart === 'offered') this.#restart = 'none'
      if (this.signalingState === 'stable') this.#negotiationNeeded = false
    })
  }

  /** An offer that collides with our own rolls ours back, as W3C has it. */
  setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    return this.#chain(async () => {
      await this.#werift.setRemoteDescription(description as WeriftDescription)
      if (description.type === 'answer' && this.#restart === 'offered') this.#restart = 'none'
      if (this.signalingState === 'stable') this.#negotiationNeeded = false
    })
  }

  /** null, '' and a missing candidate line all end the candidates. Names ending in `.local` are resolved. */
  addIceCandidate(candidate: RTCIceCandidateInit | null = null): Promise<void> {
    return this.#chain(async () => {
      if (!this.remoteDescription) {
        throw new DOMException('Candidates can be added once the remote description is set', 'InvalidStateError')
      }
      await this.#werift.addIceCandidate(candidate?.candidate ? init(candidate) : null)
    })
  }

  /** Asks for new paths: `negotiationneeded` fires, and the next offer restarts ICE. Data flows on meanwhile. */
  restartIce(): void {
    if (this.#closed) return
    this.#wantRestart()
    this.#updateNegotiationNeeded()
  }

  createDataChannel(label: string, options: RTCDataChannelInit = {}): RTCDataChannel {
    if (this.#closed) throw new DOMException('The connection is closed', 'InvalidStateError')
    const { id, ...others } = options
    if (options.negotiated && id === undefined) throw new TypeError('A negotiated data channel needs an id')
    // Without `negotiated` the id is the stack's to choose.
    const channel = this.#werift.createDataChannel(label, options.negotiated ? { ...others, id: id! } : others)
    this.#updateNegotiationNeeded()
    return this.#track(new RTCDataChannel(channel))
  }

  /** Candidate pairs, transport, certificates and data channels, as W3C's webrtc-stats names them. */
  async getStats(): Promise<RTCStatsReport> {
    return (await this.#werift.getStats()) as unknown as RTCStatsReport
  }

  /** The peer's data channels close. Resolves when all sockets and timers are gone; W3C's returns nothing. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#connectionState = 'closed'
    this.#iceConnectionState = 'closed'
    await this.#werift.close()
    // Also those that werift has let go of.
    await Promise.all(this.#werift.transports.map(({ dtls }) => dtls.stop()))
  }

  /** W3C's operations chain: descriptions and candidates take effect one after another, in the order of the calls. */
  #chain<Result>(operation: () => Promise<Result>): Promise<Result> {
    this.#operationCount++
    const result = this.#operations.then(() => {
      if (this.#closed) throw new DOMException('The connection is closed', 'InvalidStateError')
      return operation()
    })
    this.#operations = result
      .catch(() => {})
      .then(() => {
        if (--this.#operationCount === 0) this.#updateNegotiationNeeded()
      })
    return result
  }

  #expectState(what: string, ...states: RTCSignalingState[]): void {
    if (states.includes(this.signalingState)) return
    throw new DOMException(`${what} does not fit the signaling state ${this.signalingState}`, 'InvalidStateError')
  }

  async #installCertificate(): Promise<void> {
    const { secureManager } = peerConnectionInternals(this.#werift)
    secureManager.certificate ??= RTCCertificate.unwrap(await this.#certificate)
  }

  #wantRestart(): void {
    if (!this.#werift.localDescription) return
    this.#restart = 'wanted'
    this.#werift.needRestart = true
  }

  #rolledBack(): void {
    if (this.#restart === 'offered') this.#wantRestart()
  }

  /** webrtc-pc §4.7.3, for data channels and ICE restarts. */
  #updateNegotiationNeeded(): void {
    if (this.#closed || this.#operationCount > 0 || this.signalingState !== 'stable') return
    const needed = this.#restart === 'wanted' || this.#lacksDataSection()
    if (needed && !this.#negotiationNeeded) {
      queueMicrotask(() => {
        if (this.#closed || !this.#negotiationNeeded) return
        this.dispatchEvent(new Event('negotiationneeded'))
      })
    }
    this.#negotiationNeeded = needed
  }

  #lacksDataSection(): boolean {
    const { currentLocalDescription } = peerConnectionInternals(this.#werift).sdpManager
    return !!this.#werift.sctpTransport && !currentLocalDescription?.media.some(({ kind }) => kind === 'application')
  }

  #track(channel: RTCDataChannel): RTCDataChannel {
    this.#channels.add(channel)
    channel.addEventListener('close', () => this.#channels.delete(channel))
    return channel
  }

  #adopt({ dtls, connection }: SeamTransport): void {
    connection.transport.addEventListener('statechange', () => this.#updateStates())
    connection.transport.addEventListener('icecandidateerror', (event) => {
      this.dispatchEvent(new RTCPeerConnectionIceErrorEvent('icecandidateerror', event))
    })
    connection.gathered.subscribe(() => {
      this.#updateStates()
      this.#candidate(null)
    })
    connection.transport.addEventListener('gatheringstatechange', () => this.#updateStates())
    dtls.onStateChange.subscribe((state) => {
      if (state === 'failed') this.#fail(dtls.failure ?? new Error('The DTLS handshake failed'))
      this.#updateStates()
    })
  }

  #fail(error: Error): void {
    if (this.#closed) return
    this.dispatchEvent(new RTCErrorEvent('error', { error }))
    for (const channel of [...this.#channels]) channel.fail(error)
  }

  /** Candidates follow the description that they belong to: whoever awaits it can send it first. */
  #holdCandidates(): void {
    if (this.#heldCandidates) return
    this.#heldCandidates = []
    void this.#operations.then(() =>
      setImmediate(() => {
        const held = this.#heldCandidates ?? []
        this.#heldCandidates = undefined
        for (const candidate of held) this.#candidate(candidate)
      }),
    )
  }

  #candidate(init: RTCIceCandidateInit | null): void {
    if (this.#closed) return
    if (this.#heldCandidates) return void this.#heldCandidates.push(init)
    const candidate = init && new RTCIceCandidate(init)
    this.dispatchEvent(new RTCPeerConnectionIceEvent('icecandidate', { candidate }))
  }

  #updateStates(): void {
    if (this.#closed) return
    const transports = this.#werift.transports.map(({ dtls, connection: { transport } }) => ({
      ice: transport.state,
      dtls: dtls.state,
      gathering: transport.gatheringState,
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

defineEventHandlers(RTCPeerConnection.prototype, [
  'negotiationneeded',
  'icecandidate',
  'icecandidateerror',
  'signalingstatechange',
  'iceconnectionstatechange',
  'icegatheringstatechange',
  'connectionstatechange',
  'datachannel',
  'error',
])

type Handler<E extends Event> = ((this: RTCPeerConnection, event: E) => unknown) | null

function describe(description: { type: string; sdp: string } | undefined): RTCSessionDescription | null {
  return description ? new RTCSessionDescription(description as RTCSessionDescriptionInit) : null
}

/** Browsers hand over RTCIceCandidate objects; werift wants plain data without nulls. */
function init(candidate: RTCIceCandidateInit): { candidate: string; sdpMid?: string; sdpMLineIndex?: number } {
  const { sdpMid, sdpMLineIndex, usernameFragment } = candidate
  return {
    candidate: candidate.candidate!,
    ...(typeof sdpMid === 'string' ? { sdpMid } : {}),
    ...(typeof sdpMLineIndex === 'number' ? { sdpMLineIndex } : {}),
    ...(typeof usernameFragment === 'string' ? { usernameFragment } : {}),
  }
}
