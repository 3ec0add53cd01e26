import {
  DtlsClient,
  type DtlsSocket,
  RTCDtlsTransport,
  type RTCCertificate as WeriftCertificate,
  type RTCIceTransport as WeriftIceTransport,
} from 'werift'
import { PeerAuthenticationError } from './dtls-guard.ts'
import { Alert } from './dtls-record.ts'
import { ApplicationData, adoptSocket, sendAlert } from './dtls-socket.ts'
import { type Fingerprint, matchesFingerprint } from './fingerprint.ts'
import type { IceConnection } from './ice-connection.ts'
import { RTCError } from './rtc-error.ts'
import { dtlsInternals } from './werift-internals.ts'

/** What werift's own transport factory offers: AEAD_AES_128_GCM first, then AES128_CM_HMAC_SHA1_80 (RFC 7714, RFC 5764). */
const SRTP_PROFILES: [7, 1] = [7, 1]
/** Application data that arrives between the peer's Finished and our verdict, bytes; SCTP repeats what does not fit. */
const MAX_HELD_BYTES = 65_536

/**
 * werift's DTLS transport with five things made right: the peer has to prove that it holds its certificate's key
 * before any application data passes either way, a client speaks at once instead of after 100 ms, a peer that knows
 * nothing of SRTP is welcome, the end is announced to the peer, and leaves no retransmission behind.
 */
export class GuardedDtlsTransport extends RTCDtlsTransport {
  /** Why `state` became 'failed'; known by the time that it does. */
  failure: RTCError | undefined
  readonly #connection: IceConnection
  #applicationData: ApplicationData | undefined
  #receiver: (data: Buffer) => void = () => {}
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(
    config: ConstructorParameters<typeof RTCDtlsTransport>[0],
    iceTransport: WeriftIceTransport,
    certificate: WeriftCertificate | undefined,
    connection: IceConnection,
  ) {
    super(config, iceTransport, certificate, SRTP_PROFILES)
    this.#connection = connection
    this.#adoptSocket()
    this.#gateApplicationData()
    this.#replaceFingerprintCheck()
    this.#makeSrtpOptional()
  }

  /** Rejects with {@link PeerAuthenticationError} when the peer is not the one that the signalling named. */
  override async start(): Promise<void> {
    try {
      await super.start()
      this.#connection.dtlsEstablished({
        open: (record) => this.#applicationData!.open(record),
        deliver: (data) => this.state === 'connected' && this.#receiver(data),
      })
    } catch (error) {
      // A second start(), after an ICE restart in the middle of a handshake, is refused by werift and harms nothing.
      if (this.state === 'failed') {
        if (this.dtls) sendAlert(this.dtls, 'fatal', this.failure?.sentAlert ?? Alert.handshakeFailure)
        this.#abandon()
        await leftTheSocket()
        await this.iceTransport.stop()
      }
      throw error
    }
  }

  override async stop(): Promise<void> {
    const isConnected = this.dtls && this.state === 'connected'
    if (isConnected) sendAlert(this.dtls!, 'warning', Alert.closeNotify)
    this.#abandon()
    if (isConnected) await leftTheSocket()
    await super.stop()
  }

  /** What was sent over it gets no answer. */
  reportNoProgress(): void {
    if (this.#connection.state !== 'closed') this.#connection.transport.reportNoProgress()
  }

  /** Both ends of the path in use have the same address: what is sent to it never reaches a network. */
  get staysOnThisMachine(): boolean {
    const pair = this.#connection.transport.getSelectedCandidatePair()
    return pair?.local.type === 'host' && pair.local.address.ip === pair.remote.address.ip
  }

  get #fingerprints(): readonly Fingerprint[] {
    return dtlsInternals(this).remoteParameters?.fingerprints ?? []
  }

  /** werift creates its socket inside start(): the assignment is the moment to get hold of it, before it has spoken. */
  #adoptSocket(): void {
    let socket: DtlsSocket | undefined
    Object.defineProperty(this, 'dtls', {
      configurable: true,
      enumerable: true,
      get: () => socket,
      set: (created: DtlsSocket) => {
        socket = created
        adoptSocket(created, () => this.#fingerprints)
        created.onError.subscribe((error) => {
          this.failure ??= failureOf(error)
        })
        // After werift's own subscriptions, which follow in the same turn.
        queueMicrotask(() => this.#connection.dtlsReady(created instanceof DtlsClient ? 'client' : 'server'))
      },
    })
  }

  #gateApplicationData(): void {
    Object.defineProperty(this, 'dataReceiver', {
      configurable: true,
      enumerable: true,
      get: () => (data: Buffer) => {
        this.#connection.dtlsAccepted()
        if (this.state === 'connected') this.#receiver(data)
        else if (this.state === 'connecting') this.#hold(data)
      },
      // werift takes its SCTP off with undefined.
      set: (next: ((data: Buffer) => void) | undefined) => {
        this.#receiver = next ?? (() => {})
      },
    })
    Object.defineProperty(this, 'sendData', {
      configurable: true,
      enumerable: true,
      value: (data: Buffer) => {
        if (this.state === 'connected') return this.#connection.send(this.#applicationData!.seal(data))
        return Promise.reject(new PeerAuthenticationError('The peer has not been authenticated yet'))
      },
    })
    this.onStateChange.subscribe((state) => {
      if (state === 'connected') this.#applicationData = new ApplicationData(this.dtls!)
      const held = this.#held.splice(0)
      if (state === 'connected') for (const data of held) this.#receiver(data)
    })
  }

  #hold(data: Buffer): void {
    this.#heldBytes += data.length
    if (this.#heldBytes <= MAX_HELD_BYTES) this.#held.push(data)
  }

  /** The guard has checked already, by our own rules; should it ever not have been asked, nothing passes. */
  #replaceFingerprintCheck(): void {
    dtlsInternals(this).verifyRemoteCertificateFingerprint = () => {
      const certificate = this.dtls?.remoteCertificate
      if (certificate && matchesFingerprint(certificate, this.#fingerprints)) return
      const error = new PeerAuthenticationError('The peer has presented no certificate that its description names')
      this.failure ??= failureOf(error)
      throw error
    }
  }

  /** werift gives up on a peer that did not agree on a profile, as those who only have data channels do not. */
  #makeSrtpOptional(): void {
    const internals = dtlsInternals(this)
    const startSrtp = internals.startSrtp.bind(this)
    internals.startSrtp = () => {
      if (this.dtls?.srtp.srtpProfile) startSrtp()
    }
  }

  #abandon(): void {
    this.#held = []
    // werift's flights compare this number on every wake-up and stop when it has moved past them.
    if (this.dtls) this.dtls.dtls.flight = Number.POSITIVE_INFINITY
    this.#connection.dtlsEnded()
  }
}

/** A socket that is closed in the same turn takes what it was given with it. */
function leftTheSocket(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function failureOf(cause: Error): RTCError {
  const isImpostor = cause instanceof PeerAuthenticationError
  const errorDetail = isImpostor ? 'fingerprint-failure' : 'dtls-failure'
  const sentAlert = isImpostor ? cause.alert : Alert.handshakeFailure
  return new RTCError({ errorDetail, sentAlert, cause }, cause.message)
}
