import { describe, expect, test } from 'vitest'
import type { Candidate } from '../src/candidate.ts'
import { Pair } from '../src/candidate-pair.ts'
import { sharedWays, waysOf } from '../src/ways.ts'

const candidate = (type: Candidate['type'], ip: string, network?: number): Candidate => ({
  type,
  protocol: 'udp',
  address: { ip, port: 5_000 },
  foundation: '1',
  component: 1,
  priority: 1,
  ...(network !== undefined && { extensions: [['network-id', String(network)]] }),
})

const WIFI = candidate('host', '10.0.0.1')
const RELAY = candidate('relay', '192.0.2.1')

/** Our relay at 192.0.2.9 is reached over `wlan0`. */
const ways = (local: Candidate, remote: Candidate, told?: number) => {
  const pair = new Pair('1', local, remote, 'controlling')
  if (told !== undefined) pair.peersNetwork = { id: told, cost: 0 }
  const wayOut = ({ ip }: Candidate['address']) => ({
    via: ip === '10.0.1.1' ? 'eth0' : 'wlan0',
    relay: ip === RELAY.address.ip ? '192.0.2.9' : undefined,
  })
  return waysOf(pair, { wayOut })
}

describe('what a path leads through', () => {
  test('a relay is no network of its own: it dies with the interface that leads to it, and with its server', () => {
    expect(ways(RELAY, candidate('host', '203.0.113.1'))).toEqual({
      ours: 'wlan0',
      peers: '203.0.113.1',
      relays: ['192.0.2.9'],
    })
  })

  test('a relay of the peer’s hides its network, unless the peer tells', () => {
    const hidden = candidate('relay', '192.0.2.2')
    expect(ways(WIFI, hidden)).toEqual({ ours: 'wlan0', peers: undefined, relays: ['192.0.2.2'] })
    expect(ways(WIFI, candidate('relay', '192.0.2.2', 3)).peers).toBe('network 3')
    expect(ways(WIFI, hidden, 4).peers).toBe('network 4')
    expect(ways(WIFI, candidate('host', '203.0.113.1', 0)).peers).toBe('203.0.113.1')
  })

  test.each([
    ['all', ways(WIFI, candidate('host', '203.0.113.1')), 2],
    ['the peer’s address', ways(candidate('host', '10.0.1.1'), candidate('host', '203.0.113.1')), 1],
    ['our interface', ways(RELAY, candidate('host', '203.0.113.2')), 1],
    ['nothing', ways(candidate('host', '10.0.1.1'), candidate('relay', '192.0.2.2')), 0],
  ])('in common with a path over Wi-Fi: %s', (_, other, shared) => {
    expect(sharedWays(ways(WIFI, candidate('host', '203.0.113.1')), other)).toBe(shared)
  })

  test('two relays on one server have that in common, also where one is ours and one the peer’s', () => {
    const mine = ways(RELAY, candidate('relay', '192.0.2.2'))
    expect(sharedWays(mine, ways(candidate('host', '10.0.1.1'), candidate('relay', '192.0.2.9')))).toBe(1)
  })
})
