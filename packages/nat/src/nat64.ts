/** IPv4 addresses inside IPv6 ones: RFC 6052's format, and RFC 7050's way to find out where. */
import { bytesToIp, ipToBytes } from '@floe/stun'
import { NatError } from './error.ts'
import { addressScope } from './scope.ts'

/** A Pref64::/n of RFC 6052 §2.2. */
export interface Nat64Prefix {
  /** Canonical, with zeros behind the prefix. */
  readonly ip: string
  readonly length: PrefixLength
}

/** The prefix lengths there are, RFC 6052 §2.2. */
export type PrefixLength = 32 | 40 | 48 | 56 | 64 | 96

/** 64:ff9b::/96, RFC 6052 §2.1. */
export const WELL_KNOWN_PREFIX: Nat64Prefix = { ip: '64:ff9b::', length: 96 }

/** Reads `2001:db8::/32`. `undefined`: no prefix that a translator can have. */
export function parsePrefix(text: string): Nat64Prefix | undefined {
  const [ip = '', size = '', ...rest] = text.split('/')
  const bytes = ip.includes(':') && !ip.includes('%') ? ipToBytes(ip) : undefined
  const length = LENGTHS.find((each) => String(each) === size)
  if (bytes === undefined || length === undefined || rest.length > 0) return undefined
  const beyond = bytes.subarray(length / 8)
  // RFC 6052 §2.2: bits 64 to 71 are zero, in a prefix of 96 bits as well.
  return beyond.some((byte) => byte !== 0) || bytes[8] !== 0 ? undefined : prefixOf(bytes, length)
}

/**
 * The IPv6 address at which the translator forwards to this IPv4 address. `undefined`: the well-known prefix is for
 * global addresses only (RFC 6052 §3.1). Throws ERR_NAT_ARGUMENT for what is no IPv4 address.
 */
export function synthesize({ ip, length }: Nat64Prefix, ipv4: string): string | undefined {
  const inner = ipToBytes(ipv4)
  if (inner?.length !== 4) throw new NatError('ERR_NAT_ARGUMENT', `not an IPv4 address: ${ipv4}`)
  if (ip === WELL_KNOWN_PREFIX.ip && addressScope(ipv4) !== 'global') return undefined
  const bytes = ipToBytes(ip)!
  for (const [index, position] of POSITIONS[length].entries()) bytes[position] = inner[index]!
  return bytesToIp(bytes, 0, 16)
}

/** The IPv4 address behind an IPv6 one. `undefined`: that is outside the prefix, or not of RFC 6052's form. */
export function extract({ ip, length }: Nat64Prefix, ipv6: string): string | undefined {
  const bytes = ipToBytes(ipv6)
  const prefix = ipToBytes(ip)!
  if (bytes?.length !== 16 || bytes[8] !== 0) return undefined
  for (let index = 0; index < length / 8; index++) if (bytes[index] !== prefix[index]) return undefined
  return bytesToIp(innerBytes(bytes, length), 0, 4)
}

/**
 * The prefixes of the network's translators, from the AAAA records that its DNS64 makes of `ipv4only.arpa` (RFC 7050
 * §3). None: there is no DNS64. What is no IPv6 address is skipped.
 */
export function findPrefixes(answers: readonly string[]): Nat64Prefix[] {
  const found = answers.slice(0, MAX_ANSWERS).map((answer) => {
    const bytes = answer.includes(':') ? ipToBytes(answer) : undefined
    return bytes === undefined ? [] : sightings(bytes)
  })
  const prefixes = new Map<string, Nat64Prefix>()
  for (const [index, inAnswer] of found.entries()) {
    for (const { prefix, address } of inAnswer) {
      // Where an address is seen at several places, the one of its twin in another answer tells which is meant.
      const twin = found.some((other, at) => at !== index && other.some((each) => isTwin(each, prefix, address)))
      if (inAnswer.length === 1 || twin) prefixes.set(`${prefix.ip}/${prefix.length}`, prefix)
    }
  }
  return [...prefixes.values()]
}

/** The only name with IPv4 addresses alone, RFC 7050 §8.2. */
export const IPV4_ONLY_NAME = 'ipv4only.arpa'
/** Its addresses, RFC 7050 §8.2. */
const WELL_KNOWN_ADDRESSES: readonly string[] = ['192.0.0.170', '192.0.0.171']
/** Two for each prefix, and nobody has more than a few. */
const MAX_ANSWERS = 16

const LENGTHS: readonly PrefixLength[] = [96, 64, 56, 48, 40, 32]

/** Where the four bytes are, RFC 6052 §2.2: behind the prefix, leaving out byte 8, "u". */
const POSITIONS: Readonly<Record<PrefixLength, readonly number[]>> = {
  32: [4, 5, 6, 7],
  40: [5, 6, 7, 9],
  48: [6, 7, 9, 10],
  56: [7, 9, 10, 11],
  64: [9, 10, 11, 12],
  96: [12, 13, 14, 15],
}

interface Sighting {
  readonly prefix: Nat64Prefix
  /** Which of the well-known addresses. */
  readonly address: string
}

/** Each place at which a well-known address stands. */
function sightings(bytes: Uint8Array): Sighting[] {
  if (bytes[8] !== 0) return []
  return LENGTHS.flatMap((length) => {
    const address = bytesToIp(innerBytes(bytes, length), 0, 4)
    return WELL_KNOWN_ADDRESSES.includes(address) ? [{ prefix: prefixOf(bytes, length), address }] : []
  })
}

function isTwin(other: Sighting, prefix: Nat64Prefix, address: string): boolean {
  return other.address !== address && other.prefix.length === prefix.length && other.prefix.ip === prefix.ip
}

function innerBytes(bytes: Uint8Array, length: PrefixLength): Uint8Array {
  return Uint8Array.from(POSITIONS[length], (position) => bytes[position]!)
}

function prefixOf(bytes: Uint8Array, length: PrefixLength): Nat64Prefix {
  const prefix = new Uint8Array(16)
  prefix.set(bytes.subarray(0, length / 8))
  return { ip: bytesToIp(prefix, 0, 16), length }
}
