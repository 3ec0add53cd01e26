import {
  DtlsClient,
  type DtlsSocket,
  RTCDtlsTransport,
  type RTCCertificate as WeriftCertificate,
  type RTCIceTransport as WeriftIceTransport,
} from 'werift'
import { HandshakeGuard, PeerAuthenticationError } from './dtls-guard.ts'
import type { IceConnection } from './ice-connection.ts'
import { dtlsInternals } from './werift-internals.ts'

/** What werift's own transport factory offers: AEAD_AES_128_GCM first, then AES128_CM_HMAC_SHA1_80 (RFC 7714, RFC 5764). */
const SRTP_PROFILES: [7, 1] = [7, 1]
/** Application data that arrives between the peer's Finished and our verdict; SCTP repeats what does not fit. */
const MAX_HELD_RECORDS = 64

/**
 * werift's DTLS transport with three things made right: the peer has to prove that it holds its certificate's key
 * before any application data passes either way, a client speaks at once instead of after 100 ms, and a transport that
 * has ended leaves no retransmission behind.
 */
export class GuardedDtlsTransport extends RTCDtlsTransport {
  /** Why `state` became 'failed'; known by the time that it does. */
  failure: Error | undefined
  readonly #connection: IceConnection
  #held: Buffer[] = []

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
    this.#typeFingerprintError()
  }

  /** Rejects with {@link PeerAuthenticationError} when the peer is not the one that the signalling named. */
  override async start(): Promise<void> {
    try {
      await super.start()
      this.#connection.dtlsEstablished()
    } catch (error) {
      // A second start(), after an ICE restart in the middle of a handshake, is refused by werift and harms nothing.
      if (this.state === 'failed') {
        this.#abandon()
        await this.iceTransport.stop()
      }
      throw error
    }
  }

  override async stop(): Promise<void> {
    this.#abandon()
    await super.stop()
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
        guard(created)
        created.onError.subscribe((error) => {
          this.failure ??= error
        })
        if (created instanceof DtlsClient) startAtOnce(created)
        // After werift's own subscriptions, which follow in the same turn.
        queueMicrotask(() => this.#connection.dtlsReady())
      },
    })
  }

  #gateApplicationData(): void {
    let receiver: (data: Buffer) => void = () => {}
    Object.defineProperty(this, 'dataReceiver', {
      configurable: true,
      enumerable: true,
      get: () => (data: Buffer) => {
        this.#connection.dtlsAccepted()
        if (this.state === 'connected') receiver(data)
        else if (this.state === 'connecting' && this.#held.length < MAX_HELD_RECORDS) this.#held.push(data)
      },
      set: (next: (data: Buffer) => void) => {
        receiver = next
      },
    })
    const send = this.sendData
    Object.defineProperty(this, 'sendData', {
      configurable: true,
      enumerable: true,
      value: async (data: Buffer) => {
        if (this.state !== 'connected') throw new PeerAuthenticationError('The peer has not been authenticated yet')
        return send(data)
      },
    })
    this.onStateChange.subscribe((state) => {
      const held = this.#held.splice(0)
      if (state === 'connected') for (const data of held) receiver(data)
    })
  }

  #typeFingerprintError(): void {
    const internals = dtlsInternals(this)
    const verify = internals.verifyRemoteCertificateFingerprint.bind(this)
    internals.verifyRemoteCertificateFingerprint = () => {
      try {
        verify()
      } catch (cause) {
        const message = 'The peer presented another certificate than the one named in its session description'
        this.failure = new PeerAuthenticationError(message, { cause })
        throw this.failure
      }
    }
  }

  #abandon(): void {
    this.#held = []
    // werift's flights compare this number on every wake-up and stop when it has moved past them.
    if (this.dtls) this.dtls.dtls.flight = Number.POSITIVE_INFINITY
    this.#connection.dtlsEnded()
  }
}

/** Examines every handshake message before werift sees it; an error takes werift's own way to `state` 'failed'. */
function guard(socket: DtlsSocket): void {
  const handshakeGuard = new HandshakeGuard({
    role: socket instanceof DtlsClient ? 'client' : 'server',
    localRandom: () => socket.cipher.localRandom.serialize(),
    masterSecret: () => socket.cipher.masterSecret,
    transcript: () => Buffer.concat(socket.dtls.sortedHandshakeCache.map((message) => message.serialize())),
  })
  const handle = socket.onHandleHandshakes
  socket.onHandleHandshakes = async (messages) => {
    if (handshakeGuard.passed) return
    for (const message of messages) handshakeGuard.examine(message.msg_type, message.fragment)
    await handle(messages)
  }
}

/** RTCDtlsTransport.start() sleeps 100 ms before it lets a client connect: this client has connected by then. */
function startAtOnce(client: DtlsClient): void {
  const connect = client.connect.bind(client)
  let connecting: Promise<void> | undefined
  client.connect = () => (connecting ??= connect())
  queueMicrotask(() => client.connect().catch((error) => client.onError.execute(error)))
}
