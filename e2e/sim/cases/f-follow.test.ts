/** Networks and pairs that come back, and a peer that goes elsewhere. F48, F50, F51 and F57 are in f-path-switch. */
import { type LocalBase, SearchGate } from '@floe/ice'
import { decode, sameAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { NatBehavior } from '../../topology/behavior.ts'
import { LINUX_MASQUERADE } from '../../topology/nat-types.ts'
import { assertAgreement, isRelayed } from '../invariants.ts'
import type { Peer, PeerOptions } from '../peer.ts'
import { EVERY, longestGap, switchesSince, talk } from '../talk.ts'
import type { Datagram } from '../trace.ts'
import { simulate } from '../world.ts'

const LINK = { latency: 20 }

describe.each([
  ['a', 'controlling'],
  ['b', 'controlled'],
] as const)('F49 the other end of %s, the %s one, fails over', (name, _role) => {
  test('followed with data and nomination, and nothing moves twice', () =>
    simulate(1, (world) => {
      // Both ends have two networks: four pairs, of which one end's choice leaves two.
      const [a, b] = ['a', 'b'].map((one) => world.peer(one, [{ link: LINK }, { link: LINK }])) as [Peer, Peer]
      world.connect(a, b)
      world.run(3_000)
      talk(world, [a, b], 3_000)
      const mover = name === 'a' ? a : b
      const lost = mover.selected!.local.base!
      world.network.rules.push(({ source, destination }: Datagram) =>
        [source, destination].some((end) => sameAddress(end, lost)) ? 'path cut' : undefined,
      )
      const cut = world.now
      talk(world, [a, b], 60_000)
      expect([switchesSince(a, cut).length, switchesSince(b, cut).length]).toEqual([1, 1])
      for (const peer of [a, b]) expect(longestGap(peer, cut)).toBeLessThan(1_000)
      assertAgreement(world, a, b)
    }))
})

/** One of three networks, whose path is in use, falls silent, and the two ends have different ideas of which is next. */
test.each([
  { name: 'a', latencies: [60, 60, 10], every: 50, seed: 1, what: 'the controlled end finds it dead first' },
  { name: 'b', latencies: [60, 60, 10], every: 50, seed: 1, what: 'the same the other way round' },
  { name: 'a', latencies: [30, 20, 5], nat: 1, every: 20, seed: 2, what: 'the peer’s data takes a second path first' },
  { name: 'a', latencies: [60, 60, 10], nat: 1, every: 50, seed: 2, what: 'and does so for longer' },
])('F49 the controlled end goes where it is told to, and nowhere before: $what', (scene) =>
  simulate(scene.seed, (world) => {
    const three = scene.latencies.map((latency, index) => ({
      link: { latency },
      ...(index === scene.nat && { nat: LINUX_MASQUERADE }),
    }))
    const networks = (name: string) => (name === scene.name ? three : [{ link: LINK }])
    const [a, b] = [world.peer('a', networks('a')), world.peer('b', networks('b'))]
    world.connect(a, b)
    world.run(3_000)
    talk(world, [a, b], 7_000, scene.every)
    const lost = (scene.name === 'a' ? a : b).selected!.local.base!
    world.network.rules.push(({ source, destination }: Datagram) =>
      [source, destination].some((end) => sameAddress(end, lost)) ? 'path cut' : undefined,
    )
    const cut = world.now
    talk(world, [a, b], 6_000, scene.every)
    expect(b.agent.role).toBe('controlled')
    expect([switchesSince(a, cut), switchesSince(b, cut)]).toEqual([
      ['the pair before is dead'],
      ['renominated by the peer'],
    ])
    // Data takes both paths meanwhile.
    for (const peer of [a, b]) expect(longestGap(peer, cut)).toBeLessThan(1_000)
    assertAgreement(world, a, b)
  }),
)

test('F49 a controlling end that says nothing is not waited for', () =>
  simulate(1, (world) => {
    const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', [{ link: LINK }, { link: LINK }])]
    world.connect(a, b)
    world.run(3_000)
    talk(world, [a, b], 3_000)
    const lost = b.selected!.local.base!
    // It goes on where it is, like Firefox: what it hears elsewhere it does not believe.
    world.network.rules.push(({ source, destination, bytes }: Datagram) => {
      if ([source, destination].some((end) => sameAddress(end, lost))) return 'path cut'
      return source.ip === a.host.attachments[0]!.ip && decode(bytes)?.attributes.useCandidate ? 'not said' : undefined
    })
    const cut = world.now
    talk(world, [b], 3_000)
    expect(switchesSince(b, cut)).toEqual(['the pair before is dead'])
    expect(b.agent.switches.at(-1)!.at - cut).toBeLessThan(2_500)
    expect(longestGap(a, cut)).toBeLessThan(1_000)
  }))

describe('F52 a new interface appears', () => {
  test('its candidates are signalled, and data leaves the relay for the direct path it brings', () =>
    simulate(2, (world) => {
      const relay = world.turnServer()
      const closed = { firewall: { outgoingPorts: [relay.address.port] }, link: LINK }
      const [a, b] = [world.peer('a', closed), world.peer('b', { link: LINK })]
      world.connect(a, b)
      world.run(10_000)
      expect(isRelayed(a.selected!)).toBe(true)
      const appeared = world.now
      const { ip } = world.attach(a.host, { link: LINK })
      const { address } = a.addAddress(ip)
      a.call((agent) => agent.gather(world.now, [{ address }]))
      talk(world, [a, b], 10_000)
      const told = a.outputs('candidate').map(({ candidate }) => candidate?.address.ip)
      expect(told).toContain(ip)
      expect(a.selected!.local.base!.ip).toBe(ip)
      expect(switchesSince(a, appeared)).toHaveLength(1)
      for (const peer of [a, b]) expect(longestGap(peer, appeared + EVERY)).toBeLessThan(200)
      // Data goes over one path: nothing is left of the move.
      const before = [a, b].map(({ packetsSent }) => packetsSent)
      talk(world, [a, b], 1_000)
      for (const [n, { packetsSent }] of [a, b].entries()) expect(packetsSent - before[n]!).toBeLessThan(60)
      assertAgreement(world, a, b)
    }))
})

test('F53 an interface goes: its candidates are withdrawn, the peer is told, and data goes on at once', () =>
  simulate(3, (world) => {
    const [a, b] = [world.peer('a', [{ link: LINK }, { link: LINK }]), world.peer('b', { link: LINK })]
    world.connect(a, b)
    world.run(3_000)
    talk(world, [a, b], 2_000)
    const { ip } = a.selected!.local.base!
    const gone = world.now
    a.removeAddress(ip)
    const [removed] = a.outputs('candidatesremoved')
    b.call((agent) => agent.removeRemoteCandidates(world.now, removed!.candidates))
    talk(world, [a, b], 5_000)
    expect(removed!.candidates.map(({ address }) => address.ip)).toContain(ip)
    expect(b.agent.checklist.some(({ remote }) => remote.address.ip === ip)).toBe(false)
    for (const peer of [a, b]) expect(longestGap(peer, gone)).toBeLessThan(300)
  }))

test('F54 a pair that has failed is back as soon as the peer is heard on it', () =>
  simulate(4, (world) => {
    const [a, b] = [world.peer('a', [{ link: LINK }, { link: LINK }]), world.peer('b', { link: LINK })]
    let isCut = true
    const first = a.host.attachments[0]!.ip
    world.network.rules.push(({ source, destination }: Datagram) =>
      isCut && [source.ip, destination.ip].includes(first) ? 'path cut' : undefined,
    )
    world.connect(a, b)
    world.run(60_000)
    const pair = a.agent.checklist.find(({ local }) => local.base?.ip === first)!
    expect(pair.state).toBe('failed')
    isCut = false
    // The peer's check alone: nothing at this end has a reason to try.
    const mine = b.agent.checklist.find(({ remote }) => remote.address.ip === first)!
    expect(mine.state).toBe('failed')
    b.call((agent) => agent.removeRemoteCandidates(world.now, [mine.remote]))
    b.addRemoteCandidate(mine.remote)
    world.run(1_000)
    expect(pair.state).toBe('succeeded')
    expect([a.connected, b.connected]).toEqual([true, true])
  }))

describe('F55 adapters: Wi-Fi, cellular, VPN', () => {
  const COST = { wifi: 10, cellular: 900, vpn: 51, wired: 0 }
  type Kind = keyof typeof COST

  function usedOf(kinds: readonly Kind[], options: (kindOf: (ip: string) => Kind) => PeerOptions = () => ({})): Kind {
    return simulate(5, (world) => {
      const kindOf = (ip: string): Kind => kinds[a.host.attachments.findIndex((one) => one.ip === ip)]!
      const base = (ip: string): Partial<LocalBase> => ({
        network: { id: 1 + kinds.indexOf(kindOf(ip)), cost: COST[kindOf(ip)] },
      })
      const a: Peer = world.peer(
        'a',
        kinds.map(() => ({ link: LINK })),
        { base, ...options((ip) => kindOf(ip)) },
      )
      const b = world.peer('b', { link: LINK })
      world.connect(a, b)
      world.run(10_000)
      assertAgreement(world, a, b)
      return kindOf(a.selected!.local.base!.ip)
    })
  }

  test.each<[readonly Kind[], Kind]>([
    [['cellular', 'wifi'], 'wifi'],
    [['wifi', 'wired'], 'wired'],
    [['vpn', 'wifi', 'cellular'], 'wifi'],
    [['cellular', 'vpn'], 'vpn'],
  ])('of %j without further ado: %s', (kinds, used) => {
    expect(usedOf(kinds)).toBe(used)
  })

  const verdict =
    (word: 'prefer' | 'exclude') =>
    (kindOf: (ip: string) => Kind): PeerOptions => ({
      pathPolicy: ({ local }) => (kindOf(local.base!.ip) === 'vpn' ? word : undefined),
    })

  test('the VPN preferred', () => expect(usedOf(['wifi', 'vpn'], verdict('prefer'))).toBe('vpn'))
  test('the VPN avoided, for want of anything better', () => expect(usedOf(['vpn'])).toBe('vpn'))
  test('the VPN never', () => expect(usedOf(['vpn', 'cellular'], verdict('exclude'))).toBe('cellular'))
  test('nothing but the VPN', () => {
    const only = (kindOf: (ip: string) => Kind): PeerOptions => ({
      pathPolicy: ({ local }) => (kindOf(local.base!.ip) === 'vpn' ? undefined : 'exclude'),
    })
    expect(usedOf(['wifi', 'vpn', 'wired'], only)).toBe('vpn')
  })
})

test('F56 after disconnected a new candidate is checked, and connects', () =>
  simulate(6, (world) => {
    const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', { link: LINK })]
    world.connect(a, b)
    world.run(3_000)
    const first = a.selected!.local.base!
    world.network.rules.push(({ source, destination }: Datagram) =>
      [source, destination].some((end) => sameAddress(end, first)) ? 'path cut' : undefined,
    )
    world.runUntil(() => a.state === 'disconnected' && b.state === 'disconnected', 15_000)
    expect([a.state, b.state]).toEqual(['disconnected', 'disconnected'])
    const { ip } = world.attach(a.host, { link: LINK })
    const { address } = a.addAddress(ip)
    a.call((agent) => agent.gather(world.now, [{ address }]))
    world.run(3_000)
    expect([a.connected, b.connected]).toEqual([true, true])
    expect(a.agent.generation).toBe(0)
    assertAgreement(world, a, b)
  }))

describe('F57 relayed first, direct as soon as that works', () => {
  const hard: NatBehavior = {
    mapping: 'endpoint-independent',
    filtering: 'address-and-port-dependent',
    allocation: 'preserve',
  }

  // On the wires of both ends: 10 % and 19 % each way.
  test.each([0.05, 0.1])('once, and no further switch in ten minutes at a loss of %d on each wire', (loss) =>
    simulate(7, (world) => {
      world.turnServer()
      const link = { latency: 20, loss }
      const able = (): PeerOptions => ({ traversal: { hardNat: 'off', gate: new SearchGate() } })
      const [a, b] = [world.peer('a', { nat: hard, link }, able()), world.peer('b', { nat: hard, link }, able())]
      let isClosed = true
      const outside = new Set([...world.routers.values()].map(({ wan }) => wan.ip))
      world.network.rules.push(({ source, destination }: Datagram) =>
        isClosed && outside.has(destination.ip) && !source.ip.startsWith('192.0.2.') ? 'no direct way yet' : undefined,
      )
      world.connect(a, b)
      world.run(20_000)
      expect([a, b].map(({ selected }) => selected && isRelayed(selected))).toEqual([true, true])
      isClosed = false
      const opened = world.now
      talk(world, [a, b], 60_000)
      expect([a, b].map(({ selected }) => selected && isRelayed(selected))).toEqual([false, false])
      expect(switchesSince(a, opened).length).toBeLessThanOrEqual(2)
      const settled = world.now
      talk(world, [a, b], 600_000, 40)
      expect([...switchesSince(a, settled), ...switchesSince(b, settled)]).toEqual([])
    }),
  )
})
