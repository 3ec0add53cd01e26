/** One suite over both halves of `#crypto`, and over the portable digests below them. */
import { createHash, createHmac } from 'node:crypto'
import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as portable from '../src/crypto.ts'
import * as node from '../src/node/crypto.ts'
import { hex } from './data/hex.ts'

const ascii = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0))
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const a56 = 'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'

describe.each([
  ['portable', portable],
  ['node', node],
])('%s', (_, { crc32, Hmac, md5, sha256 }) => {
  /** `sign` replaces the first word: with the message's own this is plain HMAC. */
  function hmac(algorithm: 'sha1' | 'sha256', key: Uint8Array, message: Uint8Array): string {
    const first = message.length < 4 ? 0 : new DataView(message.buffer, message.byteOffset).getInt32(0)
    const words = new Hmac(algorithm, key).sign(message, message.length, first)
    return Array.from(words.subarray(0, algorithm === 'sha1' ? 5 : 8), (word) =>
      (word >>> 0).toString(16).padStart(8, '0'),
    ).join('')
  }

  test.each([
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    [
      '12345678901234567890123456789012345678901234567890123456789012345678901234567890',
      '57edf4a22be3c955ac49da2e2107b67a',
    ],
  ])('MD5 of %j (RFC 1321 §A.5)', (text, digest) => expect(toHex(md5(ascii(text)))).toBe(digest))

  test.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [a56, '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1'],
    ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
  ])('SHA-256 (FIPS 180-4)', (text, digest) => expect(toHex(sha256(ascii(text)))).toBe(digest))

  test.each([
    ['sha1', '0b'.repeat(20), ascii('Hi There'), 'b617318655057264e28bc0b6fb378c8ef146be00'],
    ['sha1', toHex(ascii('Jefe')), ascii('what do ya want for nothing?'), 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79'],
    ['sha1', 'aa'.repeat(20), hex('dd'.repeat(50)), '125d7342b9ac11cd91a39af48aa17b4f63f175d3'],
    [
      'sha1',
      'aa'.repeat(80),
      ascii('Test Using Larger Than Block-Size Key - Hash Key First'),
      'aa4ae5e15272d00e95705637ce8a3b55ed402112',
    ],
    ['sha256', '0b'.repeat(20), ascii('Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
    [
      'sha256',
      toHex(ascii('Jefe')),
      ascii('what do ya want for nothing?'),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      'sha256',
      'aa'.repeat(131),
      ascii('Test Using Larger Than Block-Size Key - Hash Key First'),
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
  ] as const)('HMAC-%s (RFC 2202, RFC 4231)', (algorithm, key, message, code) => {
    expect(hmac(algorithm, hex(key), message)).toBe(code)
  })

  test('CRC-32 of the check string', () => {
    expect(crc32(ascii('123456789'))).toBe(0xcbf43926)
    expect(crc32(ascii('123456789x'), 9)).toBe(0xcbf43926)
  })

  test('agrees with OpenSSL and zlib at every length up to three blocks', () => {
    const bytes = Uint8Array.from({ length: 200 }, (_, i) => (i * 73) ^ (i >> 3))
    for (let length = 0; length <= bytes.length; length++) {
      const part = bytes.subarray(0, length)
      expect(toHex(md5(part))).toBe(createHash('md5').update(part).digest('hex'))
      expect(toHex(sha256(part))).toBe(createHash('sha256').update(part).digest('hex'))
      expect(crc32(part)).toBe(zlibCrc32(part))
    }
  })

  test('HMAC agrees with OpenSSL for any key and message', () => {
    const algorithm = fc.constantFrom('sha1' as const, 'sha256' as const)
    const message = fc.uint8Array({ minLength: 4, maxLength: 300 })
    fc.assert(
      fc.property(algorithm, fc.uint8Array({ maxLength: 150 }), message, (name, key, bytes) => {
        expect(hmac(name, key, bytes)).toBe(createHmac(name, key).update(bytes).digest('hex'))
      }),
    )
  })

  test('HMAC signs the first word it is given, and leaves the message alone', () => {
    const message = hex('00000000 01020304')
    const signed = new Hmac('sha1', hex('00')).sign(message, 8, 0x01020304 | 0).slice(0, 5)
    expect(message).toStrictEqual(hex('00000000 01020304'))
    expect(new Hmac('sha1', hex('00')).sign(hex('01020304 01020304'), 8, 0x01020304).slice(0, 5)).toStrictEqual(signed)
  })
})
