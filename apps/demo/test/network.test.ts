import { describe, expect, test } from 'vitest'
import { mappingOf, readCandidate, type Seen, type ServerSeen, verdictOf } from '../src/network/findings.ts'

const host: Seen = { type: 'host', protocol: 'udp', address: 'd7c9a1c0.local', port: 5000, rank: 0 }
const outside = (port: number, address = '203.0.113.1', rank = 0): Seen => ({
  type: 'srflx',
  protocol: 'udp',
  address,
  port,
  rank,
})
const two: ServerSeen[] = ['stun:a', 'stun:b'].map((url) => ({ url, works: true }))
const relay: ServerSeen = { url: 'turn:c', works: true }

describe('what one socket at two servers tells', () => {
  test.each([
    ['endpoint-independent', [host, outside(5000)], two],
    ['endpoint-dependent', [host, outside(5000), outside(7000)], two],
    ['endpoint-independent', [host, outside(5000), outside(5000, '2001:db8::1')], two],
    ['endpoint-independent', [host, outside(5000), outside(7000, undefined, 1)], two],
    ['endpoint-dependent', [host, outside(5000), outside(7000, undefined, 1), outside(9000, undefined, 1)], two],
    ['none', [host], two],
    ['unknown', [host, outside(5000)], two.slice(0, 1)],
    ['unknown', [host], two.map((server) => ({ ...server, works: false }))],
  ] as const)('%s', (mapping, candidates, servers) => {
    expect(mappingOf({ candidates, servers })).toBe(mapping)
  })

  test.each([
    [/direct with most/, [host, outside(5000)], two],
    [/probably/, [host, outside(5000)], two.slice(0, 1)],
    [/some people, relayed/, [host, outside(5000), outside(7000)], [...two, relay]],
    [/fail with some/, [host, outside(5000), outside(7000)], two],
    [/relayed/, [host], [{ url: 'stun:a', works: false }, relay]],
    [/No server answers/, [host], [{ url: 'stun:a', works: false }]],
    [/No server was asked/, [host], []],
  ] as const)('%s', (title, candidates, servers) => {
    expect(verdictOf({ candidates, servers }).title).toMatch(title)
  })
})

test('candidate lines', () => {
  expect(readCandidate('candidate:1 1 UDP 2122260223 d7c9.local 5000 typ host generation 0')).toEqual({
    type: 'host',
    protocol: 'udp',
    address: 'd7c9.local',
    port: 5000,
    rank: 127,
  })
  expect(readCandidate('candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active')).toBeUndefined()
  expect(readCandidate('')).toBeUndefined()
})

test.each([
  // As libwebrtc and nICEr write them: two servers that one interface has asked, and another interface.
  ['libwebrtc', [0x647f1eff, 0x647f1eff, 0x647e1eff]],
  ['nICEr', [0x647effff, 0x647efeff, 0x647dffff]],
])('which interface a candidate is of: %s', (_, priorities) => {
  const [first, second, other] = priorities.map(
    (priority) => readCandidate(`candidate:1 1 udp ${priority} 203.0.113.1 5000 typ srflx raddr 0.0.0.0 rport 0`)!.rank,
  )
  expect(first).toBe(second)
  expect(other).not.toBe(first)
})
