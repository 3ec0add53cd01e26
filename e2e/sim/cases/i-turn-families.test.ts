/** What an allocation may have beyond an IPv4 relay: case 81, DONT-FRAGMENT, and mobility (RFC 8016). */
import type { Address } from '@floe/stun'
import { TurnError } from '@floe/turn'
import { describe, expect, test } from 'vitest'
import { establish, HOUR, listen, ROUND_TRIP, say, scene } from '../turn-scene.ts'
import type { TurnBehavior } from '../turn-server.ts'

describe('I81 two families', () => {
  const both = { families: [4, 6] } as const

  test('of one allocation, on one socket', () =>
    scene(
      {},
      (it) => {
        const { world, client, peer, heard } = it
        const peer6 = listen(world, 'peer6', heard, 6)
        establish(it)
        expect(client.outputs('allocated')[0]).toMatchObject({ refusedFamilies: [] })
        const [relayed4, relayed6] = client.allocation.relayed as [Address, Address]
        client.call((allocation, now) => allocation.bindChannel(now, peer6.address))
        world.run(ROUND_TRIP)
        client.sendText(peer.address, 'four')
        client.sendText(peer6.address, 'six')
        say(peer, relayed4, 'from four')
        say(peer6, relayed6, 'from six')
        world.run(ROUND_TRIP)
        expect(heard).toEqual([
          { text: 'four', from: relayed4 },
          { text: 'six', from: relayed6 },
        ])
        expect(client.received.map(({ text, relayed }) => [text, relayed])).toEqual([
          ['from four', relayed4],
          ['from six', relayed6],
        ])
      },
      both,
    ))

  test.each<[string, TurnBehavior, number | undefined, 4 | 6]>([
    ['no IPv6: ADDRESS-ERROR-CODE', { withoutFamily: 6 }, 440, 6],
    ['no IPv4: ADDRESS-ERROR-CODE', { withoutFamily: 4 }, 440, 4],
    ['RFC 5766 only: unanswered', { old: true }, undefined, 6],
  ])('a server with %s', (_, behavior, code, family) =>
    scene(
      behavior,
      ({ world, client }) => {
        client.call((allocation, now) => allocation.allocate(now))
        world.run(3 * ROUND_TRIP)
        const [allocated] = client.outputs('allocated')
        expect(allocated!.relayed).toHaveLength(1)
        expect(allocated!.refusedFamilies).toMatchObject([{ family, code }])
      },
      both,
    ),
  )

  test('IPv6 alone, and from a server that has none', () => {
    const six = { families: [6] } as const
    scene(
      {},
      (it) => {
        it.client.call((allocation, now) => allocation.allocate(now))
        it.world.run(2 * ROUND_TRIP)
        expect(it.client.allocation.relayed).toMatchObject([{ ip: '2001:db8:10::1' }])
      },
      six,
    )
    for (const [behavior, code] of [
      [{ withoutFamily: 6 }, 440],
      [{ old: true }, 420],
    ] as const)
      scene(
        behavior,
        ({ world, client }) => {
          client.call((allocation, now) => allocation.allocate(now))
          world.run(HOUR)
          expect(client.outputs('failed')).toMatchObject([{ code }])
        },
        six,
      )
  })

  test('DONT-FRAGMENT, and a server that can not', () => {
    for (const old of [false, true])
      scene(
        { old },
        (it) => {
          const { world, server, client, peer, heard } = it
          establish(it)
          client.sendText(peer.address, 'whole')
          world.run(ROUND_TRIP)
          expect(heard).toHaveLength(1)
          expect(server.requestsFor('allocate').map(({ code }) => code)).toEqual(old ? [401, 420, 0] : [401, 0])
        },
        { dontFragment: true },
      )
  })
})

describe('RFC 8016 mobility', () => {
  const mobility = true

  test('moves to another local address with permissions and channels; the old one is dead', () =>
    scene(
      { mobility: true, nonceUses: 3 },
      (it) => {
        const { world, server, client, peer, heard } = it
        establish(it, { channel: true })
        const relayed = client.allocation.relayed[0]!
        const next = client.bind()
        client.call((allocation, now) => allocation.createPermission(now, '198.51.100.1'))
        client.call((allocation, now) => allocation.move(now, next.address))
        expect(client.sendText(peer.address, 'not yet')).toBe(false)
        world.run(3 * ROUND_TRIP)
        expect(client.outputs('moved')).toEqual([{ type: 'moved', local: next.address }])
        expect(client.allocation.local).toBe(next.address)
        client.sendText(peer.address, 'from elsewhere')
        say(peer, relayed, 'to elsewhere')
        world.run(HOUR)
        expect(heard).toEqual([{ text: 'from elsewhere', from: relayed }])
        expect(client.received.map(({ text }) => text)).toEqual(['to elsewhere'])
        expect(client.outputs('permission').map(({ state }) => state)).toEqual(['installed', 'installed'])
        expect(server.allocations).toHaveLength(1)
        expect(client.allocation.state).toBe('allocated')
      },
      { mobility },
    ))

  test('closed on the way: the server keeps nothing', () =>
    scene(
      { mobility: true },
      (it) => {
        const { world, server, client } = it
        establish(it)
        const next = client.bind()
        client.call((allocation, now) => allocation.move(now, next.address))
        client.call((allocation, now) => allocation.close(now))
        world.run(HOUR / 60)
        expect(server.allocations).toEqual([])
        expect(client.types.at(-1)).toBe('released')
      },
      { mobility },
    ))

  test('a server in trouble is asked to let it move again and again, and not without a pause', () =>
    scene(
      { mobility: true },
      (it) => {
        const { world, server, client } = it
        establish(it)
        server.behavior = { mobility: true, refuse: { refresh: 500 } }
        const before = server.requestsFor('refresh').length
        const next = client.bind()
        client.call((allocation, now) => allocation.move(now, next.address))
        world.run(60_000)
        expect(server.requestsFor('refresh').length - before).toBeLessThan(60)
        server.behavior = { mobility: true }
        world.run(60_000)
        expect(client.outputs('moved')).toHaveLength(1)
      },
      { mobility },
    ))

  test('without a ticket the caller is told', () =>
    scene(
      {},
      (it) => {
        establish(it)
        expect(it.client.allocation.movable).toBe(false)
        expect(() => it.client.call((allocation, now) => allocation.move(now, it.client.bind().address))).toThrow(
          TurnError,
        )
      },
      { mobility },
    ))

  test('to where nothing comes through: failed when its time is over', () =>
    scene(
      { mobility: true },
      (it) => {
        const { world, client } = it
        establish(it)
        const next = client.bind()
        world.network.rules.push(({ source }) => (source.port === next.address.port ? 'no way' : undefined))
        client.call((allocation, now) => allocation.move(now, next.address))
        world.run(HOUR)
        expect(client.outputs('failed')).toMatchObject([{ code: 701 }])
      },
      { mobility },
    ))
})
