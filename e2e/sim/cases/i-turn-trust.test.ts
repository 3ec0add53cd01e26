/** What a TURN client believes, and what it does not: cases 70, 71, 73, 79 and 80, and attackers off the path. */
import { encode, type Message } from '@floe/stun'
import { LIMITS, RedirectGuard, TurnError } from '@floe/turn'
import { describe, expect, test } from 'vitest'
import { TurnClient } from '../turn-client.ts'
import { establish, HOUR, LATENCY, ROUND_TRIP, scene } from '../turn-scene.ts'
import { type TurnBehavior, TurnServer } from '../turn-server.ts'

describe('I70 a wrong password', () => {
  const wrong = { credential: 'wrong' }

  test('is tried once more with the fresh nonce, then reported with code, text and advice, and that is all', () =>
    scene(
      {},
      ({ world, server, client }) => {
        client.call((allocation, now) => allocation.allocate(now))
        world.run(HOUR)
        expect(client.events.map(({ output }) => output)).toEqual([
          { type: 'failed', code: 401, reason: '401 Unauthorized; check username and credential' },
        ])
        expect(server.requests.map(({ signed }) => signed)).toEqual([false, true, true])
        expect(client.events[0]!.time).toBe(3 * ROUND_TRIP)
        expect(client.allocation.timeout()).toBe(Infinity)
      },
      wrong,
    ))

  test('a user whose credential ends meanwhile loses the allocation, without a loop', () =>
    scene({}, (it) => {
      const { world, server, client } = it
      establish(it)
      server.users.clear()
      world.run(HOUR)
      expect(client.outputs('failed')).toMatchObject([{ code: 401 }])
      expect(server.requestsFor('refresh').length + server.requestsFor('createPermission').length).toBeLessThan(8)
    }))
})

describe('I71 nonces', () => {
  test('a stale one on Allocate, Refresh, CreatePermission and ChannelBind is replaced', () =>
    scene({ nonceLifetime: 1_000 }, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it)
      world.run(5_000)
      client.call((allocation, now) => allocation.bindChannel(now, peer.address))
      world.run(HOUR)
      client.sendText(peer.address, 'fine')
      world.run(ROUND_TRIP)
      expect(heard).toHaveLength(1)
      expect(client.types).toEqual(['allocated', 'permission'])
      for (const method of ['refresh', 'createPermission', 'channelBind'] as const) {
        const codes = server.requestsFor(method).map(({ code }) => code)
        expect(codes).toContain(438)
        expect(codes.at(-1)).toBe(0)
      }
    }))

  test('stale for an Allocate already', () =>
    scene({ nonceLifetime: 1 }, ({ world, server, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(ROUND_TRIP + LATENCY)
      server.behavior = {}
      world.run(2 * ROUND_TRIP)
      expect(server.requests.map(({ code }) => code)).toEqual([401, 438, 0])
      expect(client.allocation.state).toBe('allocated')
    }))

  // W TestTurnConnectionUsingOTUNonce
  test.each<[string, TurnBehavior]>([
    ['good for one request each', { nonceUses: 1 }],
    ['renewed by every answer', { nonceUses: 1, nonceInEveryAnswer: true }],
  ])('%s: everything works, with many requests at once, too', (_, behavior) =>
    scene(behavior, (it) => {
      const { world, server, client } = it
      establish(it)
      const others = Array.from({ length: 20 }, (_, i) => ({ ip: `198.51.100.${i + 1}`, port: 7 }))
      for (const other of others) client.call((allocation, now) => allocation.bindChannel(now, other))
      world.run(HOUR)
      expect(client.outputs('permission').map(({ state }) => state)).toEqual(new Array(21).fill('installed'))
      const bound = server.requestsFor('channelBind').filter(({ code, time }) => code === 0 && time < 60_000)
      expect(bound).toHaveLength(20)
      expect(client.outputs('failed')).toEqual([])
    }),
  )

  test('a nonce in every answer spares the 438', () =>
    scene({ nonceUses: 1, nonceInEveryAnswer: true }, (it) => {
      establish(it)
      it.world.run(300_000)
      expect(it.server.requests.filter(({ code }) => code === 438)).toEqual([])
    }))

  test('438 whatever we do: a few tries, then failed', () =>
    scene({ alwaysStale: true }, ({ world, server, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(HOUR)
      expect(client.outputs('failed')).toMatchObject([{ code: 438 }])
      expect(server.requests.length).toBeLessThanOrEqual(LIMITS.staleNonces + 2)
    }))
})

