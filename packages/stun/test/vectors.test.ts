import { createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { decode, diagnose, encode, longTermKey, shortTermKey, userhash, verifyIntegrity } from '../src/index.ts'
import { hex } from './data/hex.ts'
import { PASSWORD, USERNAME, VECTORS } from './data/vectors.ts'

describe.each(VECTORS)('A1 $name', ({ bytes, key, integrity, fingerprint, message }) => {
  test('decodes to what the RFC says', () => {
    expect(diagnose(bytes)).toBeUndefined()
    const decoded = decode(bytes)!
    expect(decoded).toMatchObject(message)
    expect(decoded.attributes).toStrictEqual(message.attributes)
    expect(decoded.unknownRequired).toStrictEqual([])
  })

  test('verifies with its key, and with no other', () => {
    expect(verifyIntegrity(decode(bytes)!, key)).toBe(true)
    expect(verifyIntegrity(decode(bytes)!, shortTermKey('VOkJxbRl1RmTxUk/WvJxBT'))).toBe(false)
  })

  test('encodes byte for byte', () => {
    const encoded = encode(message, { key, integrity, fingerprint })
    // The short-term vectors pad with blanks where RFC 8489 §14 wants zeros: mended and re-signed before comparing.
    expect(encoded).toStrictEqual(key.mechanism === 'short-term' ? zeroPadded(bytes) : bytes)
  })
})

test('A1 the password of the long-term vectors is prepared, the user name needs no preparation', () => {
  const [, , , md5Vector] = VECTORS
  const prepared = longTermKey(USERNAME, 'example.org', 'TheMatrIX')
  expect(verifyIntegrity(decode(md5Vector.bytes)!, prepared)).toBe(true)
  expect(PASSWORD).not.toBe('TheMatrIX')
})

test('A1 USERHASH of RFC 8489 §B.1', () => {
  expect(userhash(USERNAME, 'example.org')).toStrictEqual(
    hex('4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704'),
  )
})

/** The vector with zero padding, MESSAGE-INTEGRITY and FINGERPRINT made anew by OpenSSL and zlib. */
function zeroPadded(vector: Uint8Array): Uint8Array {
  const bytes = Buffer.from(vector)
  for (let at = 20; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 2)
    const next = at + 4 + Math.ceil(length / 4) * 4
    bytes.fill(0, at + 4 + length, next)
    at = next
  }
  const integrityAt = bytes.length - 32
  bytes.writeUInt16BE(integrityAt + 24 - 20, 2)
  const code = createHmac('sha1', 'VOkJxbRl1RmTxUk/WvJxBt').update(bytes.subarray(0, integrityAt)).digest()
  bytes.set(code, integrityAt + 4)
  bytes.writeUInt16BE(bytes.length - 20, 2)
  bytes.writeUInt32BE((crc32(bytes.subarray(0, bytes.length - 8)) ^ 0x5354554e) >>> 0, bytes.length - 4)
  return new Uint8Array(bytes)
}
