/** What the agent makes of its relays: section I once more, above the Allocation. */
import type { ServerAddress } from '@floe/ice'
import { formatAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Peer, PeerOptions } from '../peer.ts'
import type { TurnServer } from '../turn-server.ts'
import { simulate, type World } from '../world.ts'

const LINK = { latency: 20 }
const RELAY_ONLY: PeerOptions = { base: () => ({ relayOnly: true }) }

/** A server as the agent is told of it. */
function turn({ address, url, username, credential }: TurnServer): Required<Pick<ServerAddress, 'address' | 'url'>> & {
  readonly username: string
  readonly credential: string
} {
  return { address, url, username, credential }
}

function relayedCandidates(peer: Peer): string[] {
  return peer.agent.localCandidates.filter(({ type }) => type === 'relay').map(({ address }) => formatAddress(address))
}

function errorsOf(peer: Peer): number[] {
  return peer.outputs('candidateerror').map(({ errorCode }) => errorCode)
}

/** `a` has nothing but relays, `b` a public address. */
function pair(world: World, servers: readonly TurnServer[]): [Peer, Peer] {
  const a = world.peer('a', { link: LINK }, { ...RELAY_ONLY, servers: servers.map(turn) })
  return [a, world.peer('b', { link: LINK }, { servers: [] })]
}

test('I72 437 on every port: three fresh ones are tried, then it is said once', () =>
  simulate(1, (world) => {
    const server = world.turnServer()
    server.behavior = { refuse: { allocate: 437 } }
    const [a] = pair(world, [server])
    a.gather()
    world.run(900)
    const ports = server.requestsFor('allocate').map(({ from }) => from.port)
    expect(new Set(ports).size).toBe(4)
    expect(errorsOf(a)).toEqual([437])
    world.run(120_000)
    expect(errorsOf(a)).toEqual([437]) // It asks again now and then, and does not say so every time.
    server.behavior = {}
    world.run(120_000)
    expect(relayedCandidates(a)).toHaveLength(2)
  }))

describe('I73 ALTERNATE-SERVER', () => {
  test('is followed', () =>
    simulate(1, (world) => {
      const [first, second] = [world.turnServer(), world.turnServer()]
      first.behavior = { refuse: { allocate: 300 }, alternate: second.address }
      const [a, b] = pair(world, [first])
      world.connect(a, b)
      world.run(3_000)
      expect(second.allocations).toHaveLength(1)
      expect(a.selected?.local).toMatchObject({ type: 'relay', address: { ip: second.address.ip } })
      expect(errorsOf(a)).toEqual([])
    }))

  test('that leads back and forth ends with 300', () =>
    simulate(1, (world) => {
      const [first, second] = [world.turnServer(), world.turnServer()]
      first.behavior = { refuse: { allocate: 300 }, alternate: second.address }
      second.behavior = { refuse: { allocate: 300 }, alternate: first.address }
      const [a] = pair(world, [first])
      a.gather()
      world.run(900)
      expect([first, second].map((server) => server.requestsFor('allocate').filter(({ signed }) => signed))).toEqual([
        [expect.anything()],
        [expect.anything()],
      ])
      expect(errorsOf(a)).toEqual([300])
      expect(a.agent.gatheringState).toBe('complete')
    }))
})

test('permissions come before checks: the server drops no first packet', () =>
  simulate(1, (world) => {
    const server = world.turnServer()
    const [a, b] = pair(world, [server])
    world.connect(a, b)
    world.runUntil(() => server.framed.sendIndications + server.framed.channelData > 0, 3_000)
    expect(server.requestsFor('createPermission')).toMatchObject([{ code: 0 }])
  }))

test('the selected pair and the backup have channels, and data goes over them', () =>
  simulate(1, (world) => {
    const servers = [world.turnServer(), world.turnServer()]
    const [a, b] = pair(world, servers)
    world.connect(a, b)
    world.run(5_000)
    for (const server of servers) expect(server.requestsFor('channelBind').map(({ code }) => code)).toContain(0)
    const before = servers.map(({ framed }) => framed.sendIndications)
    for (let i = 0; i < 5; i++) {
      a.sendText(`word ${i}`)
      world.run(100)
    }
    expect(b.received).toHaveLength(5)
    expect(servers.map(({ framed }) => framed.sendIndications)).toEqual(before)
  }))

test('I75 a peer that the relay refuses: its pairs fail at once, and no check is repeated in vain', () =>
  simulate(1, (world) => {
    const server = world.turnServer()
    const [a, b] = pair(world, [server])
    server.behavior = { refuse: { createPermission: 403 }, refusePeers: b.host.attachments.map(({ ip }) => ip) }
    world.connect(a, b)
    world.runUntil(() => a.agent.checklist.length > 0, 3_000)
    world.run(200)
    expect(a.agent.checklist.map(({ state }) => state)).toEqual(a.agent.checklist.map(() => 'failed'))
  }))

