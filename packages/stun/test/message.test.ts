import { describe, expect, test } from 'vitest'
import {
  type Attributes,
  decode,
  diagnose,
  encode,
  formatTransactionId,
  isStun,
  type Message,
  newTransactionId,
  StunError,
  shortTermKey,
  verifyIntegrity,
} from '../src/index.ts'
import { hex } from './data/hex.ts'

const KEY = shortTermKey('VOkJxbRl1RmTxUk/WvJxBt')
const ID = 'abcdefghijkl'
const HEADER = '2112a442 6162636465666768696a6b6c'

function request(attributes: Attributes = {}): Message {
  return { method: 'binding', class: 'request', transactionId: ID, attributes }
}

/** A binding request of these attribute bytes. */
function raw(attributes: string): Uint8Array {
  const body = hex(attributes)
  return new Uint8Array([...hex(`0001 ${body.length.toString(16).padStart(4, '0')} ${HEADER}`), ...body])
}

/** `bytes` with further attributes behind its last one, and the length field right. */
function append(bytes: Uint8Array, attributes: string): Uint8Array {
  const longer = new Uint8Array([...bytes, ...hex(attributes)])
  new DataView(longer.buffer).setUint16(2, longer.length - 20)
  return longer
}

describe('integrity', () => {
  test('A2 a message signed with another key, or not at all, does not verify', () => {
    const signed = decode(encode(request({ username: 'a:b' }), { key: KEY }))!
    expect(verifyIntegrity(signed, KEY)).toBe(true)
    expect(verifyIntegrity(signed, shortTermKey('wrong'))).toBe(false)
    expect(verifyIntegrity(decode(encode(request()))!, KEY)).toBe(false)
  })

  test.each([
    ['sha1', 0],
    ['sha256', 0],
    // Whoever can strip the second code leaves a message signed with the first: only what both cover is checked.
    ['both', 36],
  ] as const)('A2 with %s, a change of any bit is noticed', (integrity, uncovered) => {
    const bytes = encode(request({ username: 'a:b', priority: 5 }), { key: KEY, integrity, fingerprint: false })
    for (let bit = 0; bit < (bytes.length - uncovered) * 8; bit++) {
      const forged = bytes.slice()
      forged[bit >> 3]! ^= 1 << (bit & 7)
      const decoded = decode(forged)
      expect(decoded !== undefined && verifyIntegrity(decoded, KEY), `bit ${bit}`).toBe(false)
    }
  })

  test('MESSAGE-INTEGRITY-SHA256 wins over MESSAGE-INTEGRITY', () => {
    const bytes = encode(request(), { key: KEY, integrity: 'both', fingerprint: false })
    bytes[30]! ^= 1
    expect(decode(bytes)).toMatchObject({ integrityOffset: 20, sha256Offset: 44 })
    expect(verifyIntegrity(decode(bytes)!, KEY)).toBe(false)
  })

  test.each([16, 20, 24, 28])('MESSAGE-INTEGRITY-SHA256 cut to %i bytes verifies (RFC 8489 §14.6)', (length) => {
    const full = KEY.sha256.sign(raw(''), 20, 0x0001_0000 | (length + 4))
    const code = Array.from({ length }, (_, i) => (full[i >> 2]! >>> (24 - 8 * (i & 3))) & 0xff)
    const type = `001c 00${length.toString(16)}`
    const bytes = append(raw(''), type + code.map((byte) => byte.toString(16).padStart(2, '0')).join(''))
    expect(verifyIntegrity(decode(bytes)!, KEY)).toBe(true)
    bytes[bytes.length - 1]! ^= 1
    expect(verifyIntegrity(decode(bytes)!, KEY)).toBe(false)
  })

  test.each([
    ['MESSAGE-INTEGRITY of 16 bytes', `0008 0010 ${'00'.repeat(16)}`],
    ['MESSAGE-INTEGRITY-SHA256 of 12 bytes', `001c 000c ${'00'.repeat(12)}`],
    ['MESSAGE-INTEGRITY-SHA256 of 18 bytes', `001c 0012 ${'00'.repeat(20)}`],
    ['MESSAGE-INTEGRITY-SHA256 of 36 bytes', `001c 0024 ${'00'.repeat(36)}`],
    ['no MESSAGE-INTEGRITY-SHA256', '001c 0000'],
  ])('%s is malformed', (_, attributes) => {
    expect(diagnose(raw(attributes))).toBe('bad-attribute')
  })

  test('A6 attributes after MESSAGE-INTEGRITY are ignored', () => {
    const signed = encode(request({ username: 'a:b' }), { key: KEY, fingerprint: false })
    const useCandidate = '0025 0000'
    const unknown = '7ffe 0000'
    const malformed = '0024 0001 00000000'
    const decoded = decode(append(signed, useCandidate + unknown + malformed))!
    expect(decoded.attributes).toStrictEqual({ username: 'a:b' })
    expect(decoded.unknownRequired).toStrictEqual([])
    expect(verifyIntegrity(decoded, KEY)).toBe(true)
  })

  test('A6 attributes after MESSAGE-INTEGRITY-SHA256 are ignored, a MESSAGE-INTEGRITY too', () => {
    const signed = encode(request(), { key: KEY, integrity: 'sha256', fingerprint: false })
    const decoded = decode(append(signed, `0025 0000 0008 0014 ${'00'.repeat(20)}`))!
    expect(decoded).toMatchObject({ attributes: {}, integrityOffset: 0, sha256Offset: 20 })
    expect(verifyIntegrity(decoded, KEY)).toBe(true)
  })

  test('A6 of two MESSAGE-INTEGRITY the first counts', () => {
    const signed = encode(request(), { key: KEY, fingerprint: false })
    const decoded = decode(append(signed, `0008 0014 ${'00'.repeat(20)}`))!
    expect(verifyIntegrity(decoded, KEY)).toBe(true)
  })
})

