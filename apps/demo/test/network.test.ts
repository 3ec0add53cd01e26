import { describe, expect, test } from 'vitest'
import { mappingOf, readCandidate, type Seen, type ServerSeen, verdictOf } from '../src/network/findings.ts'

const host: Seen = { type: 'host', protocol: 'udp', address: 'd7c9a1c0.local', port: 5000 }
const outside = (port: number, address = '203.0.113.1'): Seen => ({ type: 'srflx', protocol: 'udp', address, port })
const two: ServerSeen[] = ['stun:a', 'stun:b'].map((url) => ({ url, works: true }))
const relay: ServerSeen = { url: 'turn:c', works: true }

describe('what one socket at two servers tells', () => {
  test.each([
    ['endpoint-independent', [host, outside(5000)], two],
    ['endpoint-dependent', [host, outside(5000), outside(7000)], two],
    ['endpoint-independent', [host, outside(5000), outside(5000, '2001:db8::1')], two],
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
  expect(readCandidate('candidate:1 1 UDP 2122 d7c9.local 5000 typ host generation 0')).toEqual({
    type: 'host',
    protocol: 'udp',
    address: 'd7c9.local',
    port: 5000,
  })
  expect(readCandidate('candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active')).toBeUndefined()
  expect(readCandidate('')).toBeUndefined()
})
