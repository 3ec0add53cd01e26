import { decodeBase64Url, encodeBase64Url } from './base64url.ts'

/**
 * The first word of each end, before any offer: who it will be, on the relay and on the direct path. It is sent as text,
 * and what is authenticated is that very text, so that there is nothing to bring into a canonical form.
 */
export interface Hello {
  readonly version: typeof HELLO_VERSION
  /** Public key for this connection alone: ECDH on P-256, uncompressed point. Absent: this end has no WebCrypto. */
  readonly key?: Uint8Array<ArrayBuffer>
  /** Of the DTLS certificate, as `fingerprints()` gives them. */
  readonly fingerprints: string
  /** Whether this end takes frames from the relay. */
  readonly relay: boolean
  /** Whether this end asks for proof of a shared secret. */
  readonly secret: boolean
}

export const HELLO_VERSION = 1
/** Longest text of a hello, in UTF-16 units: with the fingerprints of a dozen certificates. */
export const MAX_HELLO_LENGTH = 2_048
/** An uncompressed point on P-256 (SEC 1 §2.3.3). */
const KEY_SIZE = 65

export function formatHello({ key, ...hello }: Hello): string {
  return JSON.stringify({ ...hello, ...(key && { key: encodeBase64Url(key) }) })
}

/** `undefined`: it is none, or of another version. */
export function parseHello(text: string): Hello | undefined {
  if (text.length > MAX_HELLO_LENGTH) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { version, key: encodedKey, fingerprints, relay, secret } = value as Record<string, unknown>
  if (version !== HELLO_VERSION || typeof fingerprints !== 'string' || fingerprints === '') return undefined
  if (typeof relay !== 'boolean' || typeof secret !== 'boolean') return undefined
  if (encodedKey === undefined) return relay || secret ? undefined : { version, fingerprints, relay, secret }
  const key = typeof encodedKey === 'string' ? decodeBase64Url(encodedKey) : undefined
  return key?.length === KEY_SIZE ? { version, key, fingerprints, relay, secret } : undefined
}
