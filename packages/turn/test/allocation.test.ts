import { type Attributes, decode, encode, isStun } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { Allocation, type AllocationOptions, LIMITS, TIMING, TurnError } from '../src/index.ts'
import {
  CHALLENGE,
  channelData,
  dataIndication,
  GRANT,
  KEY,
  local,
  mapped,
  peer,
  relayed,
  Script,
  server,
} from './script.ts'

const bytes = Uint8Array.of(1, 2, 3, 4, 5)

describe('on the wire', () => {
  test('Allocate is bare first, then signed (RFC 8489 §9.2.3)', () => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    expect(script.request('allocate').attributes).toEqual({ requestedTransport: 17, lifetime: 600 })
    expect(script.request('allocate').integrityOffset).toBe(0)
    script.answer('allocate', CHALLENGE, null)
    const credentials = { username: 'user', realm: 'realm', nonce: 'nonce' }
    expect(script.request('allocate').attributes).toEqual({ requestedTransport: 17, lifetime: 600, ...credentials })
    expect(script.request('allocate').integrityOffset).toBeGreaterThan(0)
    expect(script.packets.every((packet) => packet.local === local && packet.remote === server)).toBe(true)
  })

  test.each<[Partial<AllocationOptions>, Attributes]>([
    [{ families: [4, 6] }, { additionalAddressFamily: 6, ssodaAddressFamily: 6 }],
    [{ families: [6] }, { requestedAddressFamily: 6 }],
    [{ lifetime: 61_001 }, { lifetime: 62 }],
    [{ dontFragment: true }, { dontFragment: true }],
    [{ mobility: true }, { mobilityTicket: new Uint8Array(0) }],
  ])('Allocate with %o', (options, attributes) => {
    const script = new Script(options)
    script.do((allocation, now) => allocation.allocate(now))
    expect(script.request('allocate').attributes).toEqual({ requestedTransport: 17, lifetime: 600, ...attributes })
  })

  test.each(['udp', 'tcp'] as const)('ChannelData over %s: padded on streams only', (protocol) => {
    const script = new Script({ protocol }).bind()
    expect(script.do((allocation, now) => allocation.send(now, peer, bytes))).toBe(true)
    const packet = script.packets.at(-1)!
    expect(packet).toMatchObject({ protocol, local, remote: server })
    expect([...packet.bytes]).toEqual([0x40, 0, 0, 5, 1, 2, 3, 4, 5, ...(protocol === 'tcp' ? [0, 0, 0] : [])])
  })

  test('a Send indication is no longer than it must be', () => {
    const script = new Script().allocate()
    script.do((allocation, now) => allocation.createPermission(now, peer.ip))
    script.do((allocation, now) => allocation.send(now, peer, bytes))
    const sent = script.packets.at(-1)!.bytes
    expect(isStun(sent)).toBe(true)
    expect(decode(sent)).toMatchObject({ method: 'send', attributes: { xorPeerAddress: [peer], data: bytes } })
    expect(sent.length).toBe(20 + 12 + 4 + 8)
  })

  test('over TCP requests are sent once and given up after Ti (RFC 8489 §6.2.2)', () => {
    const script = new Script({ protocol: 'tcp' })
    script.do((allocation, now) => allocation.allocate(now))
    script.runTo(39_499)
    expect(script.take()).toEqual([])
    script.runTo(39_500)
    expect(script.take()).toMatchObject([{ type: 'failed', code: 701 }])
    expect(script.packets).toHaveLength(1)
  })

  test('the data of the greatest length fits a Send indication and a ChannelData message', () => {
    const whole = new Uint8Array(LIMITS.data)
    const script = new Script().allocate()
    script.do((allocation, now) => allocation.createPermission(now, peer.ip))
    expect(script.do((allocation, now) => allocation.send(now, peer, whole))).toBe(true)
    expect(() => script.do((allocation, now) => allocation.send(now, peer, new Uint8Array(LIMITS.data + 1)))).toThrow(
      TurnError,
    )
  })
})

