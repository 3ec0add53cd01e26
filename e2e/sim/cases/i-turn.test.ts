/** The client's side of TURN against a model server, in virtual time: cases 69, 72, 74 and 75 as far as one Allocation decides them. */
import { describe, expect, test } from 'vitest'
import { TurnClient } from '../turn-client.ts'
import { establish, HOUR, LATENCY, listen, ROUND_TRIP, say, scene } from '../turn-scene.ts'

describe('I69 allocate, and data both ways', () => {
  test('in two round trips: one for the challenge, one for the answer', () =>
    scene({}, ({ world, server, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(2 * ROUND_TRIP)
      const [allocated] = client.outputs('allocated')
      expect(allocated).toMatchObject({ lifetime: 600_000, refusedFamilies: [] })
      expect(allocated!.relayed).toEqual(server.allocations[0]!.addresses)
      expect(allocated!.mapped).toEqual(client.allocation.local)
      expect(server.requests.map(({ method, code }) => [method, code])).toEqual([
        ['allocate', 401],
        ['allocate', 0],
      ])
    }))

  test('Send and Data indications with a permission, ChannelData with a channel; always the same peer object', () =>
    scene({}, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it)
      const relayed = client.allocation.relayed[0]!
      expect(client.sendText(peer.address, 'one')).toBe(true)
      world.run(ROUND_TRIP)
      expect(heard).toEqual([{ text: 'one', from: relayed }])
      say(peer, relayed, 'two')
      world.run(ROUND_TRIP)
      client.call((allocation, now) => allocation.bindChannel(now, peer.address))
      world.run(ROUND_TRIP)
      client.sendText(peer.address, 'three')
      say(peer, relayed, 'four')
      world.run(ROUND_TRIP)
      expect(heard.map(({ text }) => text)).toEqual(['one', 'three'])
      expect(client.received.map(({ text }) => text)).toEqual(['two', 'four'])
      for (const { peer: from, relayed: at } of client.received) {
        expect(from).toBe(client.received[0]!.peer)
        expect(at).toBe(relayed)
      }
      expect(server.framed).toEqual({ channelData: 1, sendIndications: 1 })
    }))

  test('data may be sent in the same turn as its permission is asked for', () =>
    scene({}, (it) => {
      const { world, client, heard } = it
      client.call((allocation, now) => allocation.allocate(now))
      world.run(2 * ROUND_TRIP)
      const other = listen(world, 'other', heard)
      expect(client.sendText(other.address, 'too early')).toBe(false)
      client.call((allocation, now) => {
        allocation.createPermission(now, other.address.ip)
        expect(allocation.send(now, other.address, new TextEncoder().encode('hello'))).toBe(true)
      })
      world.run(2 * LATENCY)
      expect(heard.map(({ text }) => text)).toEqual(['hello'])
    }))

  test('from relay to relay', () =>
    scene({}, (it) => {
      const { world, server, client } = it
      const other = new TurnClient(world.host('other'), server)
      for (const one of [client, other]) one.call((allocation, now) => allocation.allocate(now))
      world.run(2 * ROUND_TRIP)
      const [a, b] = [client.allocation.relayed[0]!, other.allocation.relayed[0]!]
      client.call((allocation, now) => allocation.bindChannel(now, b))
      other.call((allocation, now) => allocation.bindChannel(now, a))
      world.run(ROUND_TRIP)
      client.sendText(b, 'there')
      other.sendText(a, 'and back')
      world.run(2 * ROUND_TRIP)
      expect(other.received).toMatchObject([{ text: 'there', peer: a }])
      expect(client.received).toMatchObject([{ text: 'and back', peer: b }])
    }))

  test('lives for three hours, permissions and channels with it, and costs a request now and then', () =>
    scene({ nonceLifetime: 600_000 }, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it, { channel: true })
      for (let minute = 0; minute < 180; minute++) {
        client.sendText(peer.address, 'out')
        say(peer, client.allocation.relayed[0]!, 'in')
        world.run(60_000)
      }
      expect([heard.length, client.received.length]).toEqual([180, 180])
      expect(server.allocations[0]!.denied).toBe(0)
      expect(client.types).toEqual(['allocated', 'permission'])
      // Per hour: 7 Refreshes, 15 CreatePermissions, 7 ChannelBinds, and what stale nonces cost.
      expect(server.requests.length).toBeLessThan(3 * 36)
    }))

  test('survives a lossy path for an hour', () =>
    scene({}, (it) => {
      const { world, server, client, peer, heard } = it
      for (const { up, down } of server.host.attachments) {
        up.quality = down.quality = { latency: LATENCY, loss: 0.2 }
      }
      client.call((allocation, now) => allocation.allocate(now))
      client.call((allocation, now) => allocation.bindChannel(now, peer.address))
      world.run(HOUR)
      for (let i = 0; i < 100; i++) client.sendText(peer.address, 'still there')
      world.run(ROUND_TRIP)
      expect(heard.length).toBeGreaterThan(50)
      expect(client.types).toEqual(['allocated', 'permission'])
    }))
})

