import {
  createHash,
  createHmac,
  type KeyObject,
  timingSafeEqual,
  verify as verifySignature,
  X509Certificate,
} from 'node:crypto'
import { Alert, HandshakeType } from './dtls-record.ts'
import { type Fingerprint, matchesFingerprint } from './fingerprint.ts'

/** The peer could not prove that the fingerprint in the signalling is its own. No application data has passed. */
export class PeerAuthenticationError extends Error {
  readonly code = 'ERR_DTLS_UNAUTHENTICATED'
  override readonly name = 'PeerAuthenticationError'
  /** What the peer is told: RFC 5246 §7.2. */
  readonly alert: Alert

  constructor(message: string, alert: Alert = Alert.badCertificate, options?: ErrorOptions) {
    super(message, options)
    this.alert = alert
  }
}

/** What the guard asks of a DTLS stack: werift's DtlsSocket, seen narrowly. */
export interface GuardedHandshake {
  readonly role: 'client' | 'server'
  /** What the signalling named the peer's certificate by. */
  readonly fingerprints: () => readonly Fingerprint[]
  /** 32 bytes each. */
  readonly localRandom: () => Buffer
  readonly masterSecret: () => Buffer
  /** Every handshake message so far, ours and the peer's, without the one under examination. */
  readonly transcript: () => Buffer
}

/**
 * The checks of RFC 5246 that werift leaves out. Each message of the peer is examined before the stack acts on it:
 * that messages come in their order and once (§7.3), that the holder of the certificate's key signed the
 * ServerKeyExchange (§7.4.3) or the CertificateVerify (§7.4.8), and that both sides saw the same handshake (§7.4.9).
 * And, before anything is computed for it, that the certificate is the one named in the signalling (RFC 8122 §6.2).
 */
export class HandshakeGuard {
  readonly #handshake: GuardedHandshake
  #last: number = START
  #serverRandom: Buffer | undefined
  #peerKey: KeyObject | undefined
  #failure: PeerAuthenticationError | undefined

  constructor(handshake: GuardedHandshake) {
    this.#handshake = handshake
  }

  /** The peer has proved itself and the handshake is over; WebRTC knows no second one. */
  get passed(): boolean {
    return this.#last === HandshakeType.finished && !this.#failure
  }

  /** Throws {@link PeerAuthenticationError} now and from now on when the message is not what an honest peer sends. */
  examine(type: number, body: Buffer): void {
    if (this.#failure) throw this.#failure
    try {
      this.#checkOrder(type)
      this.#check(type, body)
    } catch (error) {
      this.#failure = error instanceof PeerAuthenticationError ? error : malformed(type, error)
      throw this.#failure
    }
  }

  #checkOrder(type: number): void {
    const allowed = (this.#handshake.role === 'client' ? AFTER_AS_CLIENT : AFTER_AS_SERVER).get(this.#last)
    if (!allowed?.includes(type)) {
      refuse(`sent handshake message ${type} after ${this.#last}`, Alert.unexpectedMessage)
    }
    this.#last = type
  }

  #check(type: number, body: Buffer): void {
    switch (type) {
      case HandshakeType.serverHello:
        return this.#checkServerHello(body)
      case HandshakeType.certificate:
        return this.#checkCertificate(leaf(body))
      case HandshakeType.serverKeyExchange:
        return this.#checkServerKeyExchange(body)
      case HandshakeType.certificateVerify:
        return this.#checkSignature(body, this.#handshake.transcript(), 'CertificateVerify')
      case HandshakeType.finished:
        return this.#checkFinished(body)
    }
  }