describe('data', () => {
  test('is a view into the packet, with the very objects of relayed address and peer', () => {
    const script = new Script().bind()
    const wrapped = Uint8Array.of(99, ...channelData(0x4000, [7, 8]), 99)
    const packet = { protocol: 'udp', local, remote: { ...server }, bytes: wrapped.subarray(1, 7) } as const
    expect(script.do((allocation, now) => allocation.handlePacket(now, packet))).toBe(true)
    script.deliver(dataIndication(peer, [9]))
    const [first, second] = script.take()
    expect(first).toEqual({ type: 'data', relayed, peer, bytes: Uint8Array.of(7, 8) })
    expect(second).toEqual({ type: 'data', relayed, peer, bytes: Uint8Array.of(9) })
    if (first?.type !== 'data' || second?.type !== 'data') throw new Error('no data')
    expect(first.peer).toBe(peer)
    expect(second.peer).toBe(peer)
    expect(first.relayed).toBe(script.allocation.relayed[0])
    expect(first.bytes.buffer).toBe(wrapped.buffer)
  })

  test('with padding or none, and not when it is shorter than it says', () => {
    const script = new Script().bind()
    script.deliver(channelData(0x4000, [1, 2, 3, 0], 3))
    script.deliver(channelData(0x4000, []))
    script.deliver(channelData(0x4000, [1, 2, 3], 4))
    script.deliver(Uint8Array.of(0x40, 0, 0))
    expect(script.take().map((output) => output.type === 'data' && [...output.bytes])).toEqual([[1, 2, 3], []])
  })

  test('on a channel whose confirmation is still under way, or was an error: the server may mean it (I74)', () => {
    const script = new Script().allocate()
    script.do((allocation, now) => allocation.bindChannel(now, peer))
    script.answer('createPermission')
    script.take()
    script.deliver(channelData(0x4000, [1]))
    script.answer('channelBind', { errorCode: { code: 400, reason: 'Bad Request' } })
    script.deliver(channelData(0x4000, [2]))
    expect(script.take()).toMatchObject([
      { type: 'data', peer },
      { type: 'data', peer },
    ])
    script.do((allocation, now) => allocation.send(now, peer, bytes))
    expect(decode(script.packets.at(-1)!.bytes)).toMatchObject({ method: 'send' })
  })

  test('of a peer whose permission was removed is neither taken nor sent', () => {
    const script = new Script().bind()
    script.do((allocation) => allocation.removePermission(peer.ip))
    script.deliver(channelData(0x4000, [1]))
    script.deliver(dataIndication(peer, [1]))
    expect(script.take()).toEqual([])
    expect(script.do((allocation, now) => allocation.send(now, peer, bytes))).toBe(false)
    expect(script.allocation.timeout()).toBe(TIMING.lifetime - TIMING.refreshMargin)
  })

  test('of a permitted IP comes from all its ports, without our remembering them all', () => {
    const script = new Script().allocate()
    script.do((allocation, now) => allocation.createPermission(now, peer.ip))
    for (let port = 1; port <= 10_000; port++) script.deliver(dataIndication({ ip: peer.ip, port }, [1]))
    expect(script.take()).toHaveLength(10_000)
    // A peer that the caller names gets its channel all the same.
    const late = { ip: peer.ip, port: 20_000 }
    script.do((allocation, now) => allocation.bindChannel(now, late))
    script.answer('channelBind')
    script.do((allocation, now) => allocation.send(now, late, bytes))
    expect(script.packets.at(-1)!.bytes[0]).toBe(0x40)
  })
})

describe('is not ours', () => {
  test('what comes from elsewhere, to elsewhere, or is neither TURN nor an answer to us', () => {
    const script = new Script().bind()
    const good = channelData(0x4000, [1])
    expect(script.deliver(good, { remote: { ...server, port: 3479 } })).toBe(false)
    expect(script.deliver(good, { remote: peer })).toBe(false)
    expect(script.deliver(good, { local: { ...local, port: 1 } })).toBe(false)
    expect(script.deliver(good, { protocol: 'tcp' })).toBe(false)
    expect(script.deliver(Uint8Array.of(22, 254, 253, 0))).toBe(false)
    expect(script.deliver(new Uint8Array(0))).toBe(false)
    for (const kind of ['request', 'success', 'error'] as const) {
      const message = { method: 'binding', class: kind, transactionId: 'not-our-own!', attributes: {} } as const
      expect(script.deliver(encode(message))).toBe(false)
    }
    expect(script.take()).toEqual([])
  })

  test('anything before allocate and after the end', () => {
    const script = new Script()
    expect(script.deliver(channelData(0x4000, [1]))).toBe(false)
    script.bind()
    script.do((allocation, now) => allocation.close(now))
    script.answer('refresh')
    expect(script.take()).toEqual([{ type: 'released' }])
    expect(script.deliver(channelData(0x4000, [1]))).toBe(false)
  })

  test('an answer whose integrity does not hold', () => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    script.answer('allocate', CHALLENGE, null)
    expect(script.answer('allocate', GRANT, null)).toBe(false)
    expect(script.answer('allocate', { errorCode: { code: 437, reason: '' } }, null)).toBe(false)
    expect(script.take()).toEqual([])
    expect(script.answer('allocate', GRANT)).toBe(true)
    expect(script.take()).toMatchObject([{ type: 'allocated', relayed: [relayed], mapped }])
  })
})

