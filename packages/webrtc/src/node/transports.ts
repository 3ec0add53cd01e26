import { type Candidate, formatCandidate, type IceParameters } from '@floe/ice'
import { assertConstructible, type Constructible, constructible } from './constructible.ts'
import { defineEventHandlers, RTCErrorEvent } from './events.ts'
import { RTCIceCandidate } from './ice-candidate.ts'
import type { SeamTransport } from './seam.ts'
import { defineInterface } from './webidl.ts'
import type { WeriftAssociation } from './werift-association.ts'

const ORIGIN = 'RTCPeerConnection.sctp leads to the transports'

type Handler<Target, E extends Event = Event> = ((this: Target, event: E) => unknown) | null

/** Which media description a transport belongs to. */
export interface MediaSection {
  readonly sdpMid: string | null
  readonly sdpMLineIndex: number | null
}

/** W3C RTCIceTransport, webrtc-pc §5.6: what the connection's ICE is doing. */
export class RTCIceTransport extends EventTarget {
  declare onstatechange: Handler<RTCIceTransport>
  declare ongatheringstatechange: Handler<RTCIceTransport>
  declare onselectedcandidatepairchange: Handler<RTCIceTransport>
  readonly component = 'rtp'
  readonly #connection: SeamTransport['connection']
  readonly #section: () => MediaSection

  /** @internal */
  constructor(key: Constructible, { connection }: SeamTransport, section: () => MediaSection) {
    assertConstructible(key, ORIGIN)
    super()
    this.#connection = connection
    this.#section = section
    connection.transportEvent.subscribe(({ type }) => {
      if (ICE_EVENTS.includes(type)) this.dispatchEvent(new Event(type))
    })
  }

  get role(): RTCIceRole {
    return this.state === 'new' ? 'unknown' : this.#connection.transport.role
  }
  get state(): RTCIceTransportState {
    return this.#connection.transport.state
  }
  get gatheringState(): RTCIceGathererState {
    return this.#connection.gatheringState
  }

  getLocalCandidates(): RTCIceCandidate[] {
    return this.#connection.transport.getLocalCandidates().map((candidate) => this.#view(candidate))
  }
  getRemoteCandidates(): RTCIceCandidate[] {
    return this.#connection.transport.getRemoteCandidates().map((candidate) => this.#view(candidate))
  }
  /** null before there is a path. */
  getSelectedCandidatePair(): { local: RTCIceCandidate; remote: RTCIceCandidate } | null {
    const pair = this.#connection.transport.getSelectedCandidatePair()
    return pair && { local: this.#view(pair.local), remote: this.#view(pair.remote) }
  }
  getLocalParameters(): IceParameters | null {
    return viewParameters(this.#connection.transport.getLocalParameters())
  }
  getRemoteParameters(): IceParameters | null {
    return viewParameters(this.#connection.transport.getRemoteParameters())
  }

  #view(candidate: Candidate): RTCIceCandidate {
    const { usernameFragment = null } = candidate
    return new RTCIceCandidate(
      { candidate: formatCandidate(candidate), usernameFragment, ...this.#section() },
      () => candidate,
    )
  }
}

defineInterface(RTCIceTransport)

const ICE_EVENTS = ['statechange', 'gatheringstatechange', 'selectedcandidatepairchange']
defineEventHandlers(RTCIceTransport.prototype, ICE_EVENTS)

/** W3C RTCDtlsTransport, webrtc-pc §5.5. Events: statechange, and error with an RTCError that says why it failed. */
export class RTCDtlsTransport extends EventTarget {
  declare onstatechange: Handler<RTCDtlsTransport>
  declare onerror: Handler<RTCDtlsTransport, RTCErrorEvent>
  readonly iceTransport: RTCIceTransport
  readonly #dtls: SeamTransport['dtls']

  /** @internal */
  constructor(key: Constructible, transport: SeamTransport, section: () => MediaSection) {
    assertConstructible(key, ORIGIN)
    super()
    this.iceTransport = new RTCIceTransport(constructible, transport, section)
    this.#dtls = transport.dtls
    transport.dtls.onStateChange.subscribe((state) => {
      const error = state === 'failed' && transport.dtls.failure
      if (error) this.dispatchEvent(new RTCErrorEvent('error', { error }))
      this.dispatchEvent(new Event('statechange'))
    })
  }

  get state(): RTCDtlsTransportState {
    return this.#dtls.state
  }

  /** The peer's chain in DER, once it has been seen. */
  getRemoteCertificates(): ArrayBuffer[] {
    const certificate = this.#dtls.dtls?.remoteCertificate
    return certificate ? [new Uint8Array(certificate).buffer] : []
  }
}

defineInterface(RTCDtlsTransport)

defineEventHandlers(RTCDtlsTransport.prototype, ['statechange', 'error'])

/** W3C RTCSctpTransport, webrtc-pc §6.1. */
export class RTCSctpTransport extends EventTarget {
  declare onstatechange: Handler<RTCSctpTransport>
  readonly transport: RTCDtlsTransport
  readonly #association: WeriftAssociation
  #closed = false

  /** @internal */
  constructor(key: Constructible, association: WeriftAssociation, transport: RTCDtlsTransport) {
    assertConstructible(key, ORIGIN)
    super()
    this.#association = association
    this.transport = transport
    association.stateChanged.subscribe((state) => {
      this.#closed ||= state === 'closed'
      this.dispatchEvent(new Event('statechange'))
    })
  }

  get state(): RTCSctpTransportState {
    if (this.#closed || this.transport.state === 'closed') return 'closed'
    return this.#association.isConnected ? 'connected' : 'connecting'
  }
  /** Bytes of one message that the peer takes; Infinity when it has no limit. */
  get maxMessageSize(): number {
    return this.#association.maxMessageSize
  }
  /** null until connected. */
  get maxChannels(): number | null {
    return this.#association.maxChannels
  }
}

defineInterface(RTCSctpTransport)

defineEventHandlers(RTCSctpTransport.prototype, ['statechange'])

function viewParameters(parameters: IceParameters | null): IceParameters | null {
  return parameters && { usernameFragment: parameters.usernameFragment, password: parameters.password }
}
