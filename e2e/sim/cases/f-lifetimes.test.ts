/** NATs that end mappings at an age, however busy they are. */
import { LIMITS, SearchGate } from '@floe/ice'
import { describe, expect, test } from 'vitest'
import type { NatBehavior } from '../../topology/behavior.ts'
import type { Peer, PeerOptions } from '../peer.ts'
import { simulate, type World } from '../world.ts'

const LINK = { latency: 20 }
const EVERY = 20
const MINUTE = 60_000

const nat = (mapping: NatBehavior['mapping'], maximumLifetime?: number): NatBehavior => ({
  mapping,
  filtering: 'address-and-port-dependent',
  allocation: 'random',
  ...(maximumLifetime !== undefined && { maximumLifetime }),
})

const withSockets = (): PeerOptions => ({ traversal: { hardNat: 'off', gate: new SearchGate() } })

/** `a` stands behind the NAT; the gaps in which one of the two hears nothing, as times at which they end. */
function talk(world: World, peers: readonly Peer[], until: number): number[] {
  const gaps: number[] = []
  while (world.now < until) {
    for (const peer of peers) peer.sendText('word')
    world.run(EVERY)
    for (const { received } of peers) {
      const [before, last] = received.slice(-2)
      if (last && before && last.time > world.now - EVERY && last.time - before.time > 150) gaps.push(last.time)
    }
  }
  return gaps
}

function meet(world: World, behavior: NatBehavior, isControlled = false, options = withSockets()): [Peer, Peer] {
  world.stunServer()
  const [a, b] = [world.peer('a', { nat: behavior, link: LINK }, options), world.peer('b', { link: LINK })]
  if (isControlled) world.connect(b, a)
  else world.connect(a, b)
  world.run(2_000)
  expect([a.connected, b.connected]).toEqual([true, true])
  return [a, b]
}

describe('a mapping that ends after a minute', () => {
  const cases = [
    ['endpoint-independent', 'controlling', false],
    ['endpoint-independent', 'controlled', true],
    ['address-and-port-dependent', 'controlling', false],
    ['address-and-port-dependent', 'controlled', true],
  ] as const
  test.each(cases)('%s, %s side: two outages, and none after them', (mapping, _, isControlled) =>
    simulate(1, (world) => {
      const [a, b] = meet(world, nat(mapping, MINUTE), isControlled)
      const gaps = talk(world, [a, b], 6 * MINUTE)
      expect(gaps.filter((time) => time < 2.2 * MINUTE).length).toBeGreaterThan(0)
      expect(gaps.filter((time) => time >= 2.2 * MINUTE)).toEqual([])
      expect(a.mostSockets).toBeLessThanOrEqual(5)
      expect([a.agent.generation, b.agent.generation]).toEqual([0, 0])
      expect(a.states).not.toContain('disconnected')
    }),
  )

  test('without more sockets nothing gets worse', () =>
    simulate(2, (world) => {
      const peers = meet(world, nat('endpoint-independent', MINUTE), false, {})
      const gaps = talk(world, peers, 5 * MINUTE)
      expect(Math.max(...peers.map(({ agent }) => agent.switches.length))).toBeLessThan(LIMITS.switches / 2)
      // Each end hears nothing for a while, once a minute.
      expect(gaps.length).toBeLessThanOrEqual(2 * 5)
    }))
})

test('mappings that end at different ages are no reason to move', () =>
  simulate(3, (world) => {
    const [a, b] = meet(world, nat('endpoint-independent'))
    const router = [...world.routers.values()][0]!
    for (const age of [30, 50, 25, 70, 40, 90]) {
      talk(world, [a, b], world.now + age * 1_000)
      router.reboot()
    }
    talk(world, [a, b], world.now + MINUTE)
    expect(a.sockets).toHaveLength(1)
    expect(a.connected).toBe(true)
  }))

test('a NAT that mends its ways: nothing moves any more', () =>
  simulate(4, (world) => {
    const [a, b] = meet(world, nat('endpoint-independent'))
    const router = [...world.routers.values()][0]!
    for (let n = 0; n < 2; n++) {
      talk(world, [a, b], world.now + MINUTE)
      router.reboot()
    }
    talk(world, [a, b], world.now + 3 * MINUTE)
    expect(a.sockets.length).toBeGreaterThan(1)
    const settled = [a, b].map(({ agent }) => agent.switches.length)
    talk(world, [a, b], world.now + 5 * MINUTE)
    expect([a, b].map(({ agent }) => agent.switches.length)).toEqual(settled)
  }))
