import { decodeBase64Url, encodeBase64Url } from './base64url.ts'

const CURVE = { name: 'ECDH', namedCurve: 'P-256' } as const
const HELLO_INFO = 'floe hello 1'
const RELAY_INFO = 'floe relay 1'

/** The two ends of a connection, by who makes the first offer. */
export type Role = 'impolite' | 'polite'

/** Keys of the two directions, as seen from one end: AES-256-GCM. */
export interface RelayKeys {
  readonly sealing: CryptoKey
  readonly opening: CryptoKey
}

/** Shortest secret, in UTF-16 units: 22 characters of base64 are 128 bits. A hello lets whoever sees it try guesses. */
export const MIN_SECRET_LENGTH = 22

/** 128 random bits as text, for `ConnectOptions.secret`: to be told the peer by a way that nobody else sees. */
export function createSecret(): string {
  const secret = encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)))
  // On a command line it would be taken for an option.
  return secret.startsWith('-') ? createSecret() : secret
}

/** An end's part of the agreement on keys: ephemeral, hence of no use to anyone once the connection is over. */
export class KeyAgreement {
  /** Uncompressed point. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly #subtle: SubtleCrypto
  readonly #privateKey: CryptoKey
  readonly #secret: string | undefined

  private constructor(subtle: SubtleCrypto, privateKey: CryptoKey, publicKey: ArrayBuffer, secret: string | undefined) {
    this.#subtle = subtle
    this.#privateKey = privateKey
    this.publicKey = new Uint8Array(publicKey)
    this.#secret = secret
  }

  /** `secret`: what both ends know and the signaling does not. */
  static async create(subtle: SubtleCrypto, secret?: string): Promise<KeyAgreement> {
    const { privateKey, publicKey } = await subtle.generateKey(CURVE, false, ['deriveBits'])
    return new KeyAgreement(subtle, privateKey, await subtle.exportKey('raw', publicKey), secret)
  }

  /** Proves that whoever says this hello knows the secret. `undefined`: there is none. */
  async prove(role: Role, hello: string): Promise<string | undefined> {
    if (this.#secret === undefined) return undefined
    const proof = await this.#subtle.sign('HMAC', await this.#helloKey(this.#secret), helloBytes(role, hello))
    return encodeBase64Url(new Uint8Array(proof))
  }

  /** Whether the peer in this role knows our secret, if we have one. */
  async verify(role: Role, hello: string, proof: string | undefined): Promise<boolean> {
    if (this.#secret === undefined) return true
    const bytes = proof === undefined ? undefined : decodeBase64Url(proof)
    if (bytes === undefined) return false
    return this.#subtle.verify('HMAC', await this.#helloKey(this.#secret), bytes, helloBytes(role, hello))
  }

  /**
   * The keys for the relay. They depend on both hellos to the last character, thus on both DTLS fingerprints: who changes
   * one on its way ends up with other keys. Rejects when `peerKey` is no point of the curve.
   */
  async deriveKeys(role: Role, hellos: Record<Role, string>, peerKey: Uint8Array<ArrayBuffer>): Promise<RelayKeys> {
    const subtle = this.#subtle
    const publicKey = await subtle.importKey('raw', peerKey, CURVE, false, [])
    const shared = await subtle.deriveBits({ name: 'ECDH', public: publicKey }, this.#privateKey, 256)
    const transcript = await subtle.digest('SHA-256', bytesOf(JSON.stringify([hellos.impolite, hellos.polite])))
    const bits = await this.#expand(new Uint8Array(shared), RELAY_INFO, new Uint8Array(transcript), 512)
    const key = (offset: number, use: KeyUsage) =>
      subtle.importKey('raw', bits.slice(offset, offset + 32), 'AES-GCM', false, [use])
    const [mine, theirs] = role === 'impolite' ? [0, 32] : [32, 0]
    return { sealing: await key(mine, 'encrypt'), opening: await key(theirs, 'decrypt') }
  }

  async #helloKey(secret: string): Promise<CryptoKey> {
    const bits = await this.#expand(bytesOf(secret), HELLO_INFO, new Uint8Array(), 256)
    return this.#subtle.importKey('raw', bits, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
  }

  /** HKDF (RFC 5869) with SHA-256; the secret is the salt, so that who lacks it gets other keys from the same exchange. */
  async #expand(
    input: Uint8Array<ArrayBuffer>,
    name: string,
    context: Uint8Array<ArrayBuffer>,
    bits: number,
  ): Promise<ArrayBuffer> {
    const key = await this.#subtle.importKey('raw', input, 'HKDF', false, ['deriveBits'])
    const info = new Uint8Array([...bytesOf(name), 0, ...context])
    return this.#subtle.deriveBits(
      { name: 'HKDF', hash: 'SHA-256', salt: bytesOf(this.#secret ?? ''), info },
      key,
      bits,
    )
  }
}

/** The role keeps a hello from being played back to the one who said it. */
function helloBytes(role: Role, hello: string): Uint8Array<ArrayBuffer> {
  return bytesOf(JSON.stringify([role, hello]))
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}
