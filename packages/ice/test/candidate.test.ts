import { describe, expect, test } from 'vitest'
import { addressScope, candidatePriority, formatCandidate, pairPriority, parseCandidate } from '../src/index.ts'
import { asOurs } from '../src/local-base.ts'

describe('candidate lines, RFC 8839 §5.1', () => {
  const lines = [
    'candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host',
    'candidate:842163049 1 udp 1677729535 203.0.113.7 61000 typ srflx raddr 10.0.0.5 rport 50000 generation 0 network-cost 10 ufrag EsAw',
    'candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active',
    'candidate:3 1 udp 2122262783 2001:db8::1 50001 typ host network-id 2',
    'candidate:0 1 udp 2122252543 0b1f4c2e-2c2b-4e9e-8a55-3e1d3cbd9b5f.local 57013 typ host',
    'candidate:4 2 udp 41885439 198.51.100.9 3478 typ relay raddr 0.0.0.0 rport 9',
    'candidate:5 1 udp 12582143 198.51.100.9 3479 typ relay raddr 0.0.0.0 rport 9 relay-protocol tls network-id 1',
    'candidate:6 1 udp 12582143 198.51.100.9 3480 typ relay raddr 0.0.0.0 rport 9 relay-protocol pigeon',
  ]
  test.each(lines)('B16 round trip: %s', (line) => {
    const candidate = parseCandidate(line)
    expect(candidate && formatCandidate(candidate)).toBe(line)
  })

  test('B16 a=, upper case transport and uncompressed IPv6 are read, a zone is not signalled', () => {
    const candidate = parseCandidate('a=candidate:1 1 UDP 1 FE80:0:0:0:0:0:0:1%eth0 1 typ host')
    expect(candidate?.address).toEqual({ ip: 'fe80::1%eth0', port: 1 })
    expect(candidate && formatCandidate(candidate)).toBe('candidate:1 1 udp 1 fe80::1 1 typ host')
  })

  test.each([
    '',
    'candidate:',
    'candidate:1 1 udp 1 192.0.2.1 50000',
    'candidate:1 1 udp 1 192.0.2.1 50000 typ',
    'candidate:1 1 udp 1 192.0.2.1 65536 typ host',
    'candidate:1 0 udp 1 192.0.2.1 5 typ host',
    'candidate:1 1 udp 4294967296 192.0.2.1 5 typ host',
    'candidate:1 1 udp -1 192.0.2.1 5 typ host',
    'candidate:1 1 sctp 1 192.0.2.1 5 typ host',
    'candidate:1 1 udp 1 192.0.2.1 5 typ toString',
    'candidate:1 1 udp 1 192.0.2.1 5 typ host raddr',
    'candidate:1 1 tcp 1 192.0.2.1 5 typ host',
    'candidate:1 1 tcp 1 192.0.2.1 5 typ host tcptype eager',
    'candidate:1 1 udp 1 999.0.2.1 5 typ host raddr x rport y z',
    `candidate:${'1'.repeat(40)} 1 udp 1 192.0.2.1 5 typ host`,
    `candidate:1 1 udp 1 192.0.2.1 5 typ host ${'x y '.repeat(1000)}`,
  ])('B16 no candidate: %s', (line) => expect(parseCandidate(line)).toBeUndefined())
})

test('candidate priority, RFC 8445 §5.1.2.1', () => {
  expect(candidatePriority('host', 65535)).toBe(2130706431)
  expect(candidatePriority('srflx', 65535)).toBe(1694498815)
  expect(candidatePriority('relay', 0)).toBe(255)
})

test.each([
  [0, 0, 0n],
  [1, 0, 3n],
  [0, 1, 2n],
  [2 ** 32 - 1, 2 ** 32 - 1, (2n ** 32n - 1n) * 2n ** 32n + 2n * (2n ** 32n - 1n)],
  [2 ** 32 - 1, 2 ** 32 - 2, (2n ** 32n - 2n) * 2n ** 32n + 2n * (2n ** 32n - 1n) + 1n],
  [2 ** 31, 2 ** 31 - 1, (2n ** 31n - 1n) * 2n ** 32n + 2n ** 32n + 1n],
])('B14 pair priority of %d and %d is exact', (controlling, controlled, expected) => {
  expect(pairPriority(controlling, controlled)).toBe(expected)
})

test.each([
  ['0.0.0.0', 'unspecified'],
  ['127.0.0.1', 'loopback'],
  ['169.254.169.254', 'link-local'],
  ['172.31.0.1', 'private'],
  ['172.32.0.1', 'global'],
  ['100.64.0.1', 'shared'],
  ['239.0.0.1', 'multicast'],
  ['255.255.255.255', 'multicast'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['fe80::1%eth0', 'link-local'],
  ['fd00::1', 'private'],
  ['ff02::fb', 'multicast'],
  ['2001:db8::1', 'global'],
  ['::ffff:127.0.0.1', 'loopback'],
])('the scope of %s is %s', (ip, scope) => expect(addressScope(ip)).toBe(scope))

test('a peer sees our address without its scope, and a TCP connection with a port of its own', () => {
  const base = { ip: 'fe80::1%eth0', port: 5_000 }
  expect(asOurs({ ip: 'fe80::1', port: 5_000 }, base, 'udp')).toEqual(base)
  expect(asOurs({ ip: 'fe80::1', port: 40_000 }, base, 'tcp')).toEqual(base)
  expect(asOurs({ ip: '2001:db8::1', port: 6_000 }, base, 'udp')).toEqual({ ip: '2001:db8::1', port: 6_000 })
})
