import { addressFamily } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { parseCandidate, RELAY_REASONS, type RelayEvidence, whyRelayed } from '../src/index.ts'

const c = (words: string) => parseCandidate(`candidate:1 1 udp 1 ${words}`)!
const HOST = c('192.168.1.2 5000 typ host')
const OUTSIDE = c('203.0.113.1 5000 typ srflx raddr 192.168.1.2 rport 5000')
const AGAIN = c('203.0.113.1 7000 typ srflx raddr 192.168.1.2 rport 5000')
const MAPPED_ELSEWHERE = c('203.0.113.1 7001 typ srflx raddr 192.168.1.2 rport 5001')
const SIX = c('fd00::1 5000 typ host')
const RELAY = c('192.0.2.1 9000 typ relay raddr 0.0.0.0 rport 9')
const NAME = c('d7c9a1c0.local 5000 typ host')

function evidence(
  local: RelayEvidence['localCandidates'],
  remote: RelayEvidence['remoteCandidates'],
  state = 'failed',
) {
  const all = local.flatMap((a) => remote.map((b) => ({ local: a, remote: b, state })))
  const pairs = all.filter((pair) => addressFamily(pair.local.address.ip) === addressFamily(pair.remote.address.ip))
  return { localCandidates: local, remoteCandidates: remote, pairs, selectedPair: { local: RELAY, remote: HOST } }
}

describe('whyRelayed', () => {
  test.each([
    ['local-relay-only', evidence([RELAY], [HOST, OUTSIDE])],
    ['remote-relay-only', evidence([HOST, OUTSIDE], [RELAY])],
    ['checking', evidence([HOST], [OUTSIDE], 'in-progress')],
    ['relay-preferred', evidence([HOST], [OUTSIDE], 'succeeded')],
    ['no-common-family', evidence([HOST, OUTSIDE], [SIX])],
    ['local-not-reflexive', evidence([HOST, RELAY], [OUTSIDE])],
    ['remote-not-reflexive', evidence([OUTSIDE], [HOST])],
    ['remote-not-reflexive', evidence([OUTSIDE], [NAME])],
    ['both-endpoint-dependent', evidence([OUTSIDE, AGAIN], [AGAIN, OUTSIDE])],
    ['local-endpoint-dependent', evidence([OUTSIDE, AGAIN], [OUTSIDE])],
    ['remote-endpoint-dependent', evidence([OUTSIDE, MAPPED_ELSEWHERE], [OUTSIDE, AGAIN])],
    ['no-answer', evidence([OUTSIDE, MAPPED_ELSEWHERE], [OUTSIDE])],
  ] as const)('%s', (reason, given) => {
    expect(whyRelayed(given)).toBe(reason)
    expect(RELAY_REASONS[reason]).toMatch(/^[a-z]/)
  })

  test('what the router has mapped says nothing of its NAT', () => {
    const seen = { ...OUTSIDE, url: 'stun:192.0.2.1' }
    expect(whyRelayed(evidence([seen, AGAIN], [OUTSIDE]))).toBe('no-answer')
    expect(whyRelayed(evidence([seen, { ...AGAIN, url: 'stun:192.0.2.2' }], [OUTSIDE]))).toBe(
      'local-endpoint-dependent',
    )
  })

  test('a NAT64 makes IPv6 and IPv4 a pair', () => {
    const pairs = [{ local: SIX, remote: OUTSIDE, state: 'failed' }]
    expect(whyRelayed({ ...evidence([SIX], [OUTSIDE]), pairs })).toBe('local-not-reflexive')
  })

  test('nothing to explain: a direct path, or none', () => {
    const given = evidence([HOST], [HOST])
    expect(whyRelayed({ ...given, selectedPair: { local: HOST, remote: OUTSIDE } })).toBeUndefined()
    expect(whyRelayed({ ...given, selectedPair: undefined })).toBeUndefined()
  })
})
