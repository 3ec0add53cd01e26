import { crc32 } from '#crypto'
import {
  FINGERPRINT,
  isComprehensionRequired,
  MESSAGE_INTEGRITY,
  MESSAGE_INTEGRITY_SHA256,
  type Row,
  rowOfType,
  TABLE,
} from './attributes.ts'
import { isIntegrityLength, isSha256IntegrityLength } from './integrity.ts'
import {
  type DecodedMessage,
  FINGERPRINT_XOR,
  HEADER_LENGTH,
  isStun,
  KINDS,
  MAGIC_COOKIE,
  transactionIdAt,
} from './message.ts'
import { padded, readUint16, readUint32 } from './values.ts'

/** Why `decode` refuses bytes. */
export type MalformedReason =
  /** Fewer bytes than a header. */
  | 'short-header'
  /** The first two bits are not zero: some other protocol. */
  | 'not-stun'
  /** No magic cookie: RFC 3489, or chance. */
  | 'wrong-cookie'
  /** The length field is no multiple of four, or not the length of the bytes. */
  | 'length-mismatch'
  /** A method, or a class of it, that is not ours. */
  | 'unknown-method'
  /** An attribute reaches beyond the message. */
  | 'attribute-overrun'
  /** A comprehension-required attribute's value breaks its format. */
  | 'bad-attribute'
  /** FINGERPRINT is wrong, or not the last attribute. */
  | 'bad-fingerprint'

/** Reads a message; `undefined` when it must be dropped, and then `diagnose` says why. Never throws. */
export function decode(bytes: Uint8Array): DecodedMessage | undefined {
  const result = parse(bytes)
  return typeof result === 'string' ? undefined : result
}

/** Why `decode` refuses `bytes`; `undefined` when it doesn't. */
export function diagnose(bytes: Uint8Array): MalformedReason | undefined {
  const result = parse(bytes)
  return typeof result === 'string' ? result : undefined
}

/** A message in the making. */
type Draft = { -readonly [K in keyof DecodedMessage]: DecodedMessage[K] }

function parse(bytes: Uint8Array): DecodedMessage | MalformedReason {
  if (!isStun(bytes)) return whyNotStun(bytes)
  const kind = KINDS[readUint16(bytes, 0)]
  if (kind === undefined) return 'unknown-method'
  const draft: Draft = {
    method: kind.method,
    class: kind.class,
    transactionId: transactionIdAt(bytes, 8),
    attributes: {},
    unknownRequired: NONE,
    bytes,
    integrityOffset: 0,
    sha256Offset: 0,
  }
  parses++
  for (let at = HEADER_LENGTH, next: number; at < bytes.length; at = next) {
    const length = readUint16(bytes, at + 2)
    next = at + 4 + padded(length)
    if (next > bytes.length) return 'attribute-overrun'
    const reason = readAttribute(draft, readUint16(bytes, at), at, length)
    if (reason !== undefined) return reason
  }
  return draft
}

function whyNotStun(bytes: Uint8Array): MalformedReason {
  if (bytes.length < HEADER_LENGTH) return 'short-header'
  if ((bytes[0]! & 0xc0) !== 0) return 'not-stun'
  return readUint32(bytes, 4) === MAGIC_COOKIE ? 'length-mismatch' : 'wrong-cookie'
}

function readAttribute(draft: Draft, type: number, at: number, length: number): MalformedReason | undefined {
  if (type === FINGERPRINT) return fingerprintHolds(draft.bytes, at, length) ? undefined : 'bad-fingerprint'
  if (draft.sha256Offset !== 0) return undefined
  if (type === MESSAGE_INTEGRITY_SHA256) {
    draft.sha256Offset = at
    return isSha256IntegrityLength(length) ? undefined : 'bad-attribute'
  }
  // RFC 8489 §14.5: what follows the integrity is not covered by it, so it is not there.
  if (draft.integrityOffset !== 0) return undefined
  if (type === MESSAGE_INTEGRITY) {
    draft.integrityOffset = at
    return isIntegrityLength(length) ? undefined : 'bad-attribute'
  }
  const row = rowOfType(type)
  if (row !== undefined) return readValue(draft, row, at + 4, length)
  if (isComprehensionRequired(type)) {
    if (draft.unknownRequired === NONE) draft.unknownRequired = [type]
    else (draft.unknownRequired as number[]).push(type)
  }
  return undefined
}

function readValue(draft: Draft, row: Row, offset: number, length: number): MalformedReason | undefined {
  const again = lastParse[row.index] === parses
  // RFC 8489 §14: of duplicates the first one counts.
  if (again && !row.repeated) return undefined
  const value = row.codec.decode(draft.bytes, offset, length)
  // What need not be understood and can't be is skipped, like what is unknown.
  if (value === undefined) return isComprehensionRequired(row.type) ? 'bad-attribute' : undefined
  lastParse[row.index] = parses
  const attributes = draft.attributes as Record<string, unknown>
  if (!row.repeated) store(attributes, row.name, value)
  else if (again) (attributes[row.name] as unknown[]).push(value)
  else attributes[row.name] = [value]
  return undefined
}

/** `attributes[name] = value`; for what checks are made of with names that the engine can see, which is five times as fast. */
function store(attributes: Record<string, unknown>, name: string, value: unknown): void {
  if (name === 'username') attributes.username = value
  else if (name === 'priority') attributes.priority = value
  else if (name === 'iceControlling') attributes.iceControlling = value
  else if (name === 'iceControlled') attributes.iceControlled = value
  else if (name === 'useCandidate') attributes.useCandidate = value
  else if (name === 'xorMappedAddress') attributes.xorMappedAddress = value
  else attributes[name] = value
}

const NONE: readonly number[] = Object.freeze([])
/** In which parse a row's attribute was last seen: a cheaper question than whether the object has the key. */
const lastParse = new Float64Array(TABLE.length)
let parses = 0

/** RFC 8489 §14.7: it is the last attribute, and covers all before it. */
function fingerprintHolds(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length !== 4 || offset + 8 !== bytes.length) return false
  return readUint32(bytes, offset + 4) === (crc32(bytes, offset) ^ FINGERPRINT_XOR) >>> 0
}