describe('fingerprint', () => {
  test('A3 a wrong FINGERPRINT is no STUN', () => {
    const bytes = encode(request({ priority: 1 }))
    expect(decode(bytes)).toBeDefined()
    bytes[bytes.length - 1]! ^= 1
    expect(decode(bytes)).toBeUndefined()
    expect(diagnose(bytes)).toBe('bad-fingerprint')
  })

  test('A3 a FINGERPRINT that is not the last attribute is refused', () => {
    expect(diagnose(append(encode(request()), '0025 0000'))).toBe('bad-fingerprint')
  })

  test('A3 FINGERPRINT is there unless refused', () => {
    expect(encode(request()).length).toBe(28)
    expect(encode(request(), { fingerprint: false }).length).toBe(20)
  })
})

describe('attributes', () => {
  test('A4 a user name arrives as it was sent, and broken UTF-8 equals no user name', () => {
    expect(decode(encode(request({ username: 'évtj:h6vY' })))!.attributes.username).toBe('évtj:h6vY')
    expect(decode(raw('0006 0003 61ff6200'))!.attributes.username).toBe('a\ufffdb')
  })

  test('A5 unknown comprehension-required attributes are reported, optional ones skipped', () => {
    const decoded = decode(raw('7ffe 0000 fffe 0004 01020304 0002 0001 ff000000 0024 0004 00000007'))!
    expect(decoded.unknownRequired).toStrictEqual([0x7ffe, 0x0002])
    expect(decoded.attributes).toStrictEqual({ priority: 7 })
  })

  test('of duplicates the first one counts', () => {
    const bytes = raw('0024 0004 00000001 0024 0004 00000002 0024 0000')
    expect(decode(bytes)!.attributes).toStrictEqual({ priority: 1 })
  })

  test('what may be repeated is a list', () => {
    const addresses = [
      { ip: '192.0.2.1', port: 1 },
      { ip: '2001:db8::1', port: 2 },
    ]
    const message: Message = { ...request(), method: 'allocate', attributes: { xorRelayedAddress: addresses } }
    expect(decode(encode(message))!.attributes.xorRelayedAddress).toStrictEqual(addresses)
    expect(decode(encode({ ...message, attributes: { xorRelayedAddress: [] } }))!.attributes).toStrictEqual({})
  })

  test('any padding is accepted, and zeros are sent', () => {
    expect(decode(raw('0006 0005 6162636465 fffefd'))!.attributes.username).toBe('abcde')
    expect(encode(request({ username: 'abcde' }), { fingerprint: false }).slice(-3)).toStrictEqual(hex('000000'))
  })

  test('bytes are views into the message', () => {
    const message: Message = { ...request({ data: hex('0102') }), method: 'send', class: 'indication' }
    const bytes = encode(message, { fingerprint: false })
    const { data } = decode(bytes)!.attributes
    bytes[24] = 9
    expect(data).toStrictEqual(hex('0902'))
    expect(decode(Buffer.from(bytes))!.attributes.data).toStrictEqual(hex('0902'))
  })
})

