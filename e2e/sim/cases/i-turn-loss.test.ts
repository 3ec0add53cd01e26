/** Relays that are lost, refused or never to be had: what the agent makes of it, and how often it asks. */
import { formatAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Peer, ServerAddress } from '../peer.ts'
import { TCP_PORT, type TurnBehavior, type TurnServer } from '../turn-server.ts'
import { simulate, type World } from '../world.ts'

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

describe('a relay that is lost as soon as it is there is asked for at a pace', () => {
  const cases: [name: string, TurnBehavior, protocol: 'udp' | 'tcp'][] = [
    ['CreatePermission is answered 437', { refuse: { createPermission: 437 } }, 'udp'],
    ['ChannelBind is answered 437', { refuse: { channelBind: 437 } }, 'udp'],
    ['the connection is ended after 5 ms', { hangsUpAfter: 5 }, 'tcp'],
    ['the connection is ended after 5 ms, and after every move', { hangsUpAfter: 5, mobility: true }, 'tcp'],
  ]
  test.each(cases)('%s', (_name, behavior, protocol) =>
    simulate(1, (world) => {
      const server = world.turnServer({ tcp: protocol === 'tcp' })
      server.behavior = behavior
      const [a, b] = relayed(world, server, protocol)
      world.connect(a, b)
      world.run(95_000)
      const before = server.requests.length
      expect(granted(server).length).toBeGreaterThan(2)
      expect(granted(server).length).toBeLessThan(20)
      expect(a.outputs('candidateerror').length).toBeLessThan(3)
      world.run(300_000)
      expect(server.requests.length - before).toBeLessThan(80)
      server.behavior = { mobility: behavior.mobility ?? false }
      world.run(61_000)
      expect(relayedCandidates(a)).toHaveLength(2)
    }),
  )

  test('and one that was there for long is made anew at once', () =>
    simulate(1, (world) => {
      const server = world.turnServer()
      const [a, b] = relayed(world, server)
      world.connect(a, b)
      for (let i = 0; i < 3; i++) {
        world.run(100_000)
        server.restart()
        world.runUntil(() => relayedCandidates(a).length === 0, 600_000)
        const lostAt = world.now
        world.runUntil(() => relayedCandidates(a).length > 0, 600_000)
        expect(world.now - lostAt).toBeLessThan(1_000)
      }
    }))
})

describe('I76 Refresh is refused for good', () => {
  test.each([400, 403, 441])('%i: the relay is made anew, once', (code) =>
    simulate(1, (world) => {
      const server = world.turnServer()
      const [a, b] = relayed(world, server)
      world.connect(a, b)
      world.run(5_000)
      const before = relayedCandidates(a)
      server.behavior = { refuse: { refresh: code } }
      world.run(600_000)
      const after = relayedCandidates(a)
      expect(after).toHaveLength(before.length)
      expect(after).not.toContain(before[0])
      expect(granted(server)).toHaveLength(2)
      expect(a.connected).toBe(true)
      expect(a.outputs('candidateerror')).toMatchObject([{ errorCode: code }])
    }),
  )

  test('and so is Allocate from then on: it is not asked again', () =>
    simulate(1, (world) => {
      const server = world.turnServer()
      const [a, b] = relayed(world, server)
      world.connect(a, b)
      world.run(5_000)
      server.behavior = { refuse: { refresh: 403, allocate: 403 } }
      world.run(600_000)
      const { length } = server.requests
      expect(server.requestsFor('allocate').filter(({ signed, code }) => signed && code === 403)).toHaveLength(1)
      world.run(600_000)
      expect(server.requests).toHaveLength(length)
    }))
})

/** `a` has nothing but relays on this server, `b` a public address. */
function relayed(world: World, server: TurnServer, protocol: 'udp' | 'tcp' = 'udp'): [Peer, Peer] {
  const { url, username, credential } = server
  const address = protocol === 'tcp' ? { ip: server.address.ip, port: TCP_PORT } : server.address
  const servers = [{ address, url, username, credential, protocol, mobility: server.behavior.mobility ?? false }]
  const a = world.peer('a', { link: LINK }, { base: () => ({ relayOnly: true }), servers })
  return [a, world.peer('b', { link: LINK }, { servers: [] })]
}

function granted(server: TurnServer) {
  return server.requestsFor('allocate').filter(({ code }) => code === 0)
}

function relayedCandidates(peer: Peer): string[] {
  return peer.agent.localCandidates.filter(({ type }) => type === 'relay').map(({ address }) => formatAddress(address))
}
