import type { Attributes } from './attributes.ts'
import { StunError } from './error.ts'
import type { SignedMessage } from './integrity.ts'
import { readUint16, readUint32 } from './values.ts'

/** 96 bits as twelve latin-1 characters: opaque, and made to be a Map key. */
export type TransactionId = string
export type MessageClass = 'request' | 'indication' | 'success' | 'error'
export type Method = 'binding' | 'allocate' | 'refresh' | 'send' | 'data' | 'createPermission' | 'channelBind'

export interface Message {
  readonly method: Method
  readonly class: MessageClass
  readonly transactionId: TransactionId
  readonly attributes: Attributes
}

/** A message off the wire. Nothing in it is authenticated before `verifyIntegrity` says so. */
export interface DecodedMessage extends Message, SignedMessage {
  /** Types of the comprehension-required attributes that are not in the table, in order (RFC 8489 §6.3). */
  readonly unknownRequired: readonly number[]
}

/** Might these bytes be STUN? The cheap part of RFC 8489 §6.3, to tell it from what shares the port (RFC 7983). */
export function isStun(bytes: Uint8Array): boolean {
  const { length } = bytes
  return (
    length >= HEADER_LENGTH &&
    (bytes[0]! & 0xc0) === 0 &&
    readUint32(bytes, 4) === MAGIC_COOKIE &&
    (length & 3) === 0 &&
    readUint16(bytes, 2) === length - HEADER_LENGTH
  )
}

/** A fresh id. `random` must be unpredictable: the id is what an off-path attacker has to guess (RFC 8489 §5). */
export function newTransactionId(random: (length: number) => Uint8Array): TransactionId {
  const bytes = random(ID_LENGTH)
  const { length } = bytes
  if (length !== ID_LENGTH) {
    throw new StunError('ERR_STUN_ARGUMENT', `random(${ID_LENGTH}) must give ${ID_LENGTH} bytes, and gave ${length}`)
  }
  return transactionIdAt(bytes, 0)
}

/** The twelve bytes at `at` as an id: of a message that `isStun` has seen, RFC 8489 §5, they are those at 8. */
// biome-ignore format: a spread would make an iterator and an array per message
export function transactionIdAt(bytes: Uint8Array, at: number): TransactionId {
  return String.fromCharCode(
    bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!, bytes[at + 4]!, bytes[at + 5]!,
    bytes[at + 6]!, bytes[at + 7]!, bytes[at + 8]!, bytes[at + 9]!, bytes[at + 10]!, bytes[at + 11]!,
  )
}

/** A transaction id in hexadecimal, for logs. */
export function formatTransactionId(id: TransactionId): string {
  return Array.from(id, (char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join('')
}

/** RFC 8489 §5. */
export const HEADER_LENGTH = 20
export const MAGIC_COOKIE = 0x2112a442
export const ID_LENGTH = 12
/** XORed into FINGERPRINT (RFC 8489 §14.7), so that it differs from a CRC that another protocol has there. */
export const FINGERPRINT_XOR = 0x5354554e

/** Methods by number (RFC 8489 §18.2, RFC 8656 §17), with the classes that each one has. */
const METHODS: readonly [Method, number, readonly MessageClass[]][] = [
  ['binding', 0x001, ['request', 'indication', 'success', 'error']],
  ['allocate', 0x003, ['request', 'success', 'error']],
  ['refresh', 0x004, ['request', 'success', 'error']],
  ['send', 0x006, ['indication']],
  ['data', 0x007, ['indication']],
  ['createPermission', 0x008, ['request', 'success', 'error']],
  ['channelBind', 0x009, ['request', 'success', 'error']],
]
/** RFC 8489 §5: the two class bits lie above the method's lowest four, and all our methods have no more than those. */
const CLASS_BITS = { request: 0x000, indication: 0x010, success: 0x100, error: 0x110 }

/** What a message type on the wire means; a hole is a method, or a class of it, that is not ours. */
export const KINDS: ({ readonly method: Method; readonly class: MessageClass } | undefined)[] = new Array(0x120)
/** The message type on the wire, by method and class. */
export const TYPES: Partial<Record<string, Partial<Record<MessageClass, number>>>> = Object.create(null)

for (const [method, bits, classes] of METHODS) {
  TYPES[method] = Object.fromEntries(classes.map((kind) => [kind, bits | CLASS_BITS[kind]]))
  for (const kind of classes) KINDS[bits | CLASS_BITS[kind]] = { method, class: kind }
}