describe('I73 ALTERNATE-SERVER', () => {
  const alternate = { ip: '192.0.2.20', port: 3478 }

  test('ends the allocation and names where to go, whoever asks', () => {
    for (const allocate of [{ refuse: { allocate: 300 }, alternate, alternateDomain: 'turn.example.net' }])
      scene(allocate, ({ world, client }) => {
        client.call((allocation, now) => allocation.allocate(now))
        world.run(HOUR)
        expect(client.events.map(({ output }) => output)).toEqual([
          { type: 'redirect', server: alternate, domain: 'turn.example.net' },
        ])
        expect(client.allocation).toMatchObject({ state: 'ended' })
      })
  })

  test('300 that names nobody is a failure', () =>
    scene({ refuse: { allocate: 300 } }, ({ world, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(HOUR)
      expect(client.outputs('failed')).toMatchObject([{ code: 300 }])
    }))

  test('two servers that point at each other: the guard ends it', () =>
    scene({ refuse: { allocate: 300 }, alternate }, ({ world, server, client }) => {
      const refuse = { allocate: 300 }
      const other = new TurnServer(world.network, 'other', {
        ip: alternate.ip,
        behavior: { refuse, alternate: server.address },
      })
      const guard = new RedirectGuard(server.address, 'udp')
      const follow = (from: TurnClient) => {
        from.call((allocation, now) => allocation.allocate(now))
        world.run(1_000)
        return guard.refuse(from.outputs('redirect')[0]!.server, 'udp')
      }
      expect(follow(client)).toBeUndefined()
      expect(follow(new TurnClient(client.host, other))).toContain('loop')
    }))
})

describe('I79 what a server may not do', () => {
  test('grant an allocation without having asked for credentials', () =>
    scene({ open: true }, ({ world, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(HOUR)
      expect(client.outputs('failed')).toMatchObject([{ code: 701, reason: expect.stringContaining('credentials') }])
      expect(client.outputs('allocated')).toEqual([])
    }))

  test('answer with another key: as if it had said nothing', () =>
    scene({}, (it) => {
      const { world, server, client } = it
      establish(it)
      server.behavior = { open: true }
      world.run(HOUR)
      expect(client.outputs('failed')).toMatchObject([{ code: 701 }])
    }))

  test('the user name has its limit; beyond, the caller is told at once', () => {
    const make = (username: string) => () => scene({}, () => {}, { username })
    expect(make('ü'.repeat(254))).not.toThrow()
    expect(make('ü'.repeat(255))).toThrow(TurnError)
    expect(make('u'.repeat(509))).toThrow(expect.objectContaining({ code: 'ERR_TURN_ARGUMENT' }))
  })
})

describe('I80 RFC 8489 credentials', () => {
  test.each<[string, TurnBehavior]>([
    ['SHA-256 alone', { passwordAlgorithms: [2] }],
    ['SHA-256 before MD5', { passwordAlgorithms: [2, 1] }],
    ['MD5 before SHA-256, as the server prefers', { passwordAlgorithms: [1, 2] }],
    ['an unknown one first', { passwordAlgorithms: [7, 2] }],
    ['USERHASH', { anonymous: true }],
    ['USERHASH and SHA-256', { anonymous: true, passwordAlgorithms: [2] }],
    ['all of it with one-time nonces', { anonymous: true, passwordAlgorithms: [2, 1], nonceUses: 1 }],
  ])('%s', (_, behavior) =>
    scene(behavior, (it) => {
      const { world, server, client, peer, heard } = it
      establish(it, { channel: true })
      world.run(HOUR)
      client.sendText(peer.address, 'fine')
      world.run(ROUND_TRIP)
      expect(heard).toHaveLength(1)
      expect(client.types).toEqual(['allocated', 'permission'])
      for (const { signed, attributes } of server.requests.filter((one) => one.signed)) {
        expect(signed && 'username' in attributes).toBe(!behavior.anonymous)
        expect(attributes.passwordAlgorithm?.algorithm).toBe(behavior.passwordAlgorithms?.find((n) => n < 3))
      }
    }),
  )

  test.each<[string, TurnBehavior]>([
    ['the list is gone, the nonce tells', { passwordAlgorithms: [2, 1], bidDown: 'algorithms' }],
    ['the nonce is cut, the server does not know it', { passwordAlgorithms: [2, 1], bidDown: 'cookie' }],
    ['the list is shorter, the server sees it in the request', { passwordAlgorithms: [2, 1], bidDown: 'weaker' }],
  ])('somebody on the path bids down: %s', (_, behavior) =>
    scene(behavior, ({ world, server, client }) => {
      client.call((allocation, now) => allocation.allocate(now))
      world.run(HOUR)
      expect(client.types).toEqual(['failed'])
      expect(server.allocations).toEqual([])
      expect(server.requests.length).toBeLessThan(12)
    }),
  )

  test('bidding down an allocation that has begun with SHA-256', () =>
    scene({ passwordAlgorithms: [2], anonymous: true }, (it) => {
      const { world, server, client } = it
      establish(it)
      server.behavior = { ...server.behavior, nonceLifetime: 1, bidDown: 'cookie' }
      world.run(HOUR)
      expect(client.outputs('failed')).toMatchObject([{ code: 438, reason: expect.stringContaining('bid-down') }])
      expect(server.requests.filter(({ attributes }) => attributes.username !== undefined)).toEqual([])
    }))
})

describe('attackers off the path', () => {
  /** Sends what any host can send: with the server's address as its source, and no idea of transaction ids. */
  function forge({ world, client, server }: Parameters<Parameters<typeof scene>[1]>[0], message: Message | Uint8Array) {
    const host = world.network.hosts.find(({ name }) => name === 'liar') ?? world.host('liar')
    const socket = host.bind(host.attachments[0]!.ip)
    const bytes = message instanceof Uint8Array ? message : encode(message)
    socket.send(client.allocation.local, bytes, server.address)
  }
  const transactionId = 'guessed it?!'

  test('can neither end nor change an allocation', () =>
    scene({}, (it) => {
      const { world, client } = it
      client.call((allocation, now) => allocation.allocate(now))
      const forged: Message[] = (['allocate', 'refresh', 'createPermission', 'channelBind'] as const).flatMap(
        (method) => [
          { method, class: 'success', transactionId, attributes: { lifetime: 1 } },
          { method, class: 'error', transactionId, attributes: { errorCode: { code: 437, reason: '' } } },
          {
            method,
            class: 'error',
            transactionId,
            attributes: { errorCode: { code: 401, reason: '' }, realm: 'x', nonce: 'x' },
          },
        ],
      )
      for (let round = 0; round < 20; round++) {
        for (const message of forged) forge(it, message)
        world.run(7)
      }
      expect(client.types).toEqual(['allocated'])
      expect(client.allocation.expiresAt).toBeGreaterThan(600_000)
    }))

  test('can put data in the mouth of permitted peers only, and from elsewhere of nobody', () =>
    scene({}, (it) => {
      const { world, client, server } = it
      establish(it, { channel: true })
      const data = new TextEncoder().encode('lie')
      const lie = (ip: string): Message => ({
        method: 'data',
        class: 'indication',
        transactionId,
        attributes: { xorPeerAddress: [{ ip, port: 9 }], data },
      })
      forge(it, lie('198.51.100.66'))
      forge(it, Uint8Array.of(0x40, 1, 0, 3, ...data))
      forge(it, Uint8Array.of(0x40, 0, 0, 9, ...data))
      const elsewhere = world.host('elsewhere').attachments[0]!.ip
      const socket = world.network.hosts.find(({ name }) => name === 'elsewhere')!.bind(elsewhere)
      socket.send(client.allocation.local, encode(lie(it.peer.address.ip)))
      socket.send(client.allocation.local, Uint8Array.of(0x40, 0, 0, 3, ...data))
      world.run(ROUND_TRIP)
      expect(client.received).toEqual([])
      expect(server.framed).toEqual({ channelData: 0, sendIndications: 0 })
    }))
})
