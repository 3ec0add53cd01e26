import { expect, test } from 'vitest'
import type { Candidate, CandidateType } from '../src/candidate.ts'
import type { Pair } from '../src/candidate-pair.ts'
import { tierOf } from '../src/preference.ts'

type Kind = Pick<Candidate, 'type' | 'protocol' | 'relayProtocol' | 'extensions'>

const host: Kind = { type: 'host', protocol: 'udp' }
const hostTcp: Kind = { type: 'host', protocol: 'tcp' }
const relayOver = (relayProtocol: 'udp' | 'tcp' | 'tls'): Kind => ({ type: 'relay', protocol: 'udp', relayProtocol })
const saidToBeOver = (protocol: string): Kind => ({ ...relay, extensions: [['relay-protocol', protocol]] })
/** As a peer signals it that does not say how it reaches its relay, or reaches it over UDP. */
const relay: Kind = { type: 'relay' satisfies CandidateType, protocol: 'udp' }

test('tiers: direct UDP, TURN over UDP, TCP, TURN over TCP or TLS at either end', () => {
  const order: [Kind, Kind][][] = [
    [[host, host]],
    [
      [relayOver('udp'), host],
      [host, relay],
      [relayOver('udp'), relay],
      [host, saidToBeOver('pigeon')],
    ],
    [[hostTcp, hostTcp]],
    [
      [relayOver('tcp'), host],
      [relayOver('tls'), relay],
      [host, saidToBeOver('tcp')],
      [relayOver('udp'), saidToBeOver('tls')],
    ],
  ]
  const tiers = order.map((pairs) => pairs.map(([local, remote]) => tierOf({ local, remote } as Pair)))
  expect(tiers).toEqual([[3], [2, 2, 2, 2], [1], [0, 0, 0, 0]])
})
