import type { IceTransportOptions } from '@floe/ice/node'
import {
  type RTCSctpTransport,
  type SessionDescription,
  type RTCIceTransport as WeriftIceTransport,
  RTCPeerConnection as WeriftPeerConnection,
} from 'werift'
import { GuardedDtlsTransport } from './dtls-transport.ts'
import { IceGatherer, IceTransportAdapter } from './gatherer.ts'
import { IceConnection } from './ice-connection.ts'
import { peerConnectionInternals, sctpInternals, sctpTransportInternals } from './werift-internals.ts'

export interface SeamOptions {
  readonly ice: IceTransportOptions
  readonly bundlePolicy: RTCBundlePolicy
  /** Our announcement, bytes: `a=max-message-size`. */
  readonly maxMessageSize: number
  /** A transport has been built; nothing has been sent on it. */
  readonly onTransport: (transport: SeamTransport) => void
}

export interface SeamTransport {
  readonly dtls: GuardedDtlsTransport
  readonly connection: IceConnection
}

/**
 * werift's RTCPeerConnection with floe's transports underneath: SDP, SCTP, media and statistics are werift's, ICE is
 * ours and DTLS is guarded. Its own ideas of connection state and of when to negotiate are not used.
 */
export class SeamPeerConnection extends WeriftPeerConnection {
  readonly transports: SeamTransport[] = []
  readonly #options: SeamOptions

  constructor(options: SeamOptions) {
    const { bundlePolicy, maxMessageSize } = options
    super({ iceServers: [], bundlePolicy: bundlePolicy === 'balanced' ? 'max-compat' : bundlePolicy, maxMessageSize })
    this.#options = options
    const { secureManager, sctpManager } = peerConnectionInternals(this)
    const createSctp = sctpManager.createSctpTransport.bind(sctpManager)
    sctpManager.createSctpTransport = (...options) => contain(createSctp(...options))
    secureManager.createTransport = ({ inheritCredentials = true } = {}) => this.#createTransport(inheritCredentials)
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

  #createTransport(inheritCredentials: boolean): GuardedDtlsTransport {
    const { secureManager } = peerConnectionInternals(this)
    // The parts of a bundle that may still be taken apart share their credentials, RFC 8843 §7.
    const sibling =
      inheritCredentials && this.transports.find(({ connection }) => connection.transport.state !== 'closed')
    const parameters = sibling ? { parameters: sibling.connection.transport.getLocalParameters() } : {}
    const connection = new IceConnection({ ...this.#options.ice, ...parameters })
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

/**
 * A peer that sends nonsense over SCTP makes werift throw inside a promise that nobody awaits, which would end the
 * process. The packet is dropped instead.
 */
function contain(transport: RTCSctpTransport): RTCSctpTransport {
  const internals = sctpTransportInternals(transport)
  const receive = internals.datachannelReceive
  internals.datachannelReceive = (...message) => receive(...message).catch(() => {})
  const setDtlsTransport = transport.setDtlsTransport.bind(transport)
  transport.setDtlsTransport = (dtls) => {
    const previous = transport.sctp
    setDtlsTransport(dtls)
    if (transport.sctp === previous) return
    const sctp = sctpInternals(transport)
    const handle = sctp.handleData.bind(sctp)
    sctp.handleData = (packet) => handle(packet).catch(() => {})
  }
  return transport
}

/** A description of an earlier generation keeps the candidates it had. */
function addCandidates(media: SessionDescription['media'][number], transport: WeriftIceTransport): void {
  if (media.iceParams?.usernameFragment !== transport.localParameters.usernameFragment) return
  media.iceCandidates = transport.localCandidates
  media.iceCandidatesComplete = transport.gatheringState === 'complete'
}