test('I76 an allocation that cannot be refreshed: its candidates go, others come, and the path is mended', () =>
  simulate(1, (world) => {
    const server = world.turnServer()
    const [a, b] = pair(world, [server])
    world.connect(a, b)
    world.run(5_000)
    const before = relayedCandidates(a)
    expect(a.connected).toBe(true)
    server.restart()
    server.behavior = {}
    world.run(600_000)
    const after = relayedCandidates(a)
    expect(after).toHaveLength(before.length)
    expect(after).not.toContain(before[0])
    expect(a.connected).toBe(true)
    a.sendText('again')
    world.run(100)
    expect(b.received.map(({ text }) => text)).toContain('again')
  }))

describe('other servers from an ICE restart on', () => {
  const change = (server: TurnServer, credential = server.credential) => ({
    keeps: ({ url }: ServerAddress) => url === server.url && credential === server.credential,
    adds: [{ scheme: 'turn', protocol: 'udp', ...turn(server), credential } as const],
    complete: true,
  })

  test('the old relay carries data until there is a new path, and is given back then', () =>
    simulate(1, (world) => {
      const [first, second] = [world.turnServer(), world.turnServer()]
      const [a, b] = pair(world, [first])
      const signaling = world.connect(a, b)
      world.run(5_000)
      const { restart } = a
      a.restart = () => a.call((agent) => agent.restart(a.now, { ...change(second), keeps: () => false }))
      signaling.restart(a)
      a.restart = restart
      for (let i = 0; i < 60; i++) {
        expect(a.sendText(`word ${i}`)).toBe(true)
        world.run(20)
      }
      world.run(100)
      expect(b.received.filter(({ text }) => text.startsWith('word'))).toHaveLength(60)
      expect(a.selected?.local.address.ip).toBe(second.address.ip)
      const ofSecond = [second.address.ip, second.address6!.ip]
      const relayed = a.agent.localCandidates.filter(({ type }) => type === 'relay')
      expect(relayed.filter(({ address }) => !ofSecond.includes(address.ip))).toEqual([])
      world.run(30_000)
      expect([first.allocations, second.allocations].map(({ length }) => length)).toEqual([0, 1])
      expect(a.connected).toBe(true)
    }))

  test('credentials that were wrong are not asked with again', () =>
    simulate(1, (world) => {
      const server = world.turnServer()
      const [, b] = pair(world, [])
      const a = world.peer('c', { link: LINK }, { ...RELAY_ONLY, servers: [{ ...turn(server), credential: 'wrong' }] })
      const signaling = world.connect(a, b)
      world.run(3_000)
      expect(errorsOf(a)).toEqual([401])
      const { length } = server.requests
      a.restart = () => a.call((agent) => agent.restart(a.now, { ...change(server), keeps: () => false }))
      signaling.restart(a)
      world.run(5_000)
      expect(a.connected).toBe(true)
      expect(errorsOf(a)).toEqual([401])
      expect(server.requests.slice(length).filter(({ code, signed }) => signed && code === 401)).toEqual([])
    }))
})

test('a server of a family that no base has is named, and nothing waits for it', () =>
  simulate(1, (world) => {
    const server = world.turnServer()
    const only6 = { ...turn(server), address: server.address6! }
    const a = world.peer('a', { link: LINK }, { ...RELAY_ONLY, servers: [only6] })
    a.gather()
    world.run(100)
    expect(a.outputs('candidateerror')).toMatchObject([{ url: server.url, errorCode: 701 }])
    expect(a.agent.gatheringState).toBe('complete')
  }))

test('permissions of a generation that has served its time are not renewed', () =>
  simulate(1, (world) => {
    const server = world.turnServer()
    const a = world.peer('a', { link: LINK }, { ...RELAY_ONLY, servers: [turn(server)] })
    const b = world.peer('b', [{ link: LINK }, { link: LINK }], { servers: [] })
    const signaling = world.connect(a, b)
    world.run(5_000)
    const [stays, goes] = b.host.attachments.map(({ ip }) => ip) as [string, string]
    const permitted = () => [stays, goes].map((ip) => server.allocations[0]!.permits(ip))
    expect(permitted()).toEqual([true, true])
    b.removeAddress(goes)
    signaling.restart(a)
    world.run(400_000)
    expect(a.connected).toBe(true)
    expect(permitted()).toEqual([true, false])
  }))
