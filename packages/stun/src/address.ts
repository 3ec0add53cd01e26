import type { Address } from './machine.ts'

/** Same IP and port. IPs are compared as text: pass canonical ones, as the codec, `parseAddress` and Node give them. */
export function sameAddress(a: Address, b: Address): boolean {
  return a === b || (a.port === b.port && a.ip === b.ip)
}

/** 4, 6, or `undefined` when `ip` is no IP address. A scope id is allowed. */
export function addressFamily(ip: string): 4 | 6 | undefined {
  if (isIPv4(ip)) return 4
  return isIPv6(ip) ? 6 : undefined
}

/** Dotted quad of decimal numbers, without leading zeros. */
export function isIPv4(ip: string): boolean {
  return parseIPv4(ip) !== undefined
}

/** RFC 4291 §2.2 text, with or without a scope id (RFC 4007 §11). */
export function isIPv6(ip: string): boolean {
  return ip.includes(':') && parseIPv6(stripScope(ip))
}

/** RFC 5952 text of an IP address: the one form in which floe compares addresses. `undefined` when it is none. */
export function canonicalIp(ip: string): string | undefined {
  const bytes = ipToBytes(ip)
  if (bytes === undefined) return undefined
  const scope = ip.indexOf('%')
  return scope < 0 ? bytesToIp(bytes, 0, bytes.length) : bytesToIp(bytes, 0, 16) + ip.slice(scope)
}

/** The IP address alone. A scope id (RFC 4007 §11) means nothing to another host. */
export function withoutScope(ip: string): string {
  const scope = ip.indexOf('%')
  return scope < 0 ? ip : ip.slice(0, scope)
}

/** Whose address it is, for limits per source: IPv4 as it is, IPv6 as its /64, which is what one subscriber has. */
export function networkOf(ip: string): string {
  const bytes = ipToBytes(ip)
  if (bytes?.length !== 16) return ip
  const groups = [0, 2, 4, 6].map((at) => ((bytes[at]! << 8) | bytes[at + 1]!).toString(16))
  return `${groups.join(':')}::/64`
}

/** Four or sixteen bytes, or `undefined` when `ip` is no IP address. A scope id is not part of the bytes. */
export function ipToBytes(ip: string): Uint8Array | undefined {
  if (isIPv6(ip)) {
    const bytes = new Uint8Array(16)
    for (let i = 0; i < 8; i++) {
      bytes[2 * i] = WORDS[i]! >> 8
      bytes[2 * i + 1] = WORDS[i]!
    }
    return bytes
  }
  const value = parseIPv4(ip)
  if (value === undefined) return undefined
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}

/** RFC 5952 text of the 4 or 16 bytes at `offset`. */
export function bytesToIp(bytes: Uint8Array, offset: number, length: number): string {
  if (length === 4) return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`
  const words: number[] = []
  for (let i = 0; i < 16; i += 2) words.push((bytes[offset + i]! << 8) | bytes[offset + i + 1]!)
  return formatIPv6(words)
}

/** `192.0.2.1:3478` or `[2001:db8::1]:3478`. */
export function formatAddress(address: Address): string {
  return address.ip.includes(':') ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`
}

/** Reads what `formatAddress` writes, and makes the IP canonical. `undefined` for anything else. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, v6, v4] = match
  const port = Number(match[3])
  const ip = canonicalIp((v6 ?? v4)!)
  if (ip === undefined || port > 0xffff || ip.includes(':') !== (v6 !== undefined)) return undefined
  return { ip, port }
}

/** A dotted quad as an unsigned 32-bit number; `undefined` when it is none. No garbage: every response carries one. */
export function parseIPv4(ip: string): number | undefined {
  let value = 0
  let byte = 0
  let digits = 0
  let dots = 0
  for (let i = 0; i < ip.length; i++) {
    const digit = ip.charCodeAt(i) - 48
    if (digit === DOT && digits > 0 && dots < 3) {
      value = value * 256 + byte
      byte = digits = 0
      dots++
    } else if (digit >= 0 && digit <= 9 && !(digits === 1 && byte === 0)) {
      byte = byte * 10 + digit
      digits++
      if (byte > 255) return undefined
    } else {
      return undefined
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + byte : undefined
}

const DOT = 46 - 48

/** An empty scope id is a mistake: the % is left in, so that the address is refused. */
function stripScope(ip: string): string {
  return ip.endsWith('%') ? ip : withoutScope(ip)
}

/** What `parseIPv6` has read: eight words in network order. No garbage: every IPv6 address on a packet's way is read. */
const WORDS = new Uint16Array(8)
const COLON = 58
const QUAD_DOT = 46

/** Whether it is one. Its words are in `WORDS`. */
function parseIPv6(ip: string): boolean {
  if (ip.length > 45) return false
  let count = 0
  let gap = -1
  let i = 0
  if (ip.charCodeAt(0) === COLON) {
    if (ip.charCodeAt(1) !== COLON) return false
    gap = 0
    i = 2
  }
  while (i < ip.length) {
    const end = endOfGroup(ip, i)
    // RFC 4291 §2.2 form 3: the last 32 bits may be a dotted quad.
    if (ip.charCodeAt(end) === QUAD_DOT) return count <= 6 && parseQuad(ip.slice(i), count) && fill(count + 2, gap)
    if (end === i || count === 8) return false
    WORDS[count++] = parseGroup(ip, i, end)
    if (end === ip.length) break
    if (ip.charCodeAt(end) !== COLON) return false
    i = end + 1
    if (ip.charCodeAt(i) === COLON) {
      if (gap >= 0) return false
      gap = count
      i++
    } else if (i === ip.length) return false
  }
  return fill(count, gap)
}

/** Where up to four hexadecimal digits from `start` on end. */
function endOfGroup(ip: string, start: number): number {
  let end = start
  while (end < ip.length && end < start + 4 && hexDigit(ip.charCodeAt(end)) >= 0) end++
  return end
}

function parseGroup(ip: string, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) value = value * 16 + hexDigit(ip.charCodeAt(i))
  return value
}

/** -1: it is none. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

function parseQuad(text: string, at: number): boolean {
  const quad = parseIPv4(text)
  if (quad === undefined) return false
  WORDS[at] = quad >>> 16
  WORDS[at + 1] = quad & 0xffff
  return true
}

/** `::` stands for at least one word of zeros; without it there are eight. */
function fill(count: number, gap: number): boolean {
  if (gap < 0) return count === 8
  if (count > 7) return false
  WORDS.copyWithin(gap + 8 - count, gap, count)
  WORDS.fill(0, gap, gap + 8 - count)
  return true
}

/** RFC 5952 §4: the longest run of at least two zero words becomes `::`, the first one of equals. */
function formatIPv6(words: readonly number[]): string {
  let best = 0
  let length = 1
  for (let i = 0, run = 0; i < 8; i++) {
    run = words[i] === 0 ? run + 1 : 0
    if (run > length) {
      length = run
      best = i - run + 1
    }
  }
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(':')
  // RFC 5952 §5: IPv4-mapped addresses keep their dotted quad.
  if (best === 0 && length === 5 && words[5] === 0xffff) {
    return `::ffff:${words[6]! >> 8}.${words[6]! & 255}.${words[7]! >> 8}.${words[7]! & 255}`
  }
  if (length === 1) return hex(words)
  return `${hex(words.slice(0, best))}::${hex(words.slice(best + length))}`
}
