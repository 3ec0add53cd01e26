import { crc32 } from '#crypto'
import {
  type Attributes,
  attributeName,
  FINGERPRINT,
  MESSAGE_INTEGRITY,
  MESSAGE_INTEGRITY_SHA256,
  type Row,
  rowOfName,
} from './attributes.ts'
import { StunError } from './error.ts'
import { type IntegrityKey, SHA1_LENGTH, SHA256_LENGTH, writeIntegrity } from './integrity.ts'
import { FINGERPRINT_XOR, HEADER_LENGTH, ID_LENGTH, MAGIC_COOKIE, type Message, TYPES } from './message.ts'
import { MAX_VALUE, padded, REFUSED, writeUint16, writeUint32 } from './values.ts'

export interface EncodeOptions {
  /** Signs the message. */
  readonly key?: IntegrityKey | undefined
  /** Which MESSAGE-INTEGRITY the key makes; `sha1` unless told. */
  readonly integrity?: 'sha1' | 'sha256' | 'both' | undefined
  /** Ends the message with FINGERPRINT; `true` unless told. */
  readonly fingerprint?: boolean | undefined
}

/**
 * Writes a message into a fresh buffer, attributes in the order of their keys.
 * Throws `StunError` when a value doesn't fit its attribute or the whole doesn't fit 64 KiB.
 */
export function encode(message: Message, options?: EncodeOptions): Uint8Array {
  let end = writeHeader(message)
  const { attributes } = message
  for (const name in attributes) end = writeNamed(name, attributes[name as keyof Attributes], end)
  const key = options?.key
  if (key !== undefined) {
    const integrity = options?.integrity ?? 'sha1'
    if (integrity !== 'sha256') end = appendIntegrity(MESSAGE_INTEGRITY, SHA1_LENGTH, key.sha1, end)
    if (integrity !== 'sha1') end = appendIntegrity(MESSAGE_INTEGRITY_SHA256, SHA256_LENGTH, key.sha256, end)
  }
  if (options?.fingerprint !== false) end = appendFingerprint(end)
  writeUint16(scratch, 2, end - HEADER_LENGTH)
  return keep(scratch.subarray(0, end))
}

/** The length field has 16 bits and is a multiple of four. */
const MAX_LENGTH = HEADER_LENGTH + 0xfffc
/** One message is built at a time, so one scratch serves all; a codec may write a whole value before it is refused. */
const scratch = new Uint8Array(MAX_LENGTH + MAX_VALUE + 8)

/** A small buffer of its own costs an allocation outside the JavaScript heap; a slab makes that one for a hundred. */
const SLAB = 8192
let slab = new ArrayBuffer(SLAB)
let slabUsed = 0

function keep(built: Uint8Array): Uint8Array {
  if (slabUsed + built.length > SLAB) {
    slab = new ArrayBuffer(Math.max(SLAB, built.length))
    slabUsed = 0
  }
  const kept = new Uint8Array(slab, slabUsed, built.length)
  slabUsed += built.length
  kept.set(built)
  return kept
}

function writeHeader({ method, class: kind, transactionId }: Message): number {
  const type = TYPES[method]?.[kind]
  if (type === undefined) throw new StunError('ERR_STUN_ARGUMENT', `there is no ${method} ${kind}`)
  if (transactionId.length !== ID_LENGTH) throw badTransactionId()
  writeUint16(scratch, 0, type)
  writeUint32(scratch, 4, MAGIC_COOKIE)
  for (let i = 0; i < ID_LENGTH; i++) {
    const code = transactionId.charCodeAt(i)
    if (code > 0xff) throw badTransactionId()
    scratch[8 + i] = code
  }
  return HEADER_LENGTH
}

function badTransactionId(): StunError {
  return new StunError(
    'ERR_STUN_ARGUMENT',
    'a transaction id has 12 latin-1 characters; take one from newTransactionId',
  )
}

function writeNamed(name: string, value: unknown, end: number): number {
  const row = rowOfName(name)
  if (row === undefined) throw new StunError('ERR_STUN_ATTRIBUTE', `there is no attribute '${name}'`)
  if (value === undefined) return end
  if (!row.repeated) return writeAttribute(row, value, end)
  let at = end
  for (const item of value as readonly unknown[]) at = writeAttribute(row, item, at)
  return at
}

function writeAttribute(row: Row, value: unknown, offset: number): number {
  const end = row.codec.encode(scratch, offset + 4, value)
  if (end === REFUSED) {
    throw new StunError('ERR_STUN_ATTRIBUTE', `the value of '${row.name}' does not fit ${attributeName(row.type)}`)
  }
  writeUint16(scratch, offset, row.type)
  writeUint16(scratch, offset + 2, end - offset - 4)
  const next = offset + padded(end - offset)
  for (let at = end; at < next; at++) scratch[at] = 0
  return checked(next)
}

function appendIntegrity(type: number, length: number, hmac: IntegrityKey['sha1'], offset: number): number {
  const end = checked(offset + 4 + length)
  writeUint16(scratch, offset, type)
  writeUint16(scratch, offset + 2, length)
  writeIntegrity(scratch, offset, length, hmac)
  return end
}

function appendFingerprint(offset: number): number {
  const end = checked(offset + 8)
  // FINGERPRINT covers the length field as it will be sent.
  writeUint16(scratch, 2, end - HEADER_LENGTH)
  writeUint16(scratch, offset, FINGERPRINT)
  writeUint16(scratch, offset + 2, 4)
  return writeUint32(scratch, offset + 4, crc32(scratch, offset) ^ FINGERPRINT_XOR)
}

function checked(end: number): number {
  if (end > MAX_LENGTH) throw new StunError('ERR_STUN_TOO_LONG', `a STUN message has at most ${MAX_LENGTH} bytes`)
  return end
}
