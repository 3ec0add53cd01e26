import { expect, test } from 'vitest'
import { describePath, explainPath, hopsOf } from '../src/path-hops.ts'
import { candidateLines, type Pair, readPairs } from '../src/stats.ts'

const NO_LINES = { local: [], remote: [] }

test('reads what Chromium reports: the transport names the selected pair', () => {
  const pairs = readPairs(
    report(
      { id: 'T', type: 'transport', selectedCandidatePairId: 'P2' },
      { id: 'P1', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R', state: 'failed', priority: 9 },
      {
        id: 'P2',
        type: 'candidate-pair',
        localCandidateId: 'L',
        remoteCandidateId: 'R',
        state: 'succeeded',
        nominated: true,
        currentRoundTripTime: 0.0125,
        bytesSent: 10,
        bytesReceived: 20,
        priority: 1,
      },
      {
        id: 'L',
        type: 'local-candidate',
        candidateType: 'relay',
        protocol: 'udp',
        relayProtocol: 'tls',
        address: '2001:db8::1',
        port: 5,
      },
      { id: 'R', type: 'remote-candidate', candidateType: 'srflx', protocol: 'udp', address: '192.0.2.1', port: 6 },
    ),
    NO_LINES,
  )
  expect(pairs.map(({ id }) => id)).toEqual(['P2', 'P1'])
  expect(pairs[0]).toEqual({
    id: 'P2',
    local: { type: 'relay', address: '[2001:db8::1]:5', protocol: 'udp via tls', relayProtocol: 'tls' },
    remote: { type: 'srflx', address: '192.0.2.1:6', protocol: 'udp' },
    state: 'succeeded',
    nominated: true,
    selected: true,
    roundTripTime: 12.5,
    bytesSent: 10,
    bytesReceived: 20,
  })
})

test('reads what Firefox reports: the pair itself is marked, much is missing', () => {
  const [pair] = readPairs(report({ id: 'P', type: 'candidate-pair', selected: true }), NO_LINES)
  expect(pair).toMatchObject({ selected: true, state: 'unknown', roundTripTime: undefined, bytesSent: 0 })
  expect(pair?.local.address).toBe('withheld')
})

test('an address that is withheld gets the mDNS name under which it was signaled', () => {
  const sdp = 'v=0\r\na=candidate:1 1 udp 2113937151 4f3a0c1e-0000-4000-8000-000000000000.local 40000 typ host\r\n'
  const [pair] = readPairs(
    report(
      { id: 'P', type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R' },
      { id: 'L', type: 'local-candidate', candidateType: 'host', address: '', port: 40_000 },
      { id: 'R', type: 'remote-candidate', candidateType: 'prflx', address: '(redacted)', port: 50_000 },
    ),
    { local: candidateLines(sdp), remote: [] },
  )
  expect(pair?.local.address).toBe('4f3a0c1e-0000-4000-8000-000000000000.local:40000')
  expect(pair?.remote.address).toBe('withheld:50000')
})

test.each<[Pair['local']['type'], Pair['remote']['type'], string[]]>([
  ['host', 'host', ['browser', 'node']],
  ['srflx', 'host', ['browser', 'nat', 'node']],
  ['prflx', 'relay', ['browser', 'nat', 'relay', 'node']],
  ['relay', 'srflx', ['browser', 'relay', 'nat', 'node']],
  ['host', 'prflx', ['browser', 'node']],
])('a path %s – %s goes by %j', (local, remote, kinds) => {
  const pair = { local: end(local), remote: end(remote) } as Pair
  expect(hopsOf(pair, 'node').map(({ kind }) => kind)).toEqual(kinds)
  expect(describePath(pair, 'node')).toMatch(/^This browser.*Node peer.*, over udp$/)
})

test.each<[Pair['local'], Pair['remote'], RegExp]>([
  [end('host'), end('srflx'), /^Direct: .*no server/],
  [{ ...end('relay'), relayProtocol: 'tls' }, end('srflx'), /^Relayed: this browser .* over TLS, .* cannot read/],
  [{ ...end('relay'), relayProtocol: 'udp' }, end('relay'), /^Relayed: this browser .* over UDP, .* of the other side/],
  [end('relay'), end('host'), /^Relayed: this browser reaches a relay server, which/],
  [end('prflx'), end('relay'), /^Relayed: the other side uses a relay server/],
])('in plain words, %j – %j', (local, remote, words) => {
  expect(explainPath({ local, remote } as Pair)).toMatch(words)
})

test('without a pair, nobody pretends to know the path', () => {
  expect(hopsOf(undefined, undefined).map(({ kind }) => kind)).toEqual(['browser', 'unknown', 'browser'])
})

function report(...entries: { id: string; type: string; [member: string]: unknown }[]): Map<string, unknown> {
  return new Map(entries.map((entry) => [entry.id, entry]))
}

function end(type: Pair['local']['type']): Pair['local'] {
  return { type, address: '192.0.2.1:1', protocol: 'udp' }
}
