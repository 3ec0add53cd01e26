/** What is kept warm beside the path in use, and which of it takes the data at once. F51 by number is in f-path-switch. */
import { sameAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { LINUX_MASQUERADE } from '../../topology/nat-types.ts'
import { isRelayed } from '../invariants.ts'
import type { Peer } from '../peer.ts'
import { Traffic } from '../traffic.ts'
import { simulate, type World } from '../world.ts'

const NAT = { nat: LINUX_MASQUERADE }
const EVERY = 50

/** Connected, with traffic both ways for twenty seconds. */
function talking(world: World, networks: number, relays: number): readonly [Peer, Peer, Traffic] {
  for (let n = 0; n < relays; n++) world.turnServer({ link: { latency: 10 } })
  const placements = Array.from({ length: networks }, (_, n) => ({ ...NAT, link: { latency: 20 + 5 * n } }))
  const [a, b] = [world.peer('a', placements), world.peer('b', { link: { latency: 20 } })]
  world.connect(a, b)
  world.run(3_000)
  const traffic = new Traffic(a, b)
  traffic.start({ interval: EVERY })
  world.run(20_000)
  expect([a.connected, b.connected]).toEqual([true, true])
  return [a, b, traffic]
}

/** The networks of `peer` that nothing, or none but what passes, gets in or out of from now on. */
function cut(world: World, peer: Peer, indices: readonly number[], passes: 'nothing' | 'checks' = 'nothing') {
  for (const index of indices) {
    const { up, down } = peer.host.attachments[index]!
    for (const link of [up, down]) link.quality = { ...link.quality, drops: passes === 'checks' ? 'data' : 'all' }
  }
  return world.now
}

function networkInUse({ host, selected }: Peer): number {
  return host.attachments.findIndex(({ ip }) => sameAddress({ ip, port: 0 }, { ip: selected!.local.base!.ip, port: 0 }))
}

describe.each([0, 1, 2])('with %d relays, reached over either of two networks', (relays) => {
  test('the network in use dies without a word: data is back within a second', () =>
    simulate(1, (world) => {
      const [a, b, traffic] = talking(world, 2, relays)
      const died = cut(world, a, [networkInUse(a)])
      world.run(20_000)
      expect(traffic.longestGap(died)).toBeLessThan(1_000)
      for (const { agent } of [a, b]) expect(agent.switches.filter(({ at }) => at >= died)).toHaveLength(1)
    }))

  test('it swallows data and lets checks pass: data is back as soon as the layer above has said so', () =>
    simulate(2, (world) => {
      const [a, , traffic] = talking(world, 2, relays)
      const died = cut(world, a, [networkInUse(a)], 'checks')
      world.run(20_000)
      expect(traffic.longestGap(died)).toBeLessThan(1_500)
    }))
})

/** Both ends have one network; what one of their wires does to packets of the other end and to those of relays differs. */
function cutDirect(world: World, [a, b]: readonly Peer[], until: number) {
  const isHome = (ip: string) => [a, b].some((peer) => peer!.host.attachments.some((one) => one.ip === ip))
  world.network.rules.push(({ source, destination }) =>
    world.now < until && isHome(source.ip) && isHome(destination.ip) ? 'path cut' : undefined,
  )
}

test('F57 a direct path that was dead for minutes, while data took a relay, is found to be back each time', () =>
  simulate(5, (world) => {
    for (let n = 0; n < 2; n++) world.turnServer()
    const link = { latency: 20 }
    const [a, b] = [world.peer('a', { link }), world.peer('b', { link })]
    world.connect(a, b)
    const traffic = new Traffic(a, b)
    traffic.start({ interval: EVERY })
    world.run(5_000)
    for (let round = 0; round < 3; round++) {
      cutDirect(world, [a, b], world.now + 300_000)
      const died = world.now
      world.run(300_000)
      expect([a, b].map(({ selected }) => isRelayed(selected!))).toEqual([true, true])
      world.run(round === 0 ? 35_000 : 65_000)
      expect([a, b].map(({ selected }) => isRelayed(selected!))).toEqual([false, false])
      expect(a.agent.switches.filter(({ at }) => at >= died)).toHaveLength(2)
    }
  }))

test('F57 a direct path that failed at first is tried once a minute while data goes another direct way', () =>
  simulate(6, (world) => {
    const [a, b] = [world.peer('a', [{ link: { latency: 5 } }, { link: { latency: 40 } }]), world.peer('b', {})]
    const { up, down } = a.host.attachments[0]!
    for (const link of [up, down]) link.quality = { latency: 5, drops: 'all' }
    world.connect(a, b)
    world.run(120_000)
    expect([networkInUse(a), a.agent.checklist.some(({ state }) => state === 'failed')]).toEqual([1, true])
    for (const link of [up, down]) link.quality = { latency: 5 }
    world.run(70_000)
    expect(networkInUse(a)).toBe(0)
    expect(a.agent.switches).toHaveLength(1)
  }))

test('of five networks four die at once, backups and all: the fifth is asked as well, and takes over', () =>
  simulate(3, (world) => {
    const [a, , traffic] = talking(world, 5, 1)
    const survivor = 4
    expect(networkInUse(a)).not.toBe(survivor)
    const died = cut(world, a, [0, 1, 2, 3])
    world.run(20_000)
    expect(networkInUse(a)).toBe(survivor)
    expect(traffic.longestGap(died)).toBeLessThan(1_500)
  }))

test('a second path that was of use once is chosen anew the next time: it may have died since', () =>
  simulate(4, (world) => {
    const [a, b, traffic] = talking(world, 3, 0)
    const first = networkInUse(a)
    const others = [0, 1, 2].filter((index) => index !== first)
    // Data goes over two paths for a while, and nothing comes of it.
    for (const { agent } of [a, b]) agent.reportNoProgress(world.now)
    world.run(10_000)
    cut(world, a, [others[0]!])
    world.run(40_000)
    expect(networkInUse(a)).toBe(first)
    const died = cut(world, a, [first], 'checks')
    world.run(20_000)
    expect(networkInUse(a)).toBe(others[1])
    expect(traffic.longestGap(died)).toBeLessThan(1_500)
  }))
