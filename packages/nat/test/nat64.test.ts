import { bytesToIp, canonicalIp } from '@floe/stun'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressScope,
  extract,
  findPrefixes,
  NatError,
  parsePrefix,
  synthesize,
  WELL_KNOWN_PREFIX,
} from '../src/index.ts'
import { VECTORS } from './data/rfc6052.ts'

const PREFIXES = VECTORS.map(({ prefix }) => parsePrefix(prefix)!)

describe('RFC 6052', () => {
  test.each(VECTORS)('§2.4: $ipv4 in $prefix is $ipv6', ({ prefix: text, ipv4, ipv6 }) => {
    const prefix = parsePrefix(text)!
    expect(synthesize(prefix, ipv4)).toBe(canonicalIp(ipv6))
    expect(extract(prefix, ipv6)).toBe(ipv4)
  })

  test('extracting undoes synthesizing, for all addresses and lengths', () => {
    const octet = fc.nat(255)
    const ipv4s = fc.tuple(octet, octet, octet, octet).map((bytes) => bytes.join('.'))
    fc.assert(
      fc.property(fc.constantFrom(...PREFIXES.slice(0, 6)), ipv4s, (prefix, ipv4) => {
        expect(extract(prefix, synthesize(prefix, ipv4)!)).toBe(ipv4)
      }),
    )
  })

  test('what is outside the prefix, or has the u octet set, is none', () => {
    expect(extract(WELL_KNOWN_PREFIX, '64:ff9b:1::192.0.2.33')).toBeUndefined()
    expect(extract(WELL_KNOWN_PREFIX, '192.0.2.33')).toBeUndefined()
    expect(extract(WELL_KNOWN_PREFIX, 'x')).toBeUndefined()
    expect(extract(parsePrefix('2001:db8:122:344::/64')!, '2001:db8:122:344:1c0:2:2100::')).toBeUndefined()
  })

  test.each(['10.0.0.1', '192.168.1.1', '127.0.0.1', '100.64.0.1'])(
    '§3.1: %s is not for the well-known prefix, but for others',
    (ipv4) => {
      expect(synthesize(WELL_KNOWN_PREFIX, ipv4)).toBeUndefined()
      expect(synthesize(parsePrefix('64:ff9b:1::/48')!, ipv4)).toBeDefined()
    },
  )

  test.each([
    '2001:db8::',
    '2001:db8::/33',
    '2001:db8::/128',
    '2001:db8::1/96',
    '2001:db8:1::/32',
    '192.0.2.0/32',
    'fe80::%eth0/64',
    '2001:db8:0:0:100::/96',
    '/96',
    '',
  ])('%j is no prefix', (text) => {
    expect(parsePrefix(text)).toBeUndefined()
  })

  test("a caller's mistake throws", () => {
    for (const ip of ['::1', '1.2.3', '']) expect(() => synthesize(WELL_KNOWN_PREFIX, ip)).toThrow(NatError)
  })
})

describe('RFC 7050', () => {
  test.each(PREFIXES)('a prefix of $length bits is found', (prefix) => {
    const embed = (last: number) => synthesize(prefix, `192.0.0.${last}`)!
    expect(findPrefixes([embed(170), embed(171)])).toEqual([prefix])
    expect(findPrefixes([embed(171)])).toEqual([prefix])
  })

  test('several translators: all of them, in order, once', () => {
    const answers = ['64:ff9b::192.0.0.170', '64:ff9b::192.0.0.171', '2001:db8:64::c000:aa', '2001:db8:64::c000:ab']
    expect(findPrefixes(answers).map(({ ip, length }) => `${ip}/${length}`)).toEqual([
      '64:ff9b::/96',
      '2001:db8:64::/96',
    ])
  })

  test('an address that is seen twice in one answer: the twin decides', () => {
    // 192.0.0.170 is part of the prefix as well.
    const prefix = '2001:db8:c000:aa::'
    expect(findPrefixes([`${prefix}192.0.0.170`])).toEqual([])
    expect(findPrefixes([`${prefix}192.0.0.170`, `${prefix}192.0.0.171`])).toEqual([{ ip: prefix, length: 96 }])
  })

  test('no DNS64: none', () => {
    expect(findPrefixes([])).toEqual([])
    expect(findPrefixes(['2001:db8::1', '192.0.0.170', '', '::ffff:192.0.2.1'])).toEqual([])
  })

  test('hostile answers never throw, and every prefix found gives the address back', () => {
    const ip = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
      bytes.set([192, 0, 0, 170], bytes[0]! % 13)
      return bytesToIp(bytes, 0, 16)
    })
    fc.assert(
      fc.property(fc.array(fc.oneof(ip, fc.string()), { maxLength: 40 }), (answers) => {
        for (const prefix of findPrefixes(answers)) {
          expect(answers.some((answer) => /^192\.0\.0\.17[01]$/.test(extract(prefix, answer) ?? ''))).toBe(true)
        }
      }),
    )
  })
})

test.each([
  ['0.0.0.0', 'unspecified'],
  ['10.1.2.3', 'private'],
  ['172.16.0.1', 'private'],
  ['172.32.0.1', 'global'],
  ['192.168.0.1', 'private'],
  ['100.63.255.255', 'global'],
  ['100.64.0.1', 'shared'],
  ['100.127.255.255', 'shared'],
  ['100.128.0.0', 'global'],
  ['169.254.9.9', 'link-local'],
  ['127.9.9.9', 'loopback'],
  ['192.0.0.4', 'translator'],
  ['192.0.0.170', 'global'],
  ['224.0.0.1', 'multicast'],
  ['255.255.255.255', 'multicast'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['fe80::1%eth0', 'link-local'],
  ['fd00::1', 'private'],
  ['ff02::1', 'multicast'],
  ['2001:db8::1', 'global'],
  ['x', undefined],
] as const)('%s is %s', (ip, scope) => {
  expect(addressScope(ip)).toBe(scope)
})