test('I72 a port that the server remembers: mismatch, and a fresh one will do', () =>
  scene({}, (it) => {
    const { world, server, client } = it
    establish(it)
    const { port } = client.allocation.local
    // The same host after a crash: same port, and nothing known.
    const reborn = new TurnClient(client.host, server, { port })
    reborn.call((allocation, now) => allocation.allocate(now))
    world.run(HOUR / 12)
    expect(reborn.events.map(({ output }) => output)).toEqual([{ type: 'mismatch' }])
    expect(reborn.allocation).toMatchObject({ state: 'ended' })
    expect(reborn.allocation.timeout()).toBe(Infinity)
    const fresh = new TurnClient(client.host, server)
    fresh.call((allocation, now) => allocation.allocate(now))
    world.run(2 * ROUND_TRIP)
    expect(fresh.allocation.state).toBe('allocated')
  }))

test.each([403, 441, 442, 486, 508])('an Allocate refused with %i fails at once and says what to do', (code) =>
  scene({ refuse: { allocate: code } }, ({ world, server, client }) => {
    client.call((allocation, now) => allocation.allocate(now))
    world.run(HOUR)
    expect(client.events).toMatchObject([{ time: 2 * ROUND_TRIP, output: { type: 'failed', code } }])
    expect(client.outputs('failed')[0]!.reason).toMatch(new RegExp(`^${code} .+; .+`))
    expect(server.requests).toHaveLength(2)
  }),
)

test('no server there: failed with 701 after the seven sends of RFC 8489', () =>
  scene({}, ({ world, server, client }) => {
    server.die()
    client.call((allocation, now) => allocation.allocate(now))
    world.run(HOUR)
    expect(client.events).toMatchObject([{ time: 19_750, output: { type: 'failed', code: 701 } }])
    expect(client.packetsSent).toBe(7)
  }))

describe('I74 ChannelBind refused', () => {
  test.each([400, 403, 508])('with %i: data goes on in Send indications, and nobody asks again', (code) =>
    scene({ refuse: { channelBind: code } }, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it, { channel: true })
      for (let minute = 0; minute < 30; minute++) {
        client.call((allocation, now) => allocation.bindChannel(now, peer.address))
        expect(client.sendText(peer.address, 'out')).toBe(true)
        say(peer, client.allocation.relayed[0]!, 'in')
        world.run(60_000)
      }
      expect([heard.length, client.received.length]).toEqual([30, 30])
      expect(server.framed).toEqual({ channelData: 0, sendIndications: 30 })
      expect(server.requestsFor('channelBind')).toHaveLength(1)
    }),
  )

  test('at its renewal: the same', () =>
    scene({}, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it, { channel: true })
      server.behavior = { refuse: { channelBind: 400 } }
      for (let minute = 0; minute < 30; minute++) {
        client.sendText(peer.address, 'out')
        world.run(60_000)
      }
      expect(heard).toHaveLength(30)
      expect(server.framed.sendIndications).toBeGreaterThan(15)
    }))

  test('a peer that comes back gets its old number, another one a new number', () =>
    scene({}, (it) => {
      const { world, server, client, peer } = it
      establish(it, { channel: true })
      client.call((allocation) => allocation.removePermission(peer.address.ip))
      expect(client.sendText(peer.address, 'gone')).toBe(false)
      client.call((allocation, now) => allocation.bindChannel(now, { ip: '198.51.100.1', port: 1 }))
      client.call((allocation, now) => allocation.bindChannel(now, peer.address))
      world.run(ROUND_TRIP)
      const numbers = server.requestsFor('channelBind').map(({ attributes, code }) => [attributes.channelNumber, code])
      expect(numbers).toEqual([
        [0x4000, 0],
        [0x4001, 0],
        [0x4000, 0],
      ])
    }))
})

