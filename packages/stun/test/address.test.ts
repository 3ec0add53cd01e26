import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressFamily,
  bytesToIp,
  canonicalIp,
  formatAddress,
  ipToBytes,
  isIPv4,
  isIPv6,
  networkOf,
  parseAddress,
  sameAddress,
} from '../src/index.ts'

describe('canonicalIp writes RFC 5952', () => {
  test.each([
    ['2001:0DB8:0000:0000:0000:0000:0002:0001', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['FE80::1%eth0', 'fe80::1%eth0'],
    ['192.0.2.1', '192.0.2.1'],
  ])('%s as %s', (ip, canonical) => {
    expect(canonicalIp(ip)).toBe(canonical)
    expect(canonicalIp(canonical)).toBe(canonical)
  })
})

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:DB8:0:7:1:2:3:4', '2001:db8:0:7::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['no address', 'no address'],
])('%s belongs to the subscriber of %s', (ip, network) => {
  expect(networkOf(ip)).toBe(network)
})

describe('is an IP address or not, as Node sees it', () => {
  test.each([
    ...['1.2.3.4', '255.255.255.255', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.', '.1.2.3', '1..2.3', ''],
    ...['1.2.3.4 ', '+1.2.3.4', '1.2.3.4x', '1e1.2.3.4', '::', '::1', '1::', ':1', '1:', ':::', '1::2::3', '::1.2.3.4'],
    ...['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:1.2.3.4', '::1.2.3.4:5', '12345::'],
    ...['fe80::1%eth0', 'fe80::1%', '1.2.3.4%eth0', '::ffff:1.2.3.999', 'g::', '1.2.3.4::', '::1:2:3:4:5:6:7', '[::1]'],
  ])('%s', (ip) => {
    expect(addressFamily(ip) ?? 0).toBe(isIP(ip))
    expect([isIPv4(ip), isIPv6(ip)]).toStrictEqual([isIP(ip) === 4, isIP(ip) === 6])
    expect(ipToBytes(ip)?.length).toBe({ 0: undefined, 4: 4, 6: 16 }[isIP(ip)])
  })

  test('also with a character changed', () => {
    const change = fc.record({
      ip: fc.oneof(fc.ipV4(), fc.ipV6()),
      at: fc.nat(45),
      to: fc.constantFrom(...'0129afg:.%', ''),
    })
    fc.assert(
      fc.property(change, ({ ip, at, to }) => {
        const changed = ip.slice(0, at % ip.length) + to + ip.slice((at % ip.length) + 1)
        expect([changed, addressFamily(changed) ?? 0]).toStrictEqual([changed, isIP(changed)])
      }),
      { numRuns: 1000 },
    )
  })
})

test('bytes and text are one to one', () => {
  const bytes = fc.constantFrom(4, 16).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
  fc.assert(
    fc.property(bytes, (raw) => {
      const ip = bytesToIp(raw, 0, raw.length)
      expect(ipToBytes(ip)).toStrictEqual(raw)
      expect(canonicalIp(ip)).toBe(ip)
      expect(isIP(ip)).toBe(raw.length === 4 ? 4 : 6)
    }),
  )
})

test('IPv6 text is what the URL standard writes', () => {
  const sparse = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff00), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(sparse, (words) => {
      const full = words.map((word) => word.toString(16)).join(':')
      fc.pre(!full.startsWith('0:0:0:0:0:ffff'))
      expect(`[${canonicalIp(full)}]`).toBe(new URL(`http://[${full}]/`).hostname)
    }),
  )
})

describe('addresses', () => {
  test.each([
    ['192.0.2.1:3478', { ip: '192.0.2.1', port: 3478 }],
    ['[2001:db8::1]:0', { ip: '2001:db8::1', port: 0 }],
    ['[fe80::1%eth0]:65535', { ip: 'fe80::1%eth0', port: 65535 }],
  ])('%s', (text, address) => {
    expect(parseAddress(text)).toStrictEqual(address)
    expect(formatAddress(address)).toBe(text)
  })

  test.each([
    '',
    '192.0.2.1',
    '192.0.2.1:',
    '192.0.2.1:65536',
    '[192.0.2.1]:1',
    '2001:db8::1:1',
    'example.org:1',
    '[::1]1',
  ])('refuses %s', (text) => expect(parseAddress(text)).toBeUndefined())

  test('are the same by value', () => {
    const address = { ip: '192.0.2.1', port: 1 }
    expect(sameAddress(address, { ...address })).toBe(true)
    expect(sameAddress(address, { ...address, port: 2 })).toBe(false)
    expect(sameAddress(address, { ...address, ip: '192.0.2.2' })).toBe(false)
  })
})
