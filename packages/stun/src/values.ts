/** Wire formats of attribute values. A codec knows bytes and values, and nothing of types, names or order. */
import { bytesToIp, ipToBytes, parseIPv4 } from './address.ts'
import type { Address } from './machine.ts'
import { decodeUtf8, writeUtf8 } from './text.ts'

/** How one attribute value travels. */
export interface Codec<T> {
  /** `undefined`: malformed. `message` begins with the header; the value is within bounds. */
  decode(message: Uint8Array, offset: number, length: number): T | undefined
  /** Writes `value` at `offset`, with room for `MAX_VALUE` bytes, and returns the offset behind it; `REFUSED` when it doesn't fit the format. */
  encode(message: Uint8Array, offset: number, value: T): number
}

/** An attribute that may be there more than once; the value is the list. */
export interface RepeatedCodec<T> extends Codec<T> {
  readonly repeated: true
}

/** What `encode` returns for a value outside the format. */
export const REFUSED = -1
/** No value is longer: the rest of a message of the greatest length (RFC 8489 §5). */
export const MAX_VALUE = 0xfffc - 4

export function repeated<T>(codec: Codec<T>): RepeatedCodec<T> {
  return { ...codec, repeated: true }
}

export interface ErrorCode {
  /** 300 to 699. */
  readonly code: number
  readonly reason: string
}
/** RFC 8489 §18.5: 1 is MD5, 2 is SHA-256. */
export interface PasswordAlgorithm {
  readonly algorithm: number
  readonly parameters: Uint8Array
}
/** RFC 5780 §7.2. */
export interface ChangeRequest {
  readonly changeIp: boolean
  readonly changePort: boolean
}
/** GOOG-NETWORK-INFO of libwebrtc: which network the check uses, and what it costs (0 to 999). */
export interface NetworkInfo {
  readonly id: number
  readonly cost: number
}
/** RFC 8656 §18.13. */
export interface IcmpReport {
  readonly type: number
  readonly code: number
  readonly data: number
}
/** RFC 8656 §18.12. */
export interface AddressErrorCode extends ErrorCode {
  readonly family: 4 | 6
}

/** No value: being there is the value. */
export const flag: Codec<true> = {
  decode: (_, __, length) => (length === 0 ? true : undefined),
  encode: (_, offset, value) => (value === true ? offset : REFUSED),
}

export const uint32: Codec<number> = {
  decode: (bytes, at, length) => (length === 4 ? readUint32(bytes, at) : undefined),
  encode: (bytes, at, value) => (isUint(value, 0xffffffff) ? writeUint32(bytes, at, value) : REFUSED),
}

// One 64-bit scratch cell: `BigInt` arithmetic on two halves costs several allocations, a typed array one.
const wide = new BigUint64Array(1)
const halves = new Uint32Array(wide.buffer)
const LOW = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

export const uint64: Codec<bigint> = {
  decode: (bytes, at, length) => {
    if (length !== 8) return undefined
    halves[HIGH] = readUint32(bytes, at)
    halves[LOW] = readUint32(bytes, at + 4)
    return wide[0]!
  },
  encode: (bytes, at, value) => {
    if (typeof value !== 'bigint' || value < 0n || value > 0xffffffffffffffffn) return REFUSED
    wide[0] = value
    writeUint32(bytes, at, halves[HIGH]!)
    return writeUint32(bytes, at + 4, halves[LOW]!)
  },
}

/** A byte and three reserved ones: REQUESTED-TRANSPORT and friends. */
export const byteAndReserved: Codec<number> = {
  decode: (bytes, at, length) => (length === 4 ? bytes[at] : undefined),
  encode: (bytes, at, value) => (isUint(value, 0xff) ? writeUint32(bytes, at, value * 0x1000000) : REFUSED),
}

/** Two bytes and two reserved ones: CHANNEL-NUMBER, RESPONSE-PORT. */
export const shortAndReserved: Codec<number> = {
  decode: (bytes, at, length) => (length === 4 ? readUint16(bytes, at) : undefined),
  encode: (bytes, at, value) => (isUint(value, 0xffff) ? writeUint32(bytes, at, value * 0x10000) : REFUSED),
}

/** RFC 8656 §18.9: the top bit asks for the next higher port, too. */
export const evenPort: Codec<{ readonly reserveNext: boolean }> = {
  decode: (bytes, at, length) => (length === 1 ? { reserveNext: bytes[at]! >= 0x80 } : undefined),
  encode: (bytes, at, value) => {
    bytes[at] = value.reserveNext ? 0x80 : 0
    return at + 1
  },
}

/** RFC 8656 §14.4 address families 0x01 and 0x02, as 4 and 6. */
export const family: Codec<4 | 6> = {
  decode: (bytes, at, length) => (length === 4 ? familyOf(bytes[at]!) : undefined),
  encode: (bytes, at, value) =>
    value === 4 || value === 6 ? writeUint32(bytes, at, value === 4 ? 0x01000000 : 0x02000000) : REFUSED,
}

