/** What the application wants of paths, where that takes a TURN server. */
import { describe, expect, test } from 'vitest'
import { isRelayed } from '../invariants.ts'
import { simulate } from '../world.ts'

const LINK = { latency: 20 }

describe('preferRelay', () => {
  test('data goes over the relay while it works, and over the direct path without a restart when it dies', () =>
    simulate(1, (world) => {
      const relay = world.turnServer()
      const a = world.peer('a', { link: LINK }, { preferRelay: true })
      const b = world.peer('b', { link: LINK }, { servers: [] })
      world.connect(a, b)
      world.run(60_000)
      expect([a, b].map(({ selected }) => selected && isRelayed(selected))).toEqual([true, true])
      const settled = world.now
      relay.die()
      world.run(15_000)
      expect([a, b].map(({ selected }) => selected && isRelayed(selected))).toEqual([false, false])
      expect(a.agent.generation).toBe(0)
      const moves = a.events.filter(({ time, output }) => output.type === 'selectedpair' && time > settled)
      expect(moves).toHaveLength(1)
    }))

  test('without a relay it changes nothing', () =>
    simulate(2, (world) => {
      const [a, b] = [world.peer('a', { link: LINK }, { preferRelay: true }), world.peer('b', { link: LINK })]
      world.connect(a, b)
      world.run(5_000)
      expect([a.connected, b.connected]).toEqual([true, true])
    }))
})
