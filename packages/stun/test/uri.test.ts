import { describe, expect, test } from 'vitest'
import { parseStunUri, parseTurnUri } from '../src/index.ts'

describe('STUN URIs (RFC 7064)', () => {
  test.each([
    ['stun:example.org', { scheme: 'stun', host: 'example.org', port: 3478 }],
    ['stuns:example.org', { scheme: 'stuns', host: 'example.org', port: 5349 }],
    ['stun:example.org:8000', { scheme: 'stun', host: 'example.org', port: 8000 }],
    ['STUN:192.0.2.1:1', { scheme: 'stun', host: '192.0.2.1', port: 1 }],
    ['stun:[2001:DB8::1]:65535', { scheme: 'stun', host: '2001:db8::1', port: 65535 }],
  ])('%s', (uri, parsed) => {
    expect(parseStunUri(uri)).toStrictEqual(parsed)
    expect(parseTurnUri(uri)).toBeUndefined()
  })
})

describe('TURN URIs (RFC 7065)', () => {
  test.each([
    ['turn:example.org', { scheme: 'turn', host: 'example.org', port: 3478 }],
    ['turns:example.org', { scheme: 'turns', host: 'example.org', port: 5349 }],
    ['turn:example.org:8000?transport=udp', { scheme: 'turn', host: 'example.org', port: 8000, transport: 'udp' }],
    ['turns:[::1]?transport=TCP', { scheme: 'turns', host: '::1', port: 5349, transport: 'tcp' }],
  ])('%s', (uri, parsed) => {
    expect(parseTurnUri(uri)).toStrictEqual(parsed)
    expect(parseStunUri(uri)).toBeUndefined()
  })
})

test.each([
  ...['', 'stun', 'stun:', 'stun://example.org', 'stun:example.org:', 'stun:example.org:0', 'stun:example.org:65536'],
  ...['stun:example.org?transport=udp', 'stun:user@example.org', 'stun:2001:db8::1', 'stun:[192.0.2.1]', 'stun:[::1'],
  ...[
    'turn:example.org?transport=sctp',
    'turn:example.org?transport=udp&x=1',
    'turn:example.org/path',
    'http:example.org',
  ],
  ...['stun:exa mple.org', ' stun:example.org', 'stun:[]'],
])('refuses %j', (uri) => {
  expect(parseStunUri(uri) ?? parseTurnUri(uri)).toBeUndefined()
})
