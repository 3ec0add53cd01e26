/**
 * UTF-8 without TextDecoder: the core has neither Node's nor the browser's globals, and for the short ASCII
 * strings of STUN the call into native code would cost more than the loop.
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  let at = start
  // Eight characters per call make one string; one per call would make, and later flatten, a chain of eight.
  for (; at + 8 <= end; at += 8) {
    const [a, b, c, d] = [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!]
    const [e, f, g, h] = [bytes[at + 4]!, bytes[at + 5]!, bytes[at + 6]!, bytes[at + 7]!]
    if ((a | b | c | d | e | f | g | h) >= 0x80) return text + decodeMultibyte(bytes, at, end)
    text += String.fromCharCode(a, b, c, d, e, f, g, h)
  }
  for (; at < end; at++) {
    const byte = bytes[at]!
    if (byte >= 0x80) return text + decodeMultibyte(bytes, at, end)
    text += String.fromCharCode(byte)
  }
  return text
}

/** Writes `text` as UTF-8 at `offset` and returns the offset behind it. The caller has checked the room. */
export function writeUtf8(text: string, bytes: Uint8Array, offset: number): number {
  let at = offset
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) {
      bytes[at++] = unit
      continue
    }
    const code = text.codePointAt(i)!
    if (code > 0xffff) i++
    at = writeMultibyte(isSurrogate(code) ? REPLACEMENT : code, bytes, at)
  }
  return at
}

/** `text` as UTF-8. A lone surrogate becomes U+FFFD, as in the Encoding standard. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3)
  return bytes.slice(0, writeUtf8(text, bytes, 0))
}

/**
 * Prepares a user name, realm or password for hashing.
 *
 * RFC 8489 asks for OpaqueString (RFC 8265), RFC 5389 asked for SASLprep (RFC 4013), and the vectors of both RFCs
 * are those of SASLprep. This does the mappings of SASLprep (drop what is commonly mapped to nothing, one kind of
 * space, NFKC) and none of the refusals of either: prohibited code points and mixed directions pass unchanged.
 */
export function opaqueString(text: string): string {
  if (isAscii(text)) return text
  return text.replace(MAPPED_TO_NOTHING, '').replace(NON_ASCII_SPACE, ' ').normalize('NFKC')
}

const REPLACEMENT = 0xfffd
/** RFC 3454 table B.1. */
const MAPPED_TO_NOTHING = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/gu
/** RFC 3454 table C.1.2; U+200B is in both tables, and B.1 comes first. */
const NON_ASCII_SPACE = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/gu

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false
  return true
}

function isSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff
}

function writeMultibyte(code: number, bytes: Uint8Array, offset: number): number {
  let at = offset
  if (code < 0x800) {
    bytes[at++] = 0xc0 | (code >> 6)
  } else {
    if (code < 0x10000) {
      bytes[at++] = 0xe0 | (code >> 12)
    } else {
      bytes[at++] = 0xf0 | (code >> 18)
      bytes[at++] = 0x80 | ((code >> 12) & 0x3f)
    }
    bytes[at++] = 0x80 | ((code >> 6) & 0x3f)
  }
  bytes[at++] = 0x80 | (code & 0x3f)
  return at
}

function decodeMultibyte(bytes: Uint8Array, start: number, end: number): string {
  const parts: string[] = []
  for (let i = start; i < end; ) {
    const length = sequenceLength(bytes, i, end)
    parts.push(String.fromCodePoint(length === 0 ? REPLACEMENT : codePoint(bytes, i, length)))
    i += length || 1
  }
  return parts.join('')
}

/** Length of the well-formed sequence at `at` (Unicode table 3-7), or 0. */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!
  if (lead < 0x80) return 1
  const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
  if (at + length > end) return 0
  for (let i = 1; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0
  const second = bytes[at + 1]!
  if (lead === 0xe0 && second < 0xa0) return 0
  if (lead === 0xed && second > 0x9f) return 0
  if (lead === 0xf0 && second < 0x90) return 0
  if (lead === 0xf4 && second > 0x8f) return 0
  return length
}

function codePoint(bytes: Uint8Array, at: number, length: number): number {
  if (length === 1) return bytes[at]!
  let code = bytes[at]! & (0x7f >> length)
  for (let i = 1; i < length; i++) code = (code << 6) | (bytes[at + i]! & 0x3f)
  return code
}
