import type { CandidatePair } from '@floe/ice'
import { type Address, sameAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Peer } from '../peer.ts'
import { longestGap, talk } from '../talk.ts'
import type { Datagram } from '../trace.ts'
import { simulate, type World } from '../world.ts'

const LINK = { latency: 20 } // on each side of the internet: 40 ms one way

/** Two hosts with two networks each, connected, with a backup that has been measured. */
function twoNetworks(world: World): [Peer, Peer] {
  const [a, b] = [world.peer('a', [{ link: LINK }, { link: LINK }]), world.peer('b', [{ link: LINK }, { link: LINK }])]
  world.connect(a, b)
  world.run(3_000)
  expect([a.connected, b.connected]).toEqual([true, true])
  return [a, b]
}

function cut(world: World, isCut: (datagram: Datagram) => boolean) {
  world.network.rules.push((datagram) => (isCut(datagram) ? 'path cut' : undefined))
}

function over(pair: CandidatePair, ends: (datagram: Datagram) => readonly [Address, Address]) {
  const base = pair.local.base ?? pair.local.address
  return (datagram: Datagram) => ends(datagram).some((end) => sameAddress(end, base))
}

const bothWays = ({ source, destination }: Datagram) => [source, destination] as const

function moves(peer: Peer, from: number): string[] {
  return peer.events.flatMap(({ time, output }) =>
    output.type === 'selectedpair' && time >= from ? [output.reason] : [],
  )
}

describe('F48 the selected path dies', () => {
  test.each(['a', 'b'] as const)('silently, on the network of %s: data again within a second, no restart', (name) =>
    simulate(1, (world) => {
      const [a, b] = twoNetworks(world)
      talk(world, [a, b], 3_000)
      const victim = name === 'a' ? a : b
      const died = world.now
      cut(world, over(victim.selected!, bothWays))
      talk(world, [a, b], 5_000)
      for (const peer of [a, b]) {
        expect(longestGap(peer, died)).toBeLessThan(1_000)
        expect(peer.states).not.toContain('disconnected')
        expect(moves(peer, died)).toHaveLength(1)
        expect(peer.agent.generation).toBe(0)
      }
      expect(a.selected!.remote.address).toEqual(b.selected!.local.address)
    }),
  )

  test('in one direction only: both ends leave it', () =>
    simulate(2, (world) => {
      const [a, b] = twoNetworks(world)
      talk(world, [a, b], 3_000)
      const died = world.now
      const base = a.selected!.local.base!
      cut(world, ({ source }) => sameAddress(source, base))
      talk(world, [a, b], 5_000)
      for (const peer of [a, b]) expect(longestGap(peer, died)).toBeLessThan(1_000)
      expect(sameAddress(a.selected!.local.base!, base)).toBe(false)
      expect(b.selected!.remote.address).toEqual(a.selected!.local.address)
    }))

  test('while nobody talks: consent finds out, and the backup is in use within ten seconds', () =>
    simulate(3, (world) => {
      const [a, b] = twoNetworks(world)
      world.run(30_000)
      const dead = a.selected!
      cut(world, over(dead, bothWays))
      world.run(10_000)
      expect(a.selected).not.toBe(dead)
      expect(a.sendText('here')).toBe(true)
      world.run(100)
      expect(b.received.at(-1)?.text).toBe('here')
    }))

  test('and comes back: nothing moves back before its probation is over', () =>
    simulate(4, (world) => {
      const [a, b] = twoNetworks(world)
      talk(world, [a, b], 2_000)
      const dead = a.selected!
      const rule = over(dead, bothWays)
      let isDown = true
      cut(world, (datagram) => isDown && rule(datagram))
      talk(world, [a, b], 2_000)
      isDown = false
      const back = world.now
      talk(world, [a, b], 2_500)
      expect(moves(a, back)).toEqual([])
    }))
})

test('F50 loss alone moves nothing: ten minutes at 10 % each way', () =>
  simulate(5, (world) => {
    const lossy = { latency: 20, loss: 0.1 }
    const [a, b] = [world.peer('a', [{ link: lossy }, { link: lossy }]), world.peer('b', { link: lossy })]
    world.connect(a, b)
    world.run(20_000)
    const settled = world.now
    talk(world, [a, b], 600_000)
    expect(moves(a, settled)).toEqual([])
    expect(moves(b, settled)).toEqual([])
  }))

test('F51 an idle agent keeps its backups warm at the pace of consent', () =>
  simulate(6, (world) => {
    const [a, b] = twoNetworks(world)
    world.run(60_000)
    const before = { packets: a.packetsSent, wakes: a.wakes }
    world.run(60_000)
    // 12 ticks of consent, each with one backup; and answers to as many of the peer's.
    expect(a.packetsSent - before.packets).toBeLessThanOrEqual(4 * 15)
    expect(a.wakes - before.wakes).toBeLessThanOrEqual(16)
    expect(b.connected).toBe(true)
  }))

test('F57 a faster path of the same kind takes over once, and stays', () =>
  simulate(7, (world) => {
    const [slow, fast] = [{ latency: 60 }, { latency: 10 }]
    const a = world.peer('a', [{ link: slow }, { link: fast }])
    const b = world.peer('b', { link: { latency: 5 } })
    world.connect(a, b)
    world.run(5_000)
    talk(world, [a, b], 120_000)
    const quick = a.host.attachments[1]!.ip
    expect(a.selected!.local.base!.ip).toBe(quick)
    expect(b.selected!.remote.address.ip).toBe(quick)
    expect(moves(a, 5_000).length).toBeLessThanOrEqual(1)
    const settled = world.now
    talk(world, [a, b], 120_000)
    expect(moves(a, settled)).toEqual([])
  }))

test.each([
  ['F55 a shorter round trip is no reason to pay more', 900, 0],
  ['F57 between networks that cost the same it is one', 10, 1],
])('%s', (_, cost, quick) =>
  simulate(9, (world) => {
    const placements = [{ link: { latency: 60 } }, { link: { latency: 10 } }]
    const costs = [10, cost]
    const a = world.peer('a', placements, {
      base: (ip) => {
        const index = a.host.attachments.findIndex((attachment) => attachment.ip === ip)
        return { network: { id: index + 1, cost: costs[index]! } }
      },
    })
    const b = world.peer('b', { link: { latency: 5 } })
    world.connect(a, b)
    world.run(5_000)
    talk(world, [a, b], 60_000)
    expect(a.selected!.local.base!.ip).toBe(a.host.attachments[quick]!.ip)
    expect(b.selected!.remote.address.ip).toBe(a.host.attachments[quick]!.ip)
  }),
)

test('an honest pause is no death: the layer above may fall silent, and start again', () =>
  simulate(8, (world) => {
    const [a, b] = twoNetworks(world)
    const start = world.now
    for (let round = 0; round < 5; round++) {
      talk(world, [a, b], 1_000)
      world.run(20_000)
    }
    expect([...moves(a, start), ...moves(b, start)]).toEqual([])
    expect([a.connected, b.connected]).toEqual([true, true])
  }))
