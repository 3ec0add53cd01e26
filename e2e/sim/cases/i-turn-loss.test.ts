/** Relays that are lost, refused or never to be had: what the agent makes of it, and how often it asks. */
import { formatAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Peer, ServerAddress } from '../peer.ts'
import { simulate } from '../world.ts'

const LINK = { latency: 20 }

describe('credentials that no request has room for', () => {
  const cases: [name: string, Partial<ServerAddress>][] = [
    ['a user name of 509 bytes', { username: 'x'.repeat(509) }],
    ['a user name that is none', { username: 7 as never }],
    ['a credential that is none', { credential: {} as never }],
  ]
  test.each(cases)('%s fails the relay, and nothing is thrown', (_name, wrong) =>
    simulate(1, (world) => {
      const { address, url, username, credential } = world.turnServer()
      const server = { address, url, username, credential, ...wrong }
      const a = world.peer('a', { link: LINK }, { base: () => ({ relayOnly: true }), servers: [server] })
      a.gather()
      world.run(120_000)
      expect(a.outputs('candidateerror')).toMatchObject([{ url, errorCode: 701 }])
      expect(a.agent.gatheringState).toBe('complete')
      expect(relayedCandidates(a)).toEqual([])
    }),
  )
})

function relayedCandidates(peer: Peer): string[] {
  return peer.agent.localCandidates.filter(({ type }) => type === 'relay').map(({ address }) => formatAddress(address))
}