describe('I75 CreatePermission', () => {
  test('names several peers that are wanted together, families apart', () =>
    scene(
      {},
      (it) => {
        const { world, server, client } = it
        client.call((allocation, now) => allocation.allocate(now))
        for (const ip of ['198.51.100.1', '2001:db8::1', '198.51.100.2', '2001:db8::2', '198.51.100.2'])
          client.call((allocation, now) => allocation.createPermission(now, ip))
        world.run(4 * ROUND_TRIP)
        const peers = server.requestsFor('createPermission').map(({ attributes }) => attributes.xorPeerAddress)
        expect(peers.map((list) => list!.map(({ ip }) => ip))).toEqual([
          ['198.51.100.1', '198.51.100.2'],
          ['2001:db8::1', '2001:db8::2'],
        ])
        expect(client.outputs('permission')).toHaveLength(4)
      },
      { families: [4, 6] },
    ))

  test('refused for one of several: that one is told apart, the others are installed', () =>
    scene({ refuse: { createPermission: 403 }, refusePeers: ['198.51.100.2'] }, (it) => {
      const { world, server, client } = it
      client.call((allocation, now) => allocation.allocate(now))
      for (const n of [1, 2, 3]) client.call((allocation, now) => allocation.createPermission(now, `198.51.100.${n}`))
      world.run(HOUR)
      const states = client.outputs('permission').map(({ ip, state }) => [ip, state])
      expect(states.sort()).toEqual([
        ['198.51.100.1', 'installed'],
        ['198.51.100.2', 'refused'],
        ['198.51.100.3', 'installed'],
      ])
      expect(client.outputs('permission').find(({ state }) => state === 'refused')).toMatchObject({ code: 403 })
      expect(client.sendText({ ip: '198.51.100.2', port: 7 }, 'no')).toBe(false)
      // Asked for once in company and once alone, and never again.
      const asked = server
        .requestsFor('createPermission')
        .filter(({ attributes }) => attributes.xorPeerAddress!.some(({ ip }) => ip === '198.51.100.2'))
      expect(asked).toHaveLength(2)
      expect(client.allocation.state).toBe('allocated')
    }))

  test.each([
    [500, ['refused', 'installed']],
    [403, ['refused']],
  ])('refused with %i and wanted once more: %j', (code, states) =>
    scene({ refuse: { createPermission: code } }, (it) => {
      const { world, server, client, peer } = it
      client.call((allocation, now) => allocation.allocate(now))
      client.call((allocation, now) => allocation.createPermission(now, peer.address.ip))
      world.run(10 * ROUND_TRIP)
      server.behavior = {}
      client.call((allocation, now) => allocation.createPermission(now, peer.address.ip))
      world.run(10 * ROUND_TRIP)
      expect(client.outputs('permission').map(({ state }) => state)).toEqual(states)
      expect(client.sendText(peer.address, 'word')).toBe(code === 500)
    }),
  )

  test('withdrawn by the server at its renewal: refused then', () =>
    scene({}, (it) => {
      const { world, server, client, peer } = it
      establish(it)
      server.behavior = { refuse: { createPermission: 403 } }
      world.run(300_000)
      expect(client.outputs('permission').map(({ state }) => state)).toEqual(['installed', 'refused'])
      expect(client.sendText(peer.address, 'no')).toBe(false)
    }))

  test('for a family that is not relayed: refused without asking', () =>
    scene({}, (it) => {
      const { world, server, client } = it
      client.call((allocation, now) => allocation.createPermission(now, '2001:db8::1'))
      establish(it)
      client.call((allocation, now) => allocation.createPermission(now, '2001:db8::2'))
      world.run(ROUND_TRIP)
      expect(client.outputs('permission').filter(({ state }) => state === 'refused')).toMatchObject([
        { ip: '2001:db8::1', code: 443 },
        { ip: '2001:db8::2', code: 443 },
      ])
      expect(server.requestsFor('createPermission')).toHaveLength(1)
    }))

  test('without an answer: refused with 701 when its time is over, and the data path says so', () =>
    scene({}, (it) => {
      const { world, server, client, peer } = it
      establish(it)
      server.die()
      world.run(320_000)
      expect(client.outputs('permission').map((output) => output)).toMatchObject([
        { state: 'installed' },
        { state: 'refused', code: 701 },
      ])
      expect(client.sendText(peer.address, 'no')).toBe(false)
    }))
})