  /** Only what we have offered may be chosen, RFC 5246 §7.4.1.3: werift would take anything. */
  #checkServerHello(body: Buffer): void {
    const suiteAt = 35 + body.readUInt8(34)
    const isOffered = CIPHER_SUITES.has(body.readUInt16BE(suiteAt)) && body.readUInt8(suiteAt + 2) === NO_COMPRESSION
    if (body.readUInt16BE(0) !== DTLS_1_2 || !isOffered) {
      refuse('chose a version, cipher suite or compression that was not offered', Alert.illegalParameter)
    }
    this.#serverRandom = body.subarray(2, 34)
  }

  /**
   * When it expires is not looked at: the signalling vouches for this very certificate, and refusing peers whose clock
   * is wrong would protect nobody.
   */
  #checkCertificate(der: Buffer): void {
    if (!matchesFingerprint(der, this.#handshake.fingerprints())) {
      refuse('presented another certificate than the one named in its session description')
    }
    const key = new X509Certificate(der).publicKey
    if ((key.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS) < MIN_RSA_BITS) {
      refuse('has an RSA key that is too short to prove anything')
    }
    this.#peerKey = key
  }

  #checkServerKeyExchange(body: Buffer): void {
    // ServerECDHParams (RFC 8422 §5.4): curve type, named curve, then the point with its length in one byte.
    const paramsLength = 4 + body.readUInt8(3)
    if (body[0] !== NAMED_CURVE || !CURVES.has(body.readUInt16BE(1))) {
      refuse('chose a curve that was not offered', Alert.illegalParameter)
    }
    const signed = [this.#handshake.localRandom(), this.#serverRandom!, body.subarray(0, paramsLength)]
    this.#checkSignature(body.subarray(paramsLength), Buffer.concat(signed), 'ServerKeyExchange')
  }

  /** DigitallySigned, RFC 5246 §4.7: hash, algorithm, length, signature. */
  #checkSignature(digitallySigned: Buffer, data: Buffer, what: string): void {
    const hash = HASHES.get(digitallySigned.readUInt8(0))
    const keyType = KEY_TYPES.get(digitallySigned.readUInt8(1))
    const signature = digitallySigned.subarray(4, 4 + digitallySigned.readUInt16BE(2))
    const key = this.#peerKey!
    if (!hash || keyType !== key.asymmetricKeyType) {
      refuse(`signed its ${what} with an algorithm that was not offered`, Alert.illegalParameter)
    }
    if (!verifySignature(hash, data, key, signature)) {
      const meaning = 'does not hold the private key of its certificate'
      refuse(`${meaning}: the signature of its ${what} is wrong`, Alert.decryptError)
    }
  }

  #checkFinished(body: Buffer): void {
    const label = this.#handshake.role === 'client' ? 'server finished' : 'client finished'
    const expected = verifyData(this.#handshake.masterSecret(), label, this.#handshake.transcript())
    if (body.length !== expected.length || !timingSafeEqual(body, expected)) {
      refuse('saw another handshake than ours: someone in between has changed it', Alert.decryptError)
    }
  }
}

const START = -1
const { clientHello, serverHello, helloVerifyRequest, certificate, serverKeyExchange } = HandshakeType
const { certificateRequest, serverHelloDone, clientKeyExchange, certificateVerify, finished } = HandshakeType

/** RFC 5246 §7.3 and RFC 6347 §4.2.4, less what WebRTC never uses: resumption, anonymous peers, status and tickets. */
const AFTER_AS_CLIENT = new Map<number, readonly number[]>([
  [START, [helloVerifyRequest, serverHello]],
  [helloVerifyRequest, [serverHello]],
  [serverHello, [certificate]],
  [certificate, [serverKeyExchange]],
  [serverKeyExchange, [certificateRequest, serverHelloDone]],
  [certificateRequest, [serverHelloDone]],
  [serverHelloDone, [finished]],
])
const AFTER_AS_SERVER = new Map<number, readonly number[]>([
  [START, [clientHello]],
  [clientHello, [clientHello, certificate]],
  [certificate, [clientKeyExchange]],
  [clientKeyExchange, [certificateVerify]],
  [certificateVerify, [finished]],
])

const DTLS_1_2 = 0xfefd
const NO_COMPRESSION = 0
/** TLS_ECDHE_ECDSA and TLS_ECDHE_RSA, each with AES_128_GCM_SHA256: what werift offers, RFC 5289 §3.2. */
const CIPHER_SUITES = new Set([0xc02b, 0xc02f])
/** RFC 8422 §5.1.1 and §5.4: secp256r1 and x25519. */
const NAMED_CURVE = 3
const CURVES = new Set([23, 29])
/** RFC 8827 §6.5 has 2048 for certificates made for WebRTC. */
const MIN_RSA_BITS = 2048

/** RFC 5246 §7.4.1.4.1. werift offers SHA-256 only; SHA-1 stays refused whatever it offers. */
const HASHES = new Map([
  [4, 'sha256'],
  [5, 'sha384'],
  [6, 'sha512'],
])
const KEY_TYPES = new Map([
  [1, 'rsa'],
  [3, 'ec'],
])

/** The first certificate of a chain, RFC 5246 §7.4.2. */
function leaf(body: Buffer): Buffer {
  if (body.length < 6) refuse('presented no certificate')
  return body.subarray(6, 6 + body.readUIntBE(3, 3))
}

/** PRF(master_secret, label, SHA-256(handshake messages)), 12 bytes: RFC 5246 §5 and §7.4.9. */
function verifyData(masterSecret: Buffer, label: string, transcript: Buffer): Buffer {
  const seed = Buffer.concat([Buffer.from(label), createHash('sha256').update(transcript).digest()])
  const a1 = createHmac('sha256', masterSecret).update(seed).digest()
  return createHmac('sha256', masterSecret).update(a1).update(seed).digest().subarray(0, 12)
}

function refuse(what: string, alert?: Alert): never {
  throw new PeerAuthenticationError(`The peer ${what}`, alert)
}

function malformed(type: number, cause: unknown): PeerAuthenticationError {
  return new PeerAuthenticationError(`The peer sent a malformed handshake message ${type}`, Alert.decodeError, {
    cause,
  })
}
