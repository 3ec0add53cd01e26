/** How an allocation ends: cases 76 and 77. */
import { describe, expect, test } from 'vitest'
import { establish, HOUR, ROUND_TRIP, scene } from '../turn-scene.ts'

describe('I76 an allocation that can not be kept', () => {
  test.each([403, 437, 441])('Refresh refused with %i: failed', (code) =>
    scene({}, (it) => {
      const { world, server, client, peer } = it
      establish(it)
      server.behavior = { refuse: { refresh: code } }
      world.run(HOUR)
      expect(client.events.at(-1)).toMatchObject({ output: { type: 'failed', code } })
      expect(client.events.at(-1)!.time).toBeLessThan(545_000)
      expect(client.sendText(peer.address, 'no')).toBe(false)
      expect(client.allocation.timeout()).toBe(Infinity)
    }),
  )

  test('500 is tried again while there is time', () =>
    scene({}, (it) => {
      const { world, server, client } = it
      establish(it)
      server.behavior = { refuse: { refresh: 500 } }
      world.run(560_000)
      expect(client.allocation.state).toBe('allocated')
      server.behavior = {}
      world.run(HOUR)
      expect(client.allocation.state).toBe('allocated')
      expect(client.outputs('failed')).toEqual([])
    }))

  test('no answer: several tries, failed when the lifetime is over and not earlier', () =>
    scene({}, (it) => {
      const { world, server, client } = it
      establish(it)
      const end = client.allocation.expiresAt
      server.die()
      world.run(HOUR)
      const { time, output } = client.events.at(-1)!
      expect(output).toMatchObject({ type: 'failed', code: 701 })
      expect(time).toBeGreaterThanOrEqual(end)
      expect(time).toBeLessThan(end + 20_000)
    }))

  test('a server that comes back in time keeps it', () =>
    scene({}, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it)
      let down = false
      world.network.rules.push(({ destination }) =>
        down && destination.ip === server.address.ip ? 'outage' : undefined,
      )
      world.run(535_000)
      down = true
      world.run(35_000)
      down = false
      world.run(HOUR)
      expect(client.allocation.state).toBe('allocated')
      client.sendText(peer.address, 'here again')
      world.run(ROUND_TRIP)
      expect(heard).toHaveLength(1)
    }))

  test('a server that was restarted says so at the next request, whichever that is', () =>
    scene({}, (it) => {
      const { world, server, client, peer } = it
      establish(it)
      server.restart()
      client.call((allocation, now) => allocation.bindChannel(now, peer.address))
      world.run(2 * ROUND_TRIP)
      expect(client.outputs('failed')).toMatchObject([{ code: 437, reason: expect.stringContaining('make a new one') }])
    }))

  test.each([3_000, 10_000, 90_000, 600_000, 36_000_000])(
    'a lifetime of %i ms is kept up at a decent pace',
    (longest) =>
      scene(
        { longestLifetime: longest },
        (it) => {
          const { world, server, client } = it
          establish(it)
          world.run(600_000)
          expect(client.allocation.state).toBe('allocated')
          expect(server.requestsFor('refresh').length).toBeLessThanOrEqual(
            Math.ceil(600_000 / Math.max(1_000, longest / 2)),
          )
        },
        { lifetime: longest },
      ),
  )
})

describe('I77 close', () => {
  test('at any moment: the server keeps nothing, and `released` comes once', () => {
    for (let moment = 0; moment <= 300; moment += 10)
      scene({}, ({ world, server, client, peer }) => {
        client.call((allocation, now) => allocation.allocate(now))
        client.call((allocation, now) => allocation.bindChannel(now, peer.address))
        world.run(moment)
        client.call((allocation, now) => allocation.close(now))
        client.call((allocation, now) => allocation.close(now))
        world.run(10_000)
        expect(client.types.filter((type) => type === 'released' || type === 'failed')).toEqual(['released'])
        expect(server.allocations).toEqual([])
        expect(client.allocation).toMatchObject({ state: 'ended' })
        expect(client.allocation.timeout()).toBe(Infinity)
      })
  })

  test('takes one round trip', () =>
    scene({}, (it) => {
      establish(it)
      const { now } = it.world
      it.client.call((allocation, then) => allocation.close(then))
      it.world.run(HOUR)
      expect(it.client.events.at(-1)).toEqual({ time: now + ROUND_TRIP, output: { type: 'released' } })
    }))

  test('with a stale nonce', () =>
    scene({ nonceUses: 1 }, (it) => {
      establish(it)
      it.client.call((allocation, now) => allocation.close(now))
      it.world.run(HOUR)
      expect(it.server.allocations).toEqual([])
      expect(it.client.types.at(-1)).toBe('released')
    }))

  test('with a silent server: released after two seconds', () =>
    scene({}, (it) => {
      establish(it)
      it.server.die()
      const { now } = it.world
      it.client.call((allocation, then) => allocation.close(then))
      it.world.run(HOUR)
      expect(it.client.events.at(-1)).toEqual({ time: now + 2_000, output: { type: 'released' } })
    }))

  test('before anything, and after a failure: released at once', () => {
    scene({}, ({ client }) => {
      client.call((allocation, now) => allocation.close(now))
      expect(client.types).toEqual(['released'])
    })
    scene({ refuse: { allocate: 508 } }, ({ world, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(HOUR)
      client.call((allocation, now) => allocation.close(now))
      expect(client.types).toEqual(['failed', 'released'])
    })
  })

  test('an Allocate that is answered later still is given back', () =>
    scene({}, ({ world, server, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(ROUND_TRIP + 1)
      client.call((allocation, now) => allocation.close(now))
      expect(client.types).toEqual([])
      world.run(2 * ROUND_TRIP)
      expect(server.requests.map(({ method, attributes }) => [method, attributes.lifetime])).toEqual([
        ['allocate', 600],
        ['allocate', 600],
        ['refresh', 0],
      ])
      expect(client.types).toEqual(['released'])
    }))
})