/** UTF-8 text; `limit` is the RFC's greatest length in bytes, which bounds what we send and not what we read. */
export function text(limit: number): Codec<string> {
  return {
    decode: decodeText,
    encode: (bytes, at, value) => {
      if (typeof value !== 'string' || value.length > limit) return REFUSED
      const end = writeUtf8(value, bytes, at)
      return end - at > limit ? REFUSED : end
    },
  }
}

/** Opaque bytes. Decoded values are views into the message and live as long as it. */
export function blob(fixedLength?: number): Codec<Uint8Array> {
  const fits = (length: number) => (fixedLength === undefined ? length <= MAX_VALUE : length === fixedLength)
  return {
    decode: (bytes, at, length) => (fits(length) ? viewOf(bytes, at, length) : undefined),
    encode: (bytes, at, value) => {
      if (!(value instanceof Uint8Array) || !fits(value.length)) return REFUSED
      bytes.set(value, at)
      return at + value.length
    },
  }
}

/** RFC 8489 §14.1. */
export const address: Codec<Address> = {
  decode: (bytes, at, length) => {
    const size = addressSize(bytes, at, length)
    return size === 0 ? undefined : { ip: bytesToIp(bytes, at + 4, size), port: readUint16(bytes, at + 2) }
  },
  encode: writeAddress,
}

const plain = new Uint8Array(16)

/** RFC 8489 §14.2: port and address are XORed with the magic cookie, an IPv6 address with the transaction id, too. */
export const xorAddress: Codec<Address> = {
  decode: (bytes, at, length) => {
    const size = addressSize(bytes, at, length)
    if (size === 0) return undefined
    for (let i = 0; i < size; i++) plain[i] = bytes[at + 4 + i]! ^ bytes[4 + i]!
    return { ip: bytesToIp(plain, 0, size), port: readUint16(bytes, at + 2) ^ readUint16(bytes, 4) }
  },
  encode: (bytes, at, value) => {
    const end = writeAddress(bytes, at, value)
    for (let i = at + 4; i < end; i++) bytes[i]! ^= bytes[i - at]!
    if (end !== REFUSED) writeUint16(bytes, at + 2, value.port ^ readUint16(bytes, 4))
    return end
  },
}

/** RFC 8489 §14.8. */
export const errorCode: Codec<ErrorCode> = {
  decode: (bytes, at, length) => {
    const code = length < 4 ? 0 : readErrorCode(bytes, at)
    return code === 0 ? undefined : { code, reason: decodeUtf8(bytes, at + 4, at + length) }
  },
  encode: (bytes, at, value) => writeErrorCode(bytes, at, 0, value),
}

/** RFC 8656 §18.12: an error code that says which family it is about. */
export const addressErrorCode: Codec<AddressErrorCode> = {
  decode: (bytes, at, length) => {
    const code = length < 4 ? 0 : readErrorCode(bytes, at)
    const about = familyOf(bytes[at]!)
    return code === 0 || about === undefined
      ? undefined
      : { family: about, code, reason: decodeUtf8(bytes, at + 4, at + length) }
  },
  encode: (bytes, at, value) => writeErrorCode(bytes, at, value.family === 4 ? 1 : 2, value),
}

/** RFC 8489 §14.9: a list of attribute types. */
export const types: Codec<readonly number[]> = {
  decode: (bytes, at, length) =>
    length % 2 === 0 ? Array.from({ length: length / 2 }, (_, i) => readUint16(bytes, at + 2 * i)) : undefined,
  encode: (bytes, at, value) => {
    if (!Array.isArray(value) || 2 * value.length > MAX_VALUE) return REFUSED
    for (const [i, type] of value.entries()) {
      if (!isUint(type, 0xffff)) return REFUSED
      writeUint16(bytes, at + 2 * i, type)
    }
    return at + 2 * value.length
  },
}

/** RFC 8489 §14.12. */
export const passwordAlgorithm: Codec<PasswordAlgorithm> = {
  decode: (bytes, at, length) => {
    const size = length < 4 ? -1 : readUint16(bytes, at + 2)
    if (size < 0 || 4 + padded(size) < length || 4 + size > length) return undefined
    return { algorithm: readUint16(bytes, at), parameters: viewOf(bytes, at + 4, size) }
  },
  encode: writePasswordAlgorithm,
}

/** RFC 8489 §14.11. */
export const passwordAlgorithms: Codec<readonly PasswordAlgorithm[]> = {
  decode: (bytes, start, length) => {
    const list: PasswordAlgorithm[] = []
    for (let at = start; at < start + length; ) {
      const room = start + length - at
      const size = room < 4 ? room : readUint16(bytes, at + 2)
      if (4 + size > room) return undefined
      list.push({ algorithm: readUint16(bytes, at), parameters: viewOf(bytes, at + 4, size) })
      at += 4 + padded(size)
    }
    return list
  },
  encode: (bytes, start, value) => {
    let at = start
    for (const entry of value) {
      if (at - start + 8 + entry.parameters.length > MAX_VALUE) return REFUSED
      const end = writePasswordAlgorithm(bytes, at, entry)
      if (end === REFUSED) return REFUSED
      at = start + padded(end - start)
      bytes.fill(0, end, at)
    }
    return at
  },
}

