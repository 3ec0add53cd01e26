import { expect, test } from 'vitest'
import type { NatBehavior } from '../../topology/behavior.ts'
import { assertAgreement } from '../invariants.ts'
import { simulate } from '../world.ts'

// E41 to E43 are rows of ../grid.test.ts.

test('E46 two STUN servers across a NAT give one reflexive candidate, or two when its mapping depends on them', () => {
  const reflexive = (mapping: NatBehavior['mapping']) =>
    simulate(1, (world) => {
      world.stunServer()
      world.stunServer()
      const peer = world.peer('a', { nat: { mapping, filtering: 'address-and-port-dependent' } })
      peer.gather()
      world.run(1_000)
      return peer.outputs('candidate').filter(({ candidate }) => candidate?.type === 'srflx').length
    })
  expect(reflexive('endpoint-independent')).toBe(1)
  expect(reflexive('address-dependent')).toBe(2)
  expect(reflexive('address-and-port-dependent')).toBe(2)
})

test('F58 the NAT of either side forgets its mappings: the new ones are found and data follows, without a restart', () => {
  for (const flushed of ['a', 'b'])
    simulate(1, (world) => {
      world.stunServer()
      const nat: NatBehavior = {
        mapping: 'endpoint-independent',
        filtering: 'endpoint-independent',
        allocation: 'random',
      }
      const [a, b] = [world.peer('a', { nat }), world.peer('b', { nat })]
      world.connect(a, b)
      world.run(5_000)
      for (const [name, router] of world.routers) if (name.endsWith(flushed)) router.nat!.flush()
      world.run(25_000)
      expect([...a.states, ...b.states]).not.toContain('failed')
      assertAgreement(world, a, b)
    })
})