describe('malformed', () => {
  test('A7 short header', () => {
    for (let length = 0; length < 20; length++) expect(diagnose(raw('').slice(0, length))).toBe('short-header')
  })

  test('A7 length mismatch', () => {
    const bytes = encode(request({ priority: 1 }), { fingerprint: false })
    expect(diagnose(bytes.slice(0, -4))).toBe('length-mismatch')
    expect(diagnose(new Uint8Array([...bytes, 0, 0, 0, 0]))).toBe('length-mismatch')
    expect(diagnose(new Uint8Array([...bytes, 0]))).toBe('length-mismatch')
  })

  test('A7 odd padding', () => {
    expect(diagnose(hex(`0001 0005 ${HEADER} 0006 0001 61`))).toBe('length-mismatch')
    expect(diagnose(hex(`0001 0006 ${HEADER} 0006 0002 6162`))).toBe('length-mismatch')
  })

  test('A7 an attribute beyond the end', () => {
    expect(diagnose(raw('0006 0005 61626364'))).toBe('attribute-overrun')
    expect(diagnose(raw('0006 ffff 61626364'))).toBe('attribute-overrun')
  })

  test.each([
    ['not-stun', `4001 0000 ${HEADER}`],
    ['not-stun', `8001 0000 ${HEADER}`],
    ['wrong-cookie', '0001 0000 2112a443 6162636465666768696a6b6c'],
    ['unknown-method', `0002 0000 ${HEADER}`],
    ['unknown-method', `3eef 0000 ${HEADER}`],
    ['unknown-method', `0016 0001 ${HEADER}`.replace('0001', '0000').replace('0016', '0006')],
  ])('%s', (reason, bytes) => {
    expect(diagnose(hex(bytes))).toBe(reason)
    expect(decode(hex(bytes))).toBeUndefined()
  })

  const address = (type: string) => [
    [`${type} too short v4`, `${type} 0004 00010050`],
    [`${type} too long v4`, `${type} 000c 00010050 c0000201 00000000`],
    [`${type} v6 with the length of v4`, `${type} 0008 00020050 c0000201`],
    [`${type} too short v6`, `${type} 0010 00020050 ${'00'.repeat(12)}`],
    [`${type} too long v6`, `${type} 0018 00020050 ${'00'.repeat(20)}`],
    [`${type} unknown family`, `${type} 0008 00030050 c0000201`],
    [`${type} empty`, `${type} 0000`],
  ]
  test.each([...address('0020'), ...address('0001'), ...address('0012')])('A8 %s', (_, attributes) => {
    expect(diagnose(raw(attributes!))).toBe('bad-attribute')
    expect(decode(raw(attributes!))).toBeUndefined()
  })

  test.each([
    ['PRIORITY', '0024 0003 00000000'],
    ['USE-CANDIDATE', '0025 0004 00000000'],
    ['ERROR-CODE of class 2', '0009 0004 00000200'],
    ['ERROR-CODE of class 7', '0009 0004 00000700'],
    ['ERROR-CODE number 100', '0009 0004 00000464'],
    ['ERROR-CODE too short', '0009 0003 00000400'],
    ['UNKNOWN-ATTRIBUTES of odd length', '000a 0003 00010000'],
    ['USERHASH too short', `001e 001c ${'00'.repeat(28)}`],
    ['PASSWORD-ALGORITHM beyond its end', '001d 0004 00020001'],
    ['REQUESTED-ADDRESS-FAMILY 3', '0017 0004 03000000'],
  ])('%s that breaks its format', (_, attributes) => {
    expect(diagnose(raw(attributes))).toBe('bad-attribute')
  })

  test.each([
    ['ICE-CONTROLLING', '802a 0004 00000000'],
    ['GOOG-NETWORK-INFO', 'c057 0002 00000000'],
    ['PASSWORD-ALGORITHMS', '8002 0006 0001 0000 0002 0000'],
    ['ALTERNATE-SERVER', '8023 0004 00000000'],
  ])('%s need not be understood, so a malformed one is skipped', (_, attributes) => {
    expect(decode(raw(`${attributes} 0024 0004 00000001`))?.attributes).toStrictEqual({ priority: 1 })
  })
})

