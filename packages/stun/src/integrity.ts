import { Hmac, md5, sha256 } from '#crypto'
import { StunError } from './error.ts'
import { encodeUtf8, opaqueString } from './text.ts'
import { readUint16, readUint32, writeUint32 } from './values.ts'

/** A credential's key with its precomputed HMAC states: make it once and keep it as long as the credential. */
export interface IntegrityKey {
  /** Which mechanism of RFC 8489 §9 the key belongs to. */
  readonly mechanism: 'short-term' | 'long-term'
  readonly sha1: Hmac
  readonly sha256: Hmac
}

/** A message and where its signatures are. */
export interface SignedMessage {
  /** The whole message, borrowed; byte-valued attributes are views into it. */
  readonly bytes: Uint8Array
  /** Where MESSAGE-INTEGRITY starts in `bytes`; 0 when there is none. */
  readonly integrityOffset: number
  /** Where MESSAGE-INTEGRITY-SHA256 starts in `bytes`; 0 when there is none. */
  readonly sha256Offset: number
}

/** The key of a short-term credential (RFC 8489 §9.1.1), such as an ICE password. */
export function shortTermKey(password: string): IntegrityKey {
  requireText('password', password)
  return new Key('short-term', password)
}

/** The key of a long-term credential (RFC 8489 §9.2.2), such as a TURN user's. */
export function longTermKey(
  username: string,
  realm: string,
  password: string,
  algorithm: 'md5' | 'sha256' = 'md5',
): IntegrityKey {
  requireText('username', username)
  requireText('realm', realm)
  requireText('password', password)
  const joined = encodeUtf8([username, realm, password].map(opaqueString).join(':'))
  return new Key('long-term', algorithm === 'md5' ? md5(joined) : sha256(joined))
}

/** The USERHASH that hides a user name (RFC 8489 §14.4). */
export function userhash(username: string, realm: string): Uint8Array {
  requireText('username', username)
  requireText('realm', realm)
  return sha256(encodeUtf8(`${opaqueString(username)}:${opaqueString(realm)}`))
}

/**
 * Does whoever sent this message know the key? Checks MESSAGE-INTEGRITY-SHA256 when the message has it,
 * MESSAGE-INTEGRITY otherwise; `false` when it has neither. Takes the same time wherever the first wrong bit is.
 */
export function verifyIntegrity(message: SignedMessage, key: IntegrityKey): boolean {
  const { bytes, integrityOffset, sha256Offset } = message
  if (sha256Offset !== 0) return verify(bytes, sha256Offset, key.sha256)
  return integrityOffset !== 0 && verify(bytes, integrityOffset, key.sha1)
}

/** Length of a MESSAGE-INTEGRITY value in bytes: that of HMAC-SHA1. */
export const SHA1_LENGTH = 20
/** Length of the MESSAGE-INTEGRITY-SHA256 values that we send. */
export const SHA256_LENGTH = 32

export function isIntegrityLength(length: number): boolean {
  return length === SHA1_LENGTH
}

/** RFC 8489 §14.6: the sender may cut it. */
export function isSha256IntegrityLength(length: number): boolean {
  return length >= 16 && length <= SHA256_LENGTH && length % 4 === 0
}

/** Puts the code over all bytes before `offset` into the integrity attribute that starts there. */
export function writeIntegrity(bytes: Uint8Array, offset: number, length: number, hmac: Hmac): void {
  const code = hmac.sign(bytes, offset, firstWord(bytes, offset, length))
  for (let i = 0; i < length / 4; i++) writeUint32(bytes, offset + ATTRIBUTE_HEADER + 4 * i, code[i]!)
}

const ATTRIBUTE_HEADER = 4
const MESSAGE_HEADER = 20

class Key implements IntegrityKey {
  readonly mechanism: 'short-term' | 'long-term'
  readonly sha1: Hmac
  /** A password, or the key itself. */
  readonly #secret: string | Uint8Array
  #sha256: Hmac | undefined

  constructor(mechanism: 'short-term' | 'long-term', secret: string | Uint8Array) {
    this.mechanism = mechanism
    this.#secret = secret
    this.sha1 = new Hmac('sha1', bytesOf(secret))
  }

  /** Rarely needed beside SHA-1, so made when first asked for. */
  get sha256(): Hmac {
    return (this.#sha256 ??= new Hmac('sha256', bytesOf(this.#secret)))
  }
}

function bytesOf(secret: string | Uint8Array): Uint8Array {
  return typeof secret === 'string' ? encodeUtf8(opaqueString(secret)) : secret
}

function verify(bytes: Uint8Array, offset: number, hmac: Hmac): boolean {
  const length = readUint16(bytes, offset + 2)
  const code = hmac.sign(bytes, offset, firstWord(bytes, offset, length))
  let difference = 0
  for (let i = 0; i < length / 4; i++) {
    difference |= code[i]! ^ readUint32(bytes, offset + ATTRIBUTE_HEADER + 4 * i)
  }
  return difference === 0
}

/** Message type, and the length the message would have if the integrity attribute were its last (RFC 8489 §14.5). */
function firstWord(bytes: Uint8Array, offset: number, length: number): number {
  return readUint16(bytes, 0) * 0x10000 + offset + ATTRIBUTE_HEADER + length - MESSAGE_HEADER
}

function requireText(what: string, value: unknown): void {
  if (typeof value !== 'string') throw new StunError('ERR_STUN_ARGUMENT', `${what} must be a string`)
}
