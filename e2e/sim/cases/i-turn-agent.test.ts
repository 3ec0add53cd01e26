/** What the agent makes of its relays: section I once more, above the Allocation. */
import type { ServerAddress } from '@floe/ice'
import { formatAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Peer, PeerOptions } from '../peer.ts'
import { TCP_PORT, type TurnServer } from '../turn-server.ts'
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

describe('RFC 8016 mobility', () => {
  /** `a`, connected over the relay alone, loses its address, and has another one `after` so many ms. */
  function wander(world: World, server: TurnServer, after: number, protocol: 'udp' | 'tcp'): [Peer, Peer] {
    const address = protocol === 'tcp' ? { ip: server.address.ip, port: TCP_PORT } : server.address
    const servers = [{ ...turn(server), address, protocol, mobility: true }]
    const a = world.peer('a', { link: LINK }, { ...RELAY_ONLY, servers })
    const b = world.peer('b', { link: LINK }, { servers: [] })
    world.connect(a, b)
    world.run(5_000)
    const { realm, ip } = a.host.attachments[0]!
    const leave = () => {
      a.host.detach(ip)
      a.removeAddress(ip)
    }
    if (after > 0) leave()
    world.run(after)
    a.host.attach(realm, OTHER, LINK)
    a.addAddress(OTHER)
    a.gather()
    if (after === 0) leave()
    return [a, b]
  }

  const OTHER = '192.0.2.77'

  test.each([
    { protocol: 'udp', after: 3_000 },
    { protocol: 'udp', after: 0 },
    { protocol: 'tcp', after: 3_000 },
    { protocol: 'tcp', after: 0 },
  ] as const)(
    'over $protocol, another address after $after ms: the relayed one stays, and nobody restarts',
    ({ protocol, after }) =>
      simulate(1, (world) => {
        const server = world.turnServer({ tcp: true })
        server.behavior = { mobility: true }
        const [a, b] = wander(world, server, after, protocol)
        const known = new Set(relayedCandidates(a))
        world.run(1_000)
        expect(a.sendText('from elsewhere')).toBe(true)
        expect(b.sendText('to elsewhere')).toBe(true)
        world.run(200)
        expect(b.received.map(({ text }) => text)).toEqual(['from elsewhere'])
        expect(a.received.map(({ text }) => text)).toEqual(['to elsewhere'])
        expect(known.has(formatAddress(a.selected!.local.address))).toBe(true)
        world.run(600_000)
        expect([a, b].map(({ connected }) => connected)).toEqual([true, true])
        expect([a, b].flatMap((peer) => peer.outputs('state')).map(({ state }) => state)).not.toContain('failed')
      }),
  )

  test('a server that does not let it move: the relay is made anew', () =>
    simulate(1, (world) => {
      const server = world.turnServer()
      server.behavior = { mobility: true }
      const [a] = wander(world, server, 3_000, 'udp')
      const before = relayedCandidates(a)
      server.behavior = { mobility: true, refuse: { refresh: 405 } }
      world.run(1_000)
      server.behavior = {}
      world.run(20_000)
      const after = relayedCandidates(a)
      expect(after).toHaveLength(before.length)
      expect(after).not.toContain(before[0])
    }))

  test('no other address comes: the relay is lost when nobody can wait for it any more', () =>
    simulate(1, (world) => {
      const server = world.turnServer()
      server.behavior = { mobility: true }
      const a = world.peer('a', { link: LINK }, { ...RELAY_ONLY, servers: [{ ...turn(server), mobility: true }] })
      a.gather()
      world.run(2_000)
      const { ip } = a.host.attachments[0]!
      a.host.detach(ip)
      a.removeAddress(ip)
      world.run(20_000)
      expect(relayedCandidates(a)).toHaveLength(2)
      world.run(20_000)
      expect(relayedCandidates(a)).toEqual([])
    }))
})

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