describe('isStun', () => {
  test('tells STUN from what shares the port (RFC 7983)', () => {
    expect(isStun(encode(request()))).toBe(true)
    expect(isStun(Buffer.from(encode(request())))).toBe(true)
    for (const first of [16, 20, 63, 64, 79, 128, 191]) {
      const bytes = new Uint8Array(100).fill(0x5a)
      bytes[0] = first
      expect(isStun(bytes)).toBe(false)
    }
    expect(isStun(new Uint8Array())).toBe(false)
  })
})

describe('encode', () => {
  test('gives a buffer of its own each time', () => {
    const first = encode(request({ username: 'first' }))
    const copy = first.slice()
    for (let i = 0; i < 1000; i++) encode(request({ username: `other ${i}` }), { key: KEY })
    expect(first).toStrictEqual(copy)
  })

  test('carries 64 KiB and refuses more', () => {
    const data = { method: 'data', class: 'indication', transactionId: ID } as const
    const most = encode({ ...data, attributes: { data: new Uint8Array(0xfffc - 4).fill(7) } }, { fingerprint: false })
    expect(decode(most)!.attributes.data!.length).toBe(0xfff8)
    for (const size of [0xfff5, 0xfff8]) {
      const message = { ...data, attributes: { data: new Uint8Array(size) } }
      expect(() => encode(message)).toThrow(expect.objectContaining({ code: 'ERR_STUN_TOO_LONG' }))
    }
  })

  test.each<[string, Attributes]>([
    ['priority', { priority: -1 }],
    ['priority', { priority: 2 ** 32 }],
    ['priority', { priority: 0.5 }],
    ['username', { username: 'x'.repeat(509) }],
    ['username', { username: 'é'.repeat(300) }],
    ['iceControlled', { iceControlled: 2n ** 64n }],
    ['iceControlling', { iceControlling: -1n }],
    ['xorMappedAddress', { xorMappedAddress: { ip: 'example.org', port: 1 } }],
    ['xorMappedAddress', { xorMappedAddress: { ip: '192.0.2.1', port: 65536 } }],
    ['errorCode', { errorCode: { code: 200, reason: '' } }],
    ['errorCode', { errorCode: { code: 700, reason: '' } }],
    ['userhash', { userhash: new Uint8Array(31) }],
    ['data', { data: new Uint8Array(70_000) }],
    ['useCandidate', { useCandidate: false as unknown as true }],
    ['nonsense', { nonsense: 1 } as Attributes],
  ])('refuses a wrong %s and names it', (name, attributes) => {
    const attempt = () => encode(request(attributes))
    expect(attempt).toThrow(StunError)
    expect(attempt).toThrow(
      expect.objectContaining({ code: 'ERR_STUN_ATTRIBUTE', message: expect.stringContaining(name) }),
    )
  })

  test('leaves out what is undefined', () => {
    const attributes = { priority: undefined, useCandidate: true } as unknown as Attributes
    expect(decode(encode(request(attributes)))!.attributes).toStrictEqual({ useCandidate: true })
  })

  test.each([
    { ...request(), transactionId: 'short' },
    { ...request(), transactionId: 'twelve chars\u{100}' },
    { ...request(), transactionId: 'abcdefghijk\u{100}' },
    { ...request(), method: 'send' as const },
    { ...request(), method: 'toString' as never },
  ])('refuses a message that there is not', (message) => {
    expect(() => encode(message)).toThrow(expect.objectContaining({ code: 'ERR_STUN_ARGUMENT' }))
  })
})

describe('transaction ids', () => {
  test('are twelve random bytes, readable in logs', () => {
    const id = newTransactionId((length) => Uint8Array.from({ length }, (_, i) => i * 23))
    expect(id.length).toBe(12)
    expect(formatTransactionId(id)).toBe('00172e455c738aa1b8cfe6fd')
    expect(decode(encode({ ...request(), transactionId: id }))!.transactionId).toBe(id)
  })

  test('need a source that gives what is asked for', () => {
    expect(() => newTransactionId(() => new Uint8Array(4))).toThrow(StunError)
  })
})
