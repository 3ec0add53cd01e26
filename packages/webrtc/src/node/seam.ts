import { type Candidate, parseCandidate } from '@floe/ice'
import type { IceTransportOptions } from '@floe/ice/node'
import { withoutScope } from '@floe/stun'
import {
  type SessionDescription,
  type RTCIceTransport as WeriftIceTransport,
  RTCPeerConnection as WeriftPeerConnection,
} from 'werift'
import { GuardedDtlsTransport } from './dtls-transport.ts'
import { IceGatherer, IceTransportAdapter } from './gatherer.ts'
import { fullLine } from './ice-candidate.ts'
import { IceConnection } from './ice-connection.ts'
import { RemoteLines } from './remote-lines.ts'
import { WeriftAssociation } from './werift-association.ts'
import { peerConnectionInternals } from './werift-internals.ts'

export interface SeamOptions {
  readonly ice: IceTransportOptions
  readonly bundlePolicy: RTCBundlePolicy
  /** Our announcement, bytes: `a=max-message-size`. */
  readonly maxMessageSize: number
  /** A transport has been built; nothing has been sent on it. */
  readonly onTransport: (transport: SeamTransport) => void
  /** The SCTP association has been built; nothing has been sent on it. */
  readonly onAssociation: (association: WeriftAssociation) => void
}

export interface SeamTransport {
  readonly dtls: GuardedDtlsTransport
  readonly connection: IceConnection
}

/**
 * werift's RTCPeerConnection with floe's transports underneath: SDP, media and SCTP are werift's, ICE and data channels
 * are ours, DTLS is guarded. Its own ideas of connection state and of when to negotiate are not used.
 */
export class SeamPeerConnection extends WeriftPeerConnection {
  readonly transports: SeamTransport[] = []
  readonly remoteLines = new RemoteLines()
  /** Its description says so. */
  peerTakesLargePackets = false
  readonly #options: SeamOptions
  #ice: IceTransportOptions

  constructor(options: SeamOptions) {
    const { bundlePolicy, maxMessageSize, ice } = options
    super({
      iceServers: [],
      // With nothing but data 'balanced' is one transport, like 'max-bundle', and werift does not know the word.
      bundlePolicy: bundlePolicy === 'balanced' ? 'max-bundle' : bundlePolicy,
      maxMessageSize,
      // Audio and video are declined: nobody here would listen.
      codecs: { audio: [], video: [] },
    })
    this.#options = options
    this.#ice = ice
    const { secureManager, sctpManager } = peerConnectionInternals(this)
    const createSctp = sctpManager.createSctpTransport.bind(sctpManager)
    sctpManager.createSctpTransport = (...arguments_) => {
      const transport = createSctp(...arguments_)
      options.onAssociation(new WeriftAssociation(transport, () => this.peerTakesLargePackets))
      return transport
    }
    secureManager.createTransport = ({ inheritCredentials = true } = {}) => this.#createTransport(inheritCredentials)
  }

  /** For the first data channel. */
  ensureSctp(): void {
    if (!this.sctpTransport) peerConnectionInternals(this).createSctpTransport()
  }

  /** For transports to come, and for those that have not gathered yet. */
  setIceOptions(ice: IceTransportOptions): void {
    this.#ice = ice
    for (const { connection } of this.transports) connection.reconfigure(ice)
  }

  /** werift insists on the very text that it made last. What may differ is for the caller to say. */
  acceptEditedDescriptions(): void {
    peerConnectionInternals(this).lastCreatedOffer = undefined
  }

  /** The current or pending local description, with the candidates that are known by now. */
  describeLocal(which: 'current' | 'pending'): { type: RTCSdpType; sdp: string } | undefined {
    const { sdpManager, secureManager } = peerConnectionInternals(this)
    const description = which === 'current' ? sdpManager.currentLocalDescription : sdpManager.pendingLocalDescription
    if (!description) return undefined
    for (const [index, media] of description.media.entries()) {
      const transport = secureManager.getTransportByMLineIndex(description, index)
      if (transport) addCandidates(media, transport)
    }
    const { type, sdp } = description.toJSON()
    return { type, sdp }
  }

  /** The local candidate that a line is about, with what the line does not say: the server that it was learnt from. */
  localCandidate(line: Candidate): Candidate | undefined {
    const local = this.transports.flatMap(({ connection }) => connection.transport.getLocalCandidates())
    return local.find(({ hostname, protocol, address: { ip, port } }) => {
      return (
        (hostname ?? withoutScope(ip)) === line.address.ip && port === line.address.port && protocol === line.protocol
      )
    })
  }

  /** A candidate line of werift's with what it leaves out. */
  localLine(line: string): string {
    const parsed = parseCandidate(line)
    return fullLine(line, parsed, parsed && this.localCandidate(parsed))
  }

  #createTransport(inheritCredentials: boolean): GuardedDtlsTransport {
    const { secureManager } = peerConnectionInternals(this)
    // The parts of a bundle that may still be taken apart share their credentials, RFC 8843 §7.
    const sibling =
      inheritCredentials && this.transports.find(({ connection }) => connection.transport.state !== 'closed')
    const parameters = sibling ? { parameters: sibling.connection.transport.getLocalParameters() } : {}
    const connection = new IceConnection({ ...this.#ice, ...parameters }, this.remoteLines)
    const gatherer = new IceGatherer(connection)
    gatherer.onGatheringStateChange.subscribe(() => secureManager.updateIceGatheringState())
    const iceTransport = new IceTransportAdapter(gatherer)
    iceTransport.onStateChange.subscribe(() => secureManager.updateIceConnectionState())
    const dtls = new GuardedDtlsTransport(this.config, iceTransport, secureManager.certificate, connection)
    const transport = { dtls, connection }
    this.transports.push(transport)
    this.#options.onTransport(transport)
    return dtls
  }
}

/** A description of an earlier generation keeps the candidates it had. */
function addCandidates(media: SessionDescription['media'][number], transport: WeriftIceTransport): void {
  if (media.iceParams?.usernameFragment !== transport.localParameters.usernameFragment) return
  // Peer-reflexive ones are not signalled, RFC 8445 §7.2.5.3.1.
  media.iceCandidates = transport.localCandidates.filter(({ type }) => type !== 'prflx')
  media.iceCandidatesComplete = transport.gatheringState === 'complete'
}