describe('a server that can not be taken at its word', () => {
  const text = 'x'.repeat(764)
  const algorithm = { algorithm: 2, parameters: new Uint8Array(0) }

  test.each<[string, Attributes]>([
    ['no nonce', { realm: 'realm' }],
    ['no realm', { nonce: 'nonce' }],
    ['an unknown algorithm', { realm: 'r', nonce: 'n', passwordAlgorithms: [{ ...algorithm, algorithm: 9 }] }],
    ['algorithms without end', { realm: 'r', nonce: 'n', passwordAlgorithms: new Array(17).fill(algorithm) }],
    [
      'parameters without end',
      { realm: 'r', nonce: 'n', passwordAlgorithms: [{ ...algorithm, parameters: new Uint8Array(65) }] },
    ],
    ['no algorithms where the nonce announces them', { realm: 'r', nonce: 'obMatJos2AAAB' }],
    ['the same, in the order of bits of the RFC', { realm: 'r', nonce: 'obMatJos2gAAA' }],
  ])('challenges with %s: failed, with 401', (_, challenge) => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    script.answer(
      'allocate',
      { ...CHALLENGE, realm: undefined, nonce: undefined, ...challenge } as Attributes,
      undefined,
    )
    expect(script.take()).toMatchObject([{ type: 'failed', code: 401 }])
  })

  test.each(['realm', 'nonce'] as const)('challenges with a %s that we could not send back', (name) => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    // The codec would not write it either.
    const good = encode(
      { ...script.request('allocate'), class: 'error', attributes: CHALLENGE },
      { fingerprint: false },
    )
    const type = name === 'realm' ? 0x14 : 0x15
    const value = new TextEncoder().encode(text)
    const rest = Uint8Array.of(
      ...good.subarray(0, 20 + 4 + 16),
      0,
      type,
      value.length >> 8,
      value.length & 255,
      ...value,
    )
    new DataView(rest.buffer).setUint16(2, rest.length - 20)
    expect(script.deliver(rest)).toBe(true)
    expect(script.take()).toMatchObject([{ type: 'failed', code: 401 }])
  })

  test.each<[string, Attributes]>([
    ['no relayed address', { ...GRANT, xorRelayedAddress: [] }],
    ['one of another family', { ...GRANT, xorRelayedAddress: [{ ip: '2001:db8::1', port: 1 }] }],
    ['port 0', { ...GRANT, xorRelayedAddress: [{ ip: '192.0.2.1', port: 0 }] }],
    ['no mapped address', { xorRelayedAddress: [relayed], lifetime: 600 }],
    ['no time', { ...GRANT, lifetime: 0 }],
  ])('grants an allocation with %s: failed', (_, grant) => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    script.answer('allocate', CHALLENGE, null)
    script.answer('allocate', grant)
    expect(script.take()).toMatchObject([{ type: 'failed', code: 701 }])
  })

  test('lets an allocation end at its refresh', () => {
    const script = new Script().allocate()
    script.runTo(540_000)
    script.answer('refresh', { lifetime: 0 })
    expect(script.take()).toMatchObject([{ type: 'failed', code: 437 }])
  })

  test('gives a ticket that we could not send back: there is none', () => {
    const script = new Script({ mobility: true })
    script.allocate({ ...GRANT, mobilityTicket: new Uint8Array(2_000) })
    expect(script.allocation.movable).toBe(false)
  })

  test('says 401 with the very nonce again: not tried again (RFC 8489 §9.2.5)', () => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    script.answer('allocate', CHALLENGE, null)
    script.answer('allocate', CHALLENGE, null)
    expect(script.take()).toMatchObject([{ type: 'failed', code: 401 }])
    expect(script.count('allocate')).toBe(2)
  })

  test('has moved its users to another realm: the new one is tried', () => {
    const script = new Script()
    script.do((allocation, now) => allocation.allocate(now))
    script.answer('allocate', CHALLENGE, null)
    script.answer('allocate', { ...CHALLENGE, realm: 'other' }, null)
    expect(script.request('allocate').attributes.realm).toBe('other')
  })

  test('never gets an answer out of us that it could not expect', () => {
    const script = new Script().bind()
    const sent = script.packets.length
    for (const method of ['allocate', 'refresh', 'createPermission', 'channelBind', 'binding'] as const)
      script.deliver(encode({ method, class: 'request', transactionId: 'from-server!', attributes: {} }, { key: KEY }))
    expect(script.packets).toHaveLength(sent)
  })
})