/** RFC 5780 §7.2. */
export const changeRequest: Codec<ChangeRequest> = {
  decode: (bytes, at, length) =>
    length === 4 ? { changeIp: (bytes[at + 3]! & 4) !== 0, changePort: (bytes[at + 3]! & 2) !== 0 } : undefined,
  encode: (bytes, at, value) => writeUint32(bytes, at, (value.changeIp ? 4 : 0) | (value.changePort ? 2 : 0)),
}

export const networkInfo: Codec<NetworkInfo> = {
  decode: (bytes, at, length) =>
    length === 4 ? { id: readUint16(bytes, at), cost: readUint16(bytes, at + 2) } : undefined,
  encode: (bytes, at, value) =>
    isUint(value.id, 0xffff) && isUint(value.cost, 0xffff)
      ? writeUint32(bytes, at, value.id * 0x10000 + value.cost)
      : REFUSED,
}

/** RFC 8656 §18.13. */
export const icmp: Codec<IcmpReport> = {
  decode: (bytes, at, length) =>
    length === 8
      ? { type: bytes[at + 2]! >> 1, code: readUint16(bytes, at + 2) & 0x1ff, data: readUint32(bytes, at + 4) }
      : undefined,
  encode: (bytes, at, value) => {
    if (!isUint(value.type, 0x7f) || !isUint(value.code, 0x1ff) || !isUint(value.data, 0xffffffff)) return REFUSED
    writeUint32(bytes, at, value.type * 0x200 + value.code)
    return writeUint32(bytes, at + 4, value.data)
  },
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

export function writeUint16(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
  return at + 2
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
  return at + 4
}

/** Attributes begin at multiples of four (RFC 8489 §14). */
export function padded(length: number): number {
  return (length + 3) & ~3
}

function isUint(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
}

function decodeText(bytes: Uint8Array, at: number, length: number): string {
  return decodeUtf8(bytes, at, at + length)
}

/** Always a plain Uint8Array: a view of a Node Buffer made with `subarray` would be a Buffer, and slower. */
function viewOf(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length)
}

function familyOf(byte: number): 4 | 6 | undefined {
  return byte === 1 ? 4 : byte === 2 ? 6 : undefined
}

/** 4, 16, or 0 when the family is unknown or the length is not the family's. */
function addressSize(bytes: Uint8Array, at: number, length: number): 0 | 4 | 16 {
  if (length === 8 && bytes[at + 1] === 1) return 4
  return length === 20 && bytes[at + 1] === 2 ? 16 : 0
}

function writeAddress(bytes: Uint8Array, at: number, value: Address): number {
  if (!isUint(value.port, 0xffff)) return REFUSED
  const v4 = parseIPv4(value.ip)
  if (v4 !== undefined) {
    writeUint32(bytes, at, 0x10000 + value.port)
    return writeUint32(bytes, at + 4, v4)
  }
  const v6 = ipToBytes(value.ip)
  if (v6 === undefined) return REFUSED
  writeUint32(bytes, at, 0x20000 + value.port)
  bytes.set(v6, at + 4)
  return at + 20
}

/** 0 when the class is not 3 to 6 or the number above 99. */
function readErrorCode(bytes: Uint8Array, at: number): number {
  const hundreds = bytes[at + 2]! & 7
  const number = bytes[at + 3]!
  return hundreds < 3 || hundreds > 6 || number > 99 ? 0 : hundreds * 100 + number
}

function writeErrorCode(bytes: Uint8Array, at: number, first: number, value: ErrorCode): number {
  if (!isUint(value.code, 699) || value.code < 300 || value.reason.length > MAX_REASON) return REFUSED
  writeUint32(bytes, at, first * 0x1000000 + Math.floor(value.code / 100) * 0x100 + (value.code % 100))
  const end = writeUtf8(value.reason, bytes, at + 4)
  return end - at - 4 > MAX_REASON ? REFUSED : end
}

function writePasswordAlgorithm(bytes: Uint8Array, at: number, value: PasswordAlgorithm): number {
  const size = value.parameters.length
  if (!isUint(value.algorithm, 0xffff) || size > MAX_VALUE - 4) return REFUSED
  writeUint32(bytes, at, value.algorithm * 0x10000 + size)
  bytes.set(value.parameters, at + 4)
  return at + 4 + size
}

/** RFC 8489 §14.8: fewer than 128 characters, which can be as long as 509 bytes when encoded as UTF-8. */
const MAX_REASON = 509
