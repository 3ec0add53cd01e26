import { createHmac } from 'node:crypto'

/** STUN bytes changed by hand, with another HMAC than the codec's: what no well-behaved encoder would write. */

const HEADER = 20

/** Adds an attribute at the end and corrects the length in the header. */
export function appendAttribute(message: Uint8Array, type: number, value = new Uint8Array(0)): Uint8Array {
  const padded = (value.length + 3) & ~3
  const bytes = new Uint8Array(message.length + 4 + padded)
  bytes.set(message)
  const view = new DataView(bytes.buffer)
  view.setUint16(message.length, type)
  view.setUint16(message.length + 2, value.length)
  bytes.set(value, message.length + 4)
  view.setUint16(2, bytes.length - HEADER)
  return bytes
}

/** Adds MESSAGE-INTEGRITY (RFC 8489 §14.5) over everything so far. */
export function sign(message: Uint8Array, password: string): Uint8Array {
  const signed = appendAttribute(message, 0x0008, new Uint8Array(20))
  const digest = createHmac('sha1', password).update(signed.subarray(0, message.length)).digest()
  signed.set(digest, message.length + 4)
  return signed
}

/** One bit of the last byte is wrong: of FINGERPRINT, where there is one. */
export function corruptEnd(message: Uint8Array): Uint8Array {
  const bytes = message.slice()
  bytes[bytes.length - 1]! ^= 1
  return bytes
}