describe('bounds', () => {
  test('of permissions: the next one is refused, and nothing else happens', () => {
    const script = new Script().allocate()
    for (let i = 0; i < LIMITS.permissions; i++)
      script.do((allocation, now) => allocation.createPermission(now, `198.18.${i >> 8}.${i & 255}`))
    script.take()
    script.do((allocation, now) => allocation.createPermission(now, '198.19.0.1'))
    expect(script.take()).toMatchObject([{ type: 'permission', ip: '198.19.0.1', state: 'refused', code: 508 }])
    expect(script.do((allocation, now) => allocation.send(now, { ip: '198.19.0.1', port: 1 }, bytes))).toBe(false)
  })

  test('of requests under way, and a refresh waits for none of them', () => {
    const script = new Script().allocate()
    for (let i = 0; i < 50; i++) script.do((allocation, now) => allocation.createPermission(now, `198.18.0.${i}`))
    expect(script.count('createPermission')).toBe(LIMITS.requests)
    script.answer('createPermission')
    expect(script.count('createPermission')).toBe(LIMITS.requests + 1)
    script.runTo(15_000)
    for (let i = 50; i < 90; i++) script.do((allocation, now) => allocation.createPermission(now, `198.18.0.${i}`))
    script.now = 540_000
    script.do((allocation, now) => allocation.handleTimeout(now))
    expect(script.count('refresh')).toBeGreaterThan(0)
  })

  test('of channel numbers: each is one peer’s until five minutes after it has surely ended (RFC 8656 §12)', () => {
    const script = new Script({ timing: { lifetime: 36_000_000, longestLifetime: 36_000_000 } })
    script.allocate({ ...GRANT, lifetime: 36_000 })
    script.do((allocation, now) => allocation.createPermission(now, peer.ip))
    script.answer('createPermission')
    for (let port = 1; port <= 0x1000; port++) {
      script.do((allocation, now) => allocation.bindChannel(now, { ip: peer.ip, port }))
      const { channelNumber } = script.request('channelBind').attributes
      if (channelNumber !== 0x4000 + port - 1) throw new Error(`port ${port} got ${channelNumber}`)
      script.answer('channelBind')
      script.packets.length = 0
    }
    // None is left: the peer goes on without a channel.
    script.do((allocation, now) => allocation.bindChannel(now, { ip: peer.ip, port: 9_999 }))
    expect(script.count('channelBind')).toBe(0)
    expect(script.do((allocation, now) => allocation.send(now, { ip: peer.ip, port: 9_999 }, bytes))).toBe(true)
    const after = (ms: number, ip: string) => {
      script.now += ms
      script.do((allocation, now) => allocation.bindChannel(now, { ip, port: 1 }))
      return script.count('channelBind')
    }
    script.do((allocation) => allocation.removePermission(peer.ip))
    const { channelLifetime, channelCooldown } = TIMING
    expect(after(channelLifetime + channelCooldown - 1, '198.18.0.1')).toBe(0)
    expect(after(1, '198.18.0.2')).toBe(1)
  })
})

describe('a caller’s mistake is told at once', () => {
  const base = {
    server,
    local,
    protocol: 'udp',
    username: 'u',
    credential: 'p',
    random: (n: number) => new Uint8Array(n),
  } as const

  test.each<[string, Partial<AllocationOptions>]>([
    ['a user name without end', { username: 'u'.repeat(509) }],
    ['no lifetime', { lifetime: 0 }],
    ['an endless one', { lifetime: Infinity }],
    ['no family', { families: [] }],
    ['a server that the socket can not reach', { server: { ip: '2001:db8::1', port: 3478 } }],
  ])('%s', (_, options) => {
    expect(() => new Allocation({ ...base, ...options })).toThrow(
      expect.objectContaining({ code: 'ERR_TURN_ARGUMENT' }),
    )
  })

  test('allocating twice, names in place of addresses, moving without a ticket', () => {
    const script = new Script().allocate()
    const state = expect.objectContaining({ code: 'ERR_TURN_STATE' })
    expect(() => script.do((allocation, now) => allocation.allocate(now))).toThrow(state)
    expect(() => script.do((allocation, now) => allocation.move(now, local))).toThrow(state)
    const argument = expect.objectContaining({ code: 'ERR_TURN_ARGUMENT' })
    expect(() => script.do((allocation, now) => allocation.createPermission(now, 'example.org'))).toThrow(argument)
  })

  test('calls after the end are harmless', () => {
    const script = new Script().bind()
    script.do((allocation, now) => allocation.close(now))
    script.runTo(10_000)
    script.take()
    const sent = script.packets.length
    script.do((allocation, now) => {
      allocation.createPermission(now, peer.ip)
      allocation.bindChannel(now, peer)
      allocation.removePermission(peer.ip)
      allocation.handleTimeout(now)
      expect(allocation.send(now, peer, bytes)).toBe(false)
    })
    expect(script.take()).toEqual([])
    expect(script.packets).toHaveLength(sent)
    expect(script.allocation.timeout()).toBe(Infinity)
  })
})
