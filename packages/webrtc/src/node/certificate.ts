import { randomBytes } from 'node:crypto'
import { PemConverter, X509CertificateGenerator } from '@peculiar/x509'
import { HashAlgorithm, SignatureAlgorithm, RTCCertificate as WeriftCertificate } from 'werift'
import { webcrypto } from './webcrypto.ts'
import { defineInterface, enforceRange } from './webidl.ts'

/** As long as browsers give theirs. */
const LIFETIME_MS = 30 * 24 * 60 * 60 * 1000
/** webrtc-pc §4.9: at most a year. */
const MAX_LIFETIME_MS = 365 * 24 * 60 * 60 * 1000
/** The peer's clock may be behind ours. */
const CLOCK_TOLERANCE_MS = 24 * 60 * 60 * 1000

const ECDSA_P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const RSA_2048 = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
}

/** W3C RTCCertificate: a self-signed certificate and its key, for one or several connections. */
export class RTCCertificate {
  /** Milliseconds since 1970. */
  readonly expires: number
  readonly #werift: WeriftCertificate

  private constructor(werift: WeriftCertificate, expires: number) {
    this.#werift = werift
    this.expires = expires
  }

  /**
   * W3C's `RTCPeerConnection.generateCertificate()`: 'ECDSA' with P-256, or 'RSASSA-PKCS1-v1_5' with 2048 bits;
   * `expires` is a number of milliseconds from now. Rejects with NotSupportedError for anything else, with TypeError for
   * what is no algorithm. About 1 ms for ECDSA.
   */
  static async generate(algorithm: AlgorithmIdentifier = 'ECDSA'): Promise<RTCCertificate> {
    const signingAlgorithm = supported(algorithm)
    const keys = await webcrypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify'])
    const notAfter = new Date(Date.now() + lifetime(algorithm))
    const certificate = await X509CertificateGenerator.createSelfSigned(
      {
        serialNumber: `00${randomBytes(8).toString('hex')}`,
        name: 'CN=WebRTC',
        notBefore: new Date(Date.now() - CLOCK_TOLERANCE_MS),
        notAfter,
        signingAlgorithm,
        keys,
      },
      webcrypto,
    )
    const keyPem = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
    const signature = signingAlgorithm === ECDSA_P256 ? SignatureAlgorithm.ecdsa_3 : SignatureAlgorithm.rsa_1
    const signatureHash = { signature, hash: HashAlgorithm.sha256_4 }
    return new RTCCertificate(new WeriftCertificate(keyPem, certificate.toString('pem'), signatureHash), +notAfter)
  }

  getFingerprints(): { algorithm: string; value: string }[] {
    return this.#werift.getFingerprints().map(({ algorithm, value }) => ({ algorithm, value: value.toLowerCase() }))
  }

  /** For the DTLS layer below. */
  static unwrap(certificate: RTCCertificate): WeriftCertificate {
    return certificate.#werift
  }
}

defineInterface(RTCCertificate)

function lifetime(algorithm: AlgorithmIdentifier & { expires?: number }): number {
  const { expires } = algorithm
  if (expires === undefined) return LIFETIME_MS
  return Math.min(enforceRange(expires, Number.MAX_SAFE_INTEGER, 'expires'), MAX_LIFETIME_MS)
}

function supported(algorithm: AlgorithmIdentifier): typeof ECDSA_P256 | typeof RSA_2048 {
  const wanted = (typeof algorithm === 'string' ? { name: algorithm } : algorithm) as Partial<typeof RSA_2048> &
    Partial<typeof ECDSA_P256>
  if (typeof wanted?.name !== 'string') throw new TypeError('An algorithm has a name')
  const { namedCurve = 'P-256', modulusLength = 2048, hash = 'SHA-256' } = wanted
  const name = wanted.name.toUpperCase()
  if (name === ECDSA_P256.name && namedCurve === ECDSA_P256.namedCurve) return ECDSA_P256
  const isSha256 = (typeof hash === 'string' ? hash : (hash as { name: string }).name) === RSA_2048.hash
  if (name === RSA_2048.name.toUpperCase() && modulusLength === RSA_2048.modulusLength && isSha256) return RSA_2048
  throw new DOMException(
    "Certificates can be 'ECDSA' with P-256 or 'RSASSA-PKCS1-v1_5' with 2048 bits",
    'NotSupportedError',
  )
}
