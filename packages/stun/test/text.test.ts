import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeUtf8, encodeUtf8, opaqueString } from '../src/text.ts'
import { hex } from './data/hex.ts'

const reference = new TextDecoder('utf-8', { ignoreBOM: true })

test('UTF-8 is written as TextEncoder writes it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(encodeUtf8(text)).toStrictEqual(new TextEncoder().encode(text))
    }),
  )
  expect(encodeUtf8('a\ud800b\udc00')).toStrictEqual(new TextEncoder().encode('a\ud800b\udc00'))
})

test('well-formed UTF-8 is read as TextDecoder reads it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const bytes = new TextEncoder().encode(`<${text}>`)
      expect(decodeUtf8(bytes, 1, bytes.length - 1)).toBe(reference.decode(bytes.subarray(1, -1)))
    }),
  )
})

test.each(['ff', 'c0 80', 'e0 80 80', 'ed a0 80', 'f0 80 80 80', 'f4 90 80 80', 'f8 88 80 80 80', 'e2 82', 'c3', '80'])(
  'ill-formed %s is never a character',
  (bytes) => {
    const text = decodeUtf8(hex(bytes), 0, hex(bytes).length)
    expect(text).toMatch(/^\ufffd+$/)
  },
)

test('any bytes are read without a throw, and ASCII around them survives', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = decodeUtf8(new Uint8Array([0x61, ...bytes, 0x7a]), 0, bytes.length + 2)
      expect(text.startsWith('a')).toBe(true)
      expect(text.endsWith('z')).toBe(true)
    }),
  )
})

describe('opaqueString', () => {
  test.each([
    ['plain ASCII ~', 'plain ASCII ~'],
    ['The\u00adM\u00aatr\u2168', 'TheMatrIX'],
    ['\u30de\u30c8\u30ea\u30c3\u30af\u30b9', '\u30de\u30c8\u30ea\u30c3\u30af\u30b9'],
    ['a\u00a0b\u3000c', 'a b c'],
    ['a\u200bb\ufeffc', 'abc'],
    ['e\u0301', '\u00e9'],
    ['\u00c5', '\u212b'.normalize('NFKC')],
  ])('%j', (text, prepared) => expect(opaqueString(text)).toBe(prepared))
})
