/** The bytes of RFC 6887. */
import { bytesToIp, ipToBytes } from '@floe/stun'

export const PCP_VERSION = 2
/** Opcodes, RFC 6887 §19.2. */
export const ANNOUNCE = 0
export const MAP = 1
/** IANA protocol number of UDP. */
export const UDP = 17
/** Length of a mapping nonce in bytes, RFC 6887 §11.1. */
export const NONCE_LENGTH = 12

/** The MAP opcode's data, in requests and responses (RFC 6887 §11.1). */
export interface PcpMap {
  /** 12 bytes. */
  readonly nonce: Uint8Array
  /** IANA protocol number; 17 is UDP. */
  readonly protocol: number
  readonly internalPort: number
  /** Suggested or assigned; 0 in a request: no preference. */
  readonly externalPort: number
  readonly externalIp: string
}

export interface PcpMapRequest {
  readonly clientIp: string
  /** Seconds; 0 deletes. */
  readonly lifetime: number
  readonly map: PcpMap
}

export interface PcpResponse {
  readonly opcode: number
  /** A key of `PCP_RESULTS`, 0 for success. */
  readonly result: number
  /** Seconds; of an error, how long it is expected to last. */
  readonly lifetime: number
  /** Seconds since the server lost its state (RFC 6887 §8.5). */
  readonly epoch: number
  /** Of a MAP response. */
  readonly map?: PcpMap
}

/** RFC 6887 §7.4, in words. */
export const PCP_RESULTS: Readonly<Record<number, string>> = {
  0: 'success',
  1: 'the router speaks another version (UNSUPP_VERSION)',
  2: 'the router does not allow this host to make mappings (NOT_AUTHORIZED)',
  3: 'the router could not read the request (MALFORMED_REQUEST)',
  4: 'the router does not know this kind of request (UNSUPP_OPCODE)',
  5: 'the router does not know an option (UNSUPP_OPTION)',
  6: 'the router could not read an option (MALFORMED_OPTION)',
  7: 'the router has no network itself at the moment (NETWORK_FAILURE)',
  8: 'the router has no room for another mapping (NO_RESOURCES)',
  9: 'the router does not map UDP (UNSUPP_PROTOCOL)',
  10: 'this host has as many mappings as it may have (USER_EX_QUOTA)',
  11: 'the router cannot give that external address or port (CANNOT_PROVIDE_EXTERNAL)',
  12: 'there is another NAT between this host and the router (ADDRESS_MISMATCH)',
  13: 'too many remote peers (EXCESSIVE_REMOTE_PEERS)',
}

/** RFC 6887 §7.1 and §11.1: 60 bytes. */
export function encodeMapRequest({ clientIp, lifetime, map }: PcpMapRequest): Uint8Array {
  const bytes = new Uint8Array(60)
  const view = new DataView(bytes.buffer)
  bytes[0] = PCP_VERSION
  bytes[1] = MAP
  view.setUint32(4, lifetime)
  bytes.set(wideBytes(clientIp), 8)
  bytes.set(map.nonce, 24)
  bytes[36] = map.protocol
  view.setUint16(40, map.internalPort)
  view.setUint16(42, map.externalPort)
  bytes.set(wideBytes(map.externalIp), 44)
  return bytes
}

/** `undefined`: not a response of PCP version 2 (RFC 6887 §8.3). The nonce is a copy. */
export function decodePcpResponse(bytes: Uint8Array): PcpResponse | undefined {
  const { length } = bytes
  if (length < 24 || length > MAX_LENGTH || length % 4 !== 0) return undefined
  if (bytes[0] !== PCP_VERSION || bytes[1]! < RESPONSE) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const response = {
    opcode: bytes[1]! - RESPONSE,
    result: bytes[3]!,
    lifetime: view.getUint32(4),
    epoch: view.getUint32(8),
  }
  if (response.opcode !== MAP) return response
  if (length < 60) return undefined
  const map = {
    nonce: new Uint8Array(bytes.subarray(24, 36)),
    protocol: bytes[36]!,
    internalPort: view.getUint16(40),
    externalPort: view.getUint16(42),
    externalIp: narrowIp(bytes, 44),
  }
  return { ...response, map }
}

/**
 * The version in which somebody refuses our version: 0 is a NAT-PMP router (RFC 6887 §9, RFC 6886 §3.5), 1 a draft of
 * PCP. `undefined`: the packet is something else.
 */
export function refusedVersion(bytes: Uint8Array): number | undefined {
  const [version, opcode, high, low] = bytes
  if (bytes.length < 4 || version === PCP_VERSION || opcode! < RESPONSE) return undefined
  // NAT-PMP has a result code of 16 bits; PCP one of 8, behind a reserved byte. UNSUPP_VERSION is 1 in both.
  return low === 1 && (version !== 0 || high === 0) ? version : undefined
}

/** RFC 6887 §7: PCP messages are at most this long, in bytes. */
const MAX_LENGTH = 1100
/** The R bit, RFC 6887 §7.2. */
const RESPONSE = 0x80

/** RFC 6887 §5: all addresses are IPv6, IPv4 ones as ::ffff:a.b.c.d. */
function wideBytes(ip: string): Uint8Array {
  const bytes = ipToBytes(ip)!
  if (bytes.length === 16) return bytes
  const wide = new Uint8Array(16)
  wide.set([0xff, 0xff, ...bytes], 10)
  return wide
}

function narrowIp(bytes: Uint8Array, offset: number): string {
  const wide = bytes.subarray(offset, offset + 16)
  const isIPv4 = wide[10] === 0xff && wide[11] === 0xff && wide.subarray(0, 10).every((byte) => byte === 0)
  return isIPv4 ? bytesToIp(bytes, offset + 12, 4) : bytesToIp(bytes, offset, 16)
}
