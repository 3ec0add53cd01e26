import { type Address, type Attributes, decode, encode, newTransactionId, type Packet } from '@floe/stun'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BehaviorDiscovery, type BehaviorOutput, BindingServer, NatError } from '../src/index.ts'
import { seeded, Wire } from './virtual-time.ts'

const GRID = ['192.0.2.1', '192.0.2.2'].flatMap((ip) => [3478, 3479].map((port) => ({ ip, port })))
const CLIENT = { ip: '203.0.113.7', port: 40_000 }

describe('Binding, RFC 8489', () => {
  test('an answer tells where the request came from', () => {
    const [answer] = ask(new BindingServer({ locals: GRID.slice(0, 1) }))
    expect(answer).toMatchObject({ local: GRID[0], remote: CLIENT })
    const { class: kind, attributes } = decode(answer!.bytes)!
    expect(kind).toBe('success')
    expect(attributes).toEqual({ xorMappedAddress: CLIENT })
  })

  test('over IPv6 too, and without a zone, which is nobody else’s business', () => {
    const server = new BindingServer({ locals: [{ ip: 'fe80::1%eth0', port: 3478 }] })
    const [answer] = ask(server, {}, { ip: 'fe80::2%eth0', port: 9999 }, { ip: 'fe80::1%eth0', port: 3478 })
    expect(answer?.remote.ip).toBe('fe80::2%eth0')
    expect(decode(answer!.bytes)?.attributes.xorMappedAddress).toEqual({ ip: 'fe80::2', port: 9999 })
  })

  test.each<[string, Attributes, number]>([
    ['PRIORITY', { priority: 1 }, 0x0024],
    ['USE-CANDIDATE', { useCandidate: true }, 0x0025],
    ['RESPONSE-PORT', { responsePort: 53 }, 0x0027],
    ['PADDING', { padding: new Uint8Array(1000) }, 0x0026],
    ['CHANGE-REQUEST without a second address', { changeRequest: { changeIp: true, changePort: true } }, 0x0003],
  ])('%s is refused with 420', (_, attributes, type) => {
    const [answer] = ask(new BindingServer({ locals: GRID.slice(0, 2) }), attributes)
    expect(decode(answer!.bytes)).toMatchObject({
      class: 'error',
      attributes: { errorCode: { code: 420 }, unknownAttributes: [type] },
    })
  })

  test('credentials are nobody’s concern here', () => {
    const [answer] = ask(new BindingServer({ locals: GRID }), { username: 'a:b', realm: 'r', nonce: 'n' })
    expect(decode(answer!.bytes)?.class).toBe('success')
  })

  test('a caller’s mistake throws', () => {
    expect(() => new BindingServer({ locals: [] })).toThrow(NatError)
    expect(() => new BindingServer({ locals: GRID, rate: 0 })).toThrow(NatError)
  })
})

describe('RFC 5780', () => {
  test.each([
    [false, false, GRID[0]],
    [false, true, GRID[1]],
    [true, false, GRID[2]],
    [true, true, GRID[3]],
  ])('CHANGE-REQUEST of address %s and port %s', (changeIp, changePort, from) => {
    const [answer] = ask(new BindingServer({ locals: GRID }), { changeRequest: { changeIp, changePort } })
    expect(answer?.local).toBe(from)
    expect(decode(answer!.bytes)?.attributes).toMatchObject({ responseOrigin: from, otherAddress: GRID[3] })
  })

  test('RESPONSE-PORT: the answer goes to another port of the asker, and to nobody else', () => {
    const server = new BindingServer({ locals: GRID })
    const attributes = { responsePort: 4_242, changeRequest: { changeIp: true, changePort: true } }
    const [answer, ...more] = ask(server, attributes)
    expect(answer).toMatchObject({ local: GRID[3], remote: { ip: CLIENT.ip, port: 4_242 } })
    expect(decode(answer!.bytes)?.attributes.xorMappedAddress).toEqual(CLIENT)
    expect(more).toEqual([])
    expect(ask(server, { responsePort: 0 })).toEqual([])
    expect(ask(server, { responsePort: GRID[1]!.port }, { ip: GRID[1]!.ip, port: 9 })).toEqual([])
  })

  test('three sockets are not enough, nor are four of two families', () => {
    expect(new BindingServer({ locals: GRID.slice(0, 3) }).otherAddress(GRID[0]!)).toBeUndefined()
    const mixed = [...GRID.slice(0, 2), { ip: '::1', port: 3478 }, { ip: '::1', port: 3479 }]
    expect(new BindingServer({ locals: mixed }).otherAddress(GRID[0]!)).toBeUndefined()
  })

  test('our own discovery learns all there is from it', () => {
    const server = new BindingServer({ locals: GRID })
    const locals = Array.from({ length: 4 }, (_, index) => ({ ip: '198.51.100.1', port: 5000 + index }))
    const wire = new Wire<BehaviorOutput>(
      (now) => new BehaviorDiscovery(now, { locals, servers: [GRID[0]!], random: seeded(1) }),
      {
        handlePacket: (now, { local, remote, bytes }) =>
          drain(server, now, { protocol: 'udp', local: remote, remote: local, bytes }).map((answer) => ({
            bytes: answer.bytes,
            from: answer.local,
            to: locals.find(({ port }) => port === answer.remote.port)!,
          })),
      },
    )
    wire.run(5_000)
    expect(wire.events).toMatchObject([
      {
        behavior: {
          translated: false,
          mapping: 'endpoint-independent',
          filtering: 'endpoint-independent',
          allocation: { kind: 'preserving' },
        },
      },
    ])
  })
})

describe('what it can be made to send', () => {
  test('an answer’s packet is at most 2.1 times its request’s, and goes nowhere but to its source’s IP address', () => {
    const other = GRID.map(({ ip, port }) => ({ ip: ip.replace('192.0.2.', '2001:db8::'), port }))
    const attributes = fc.constantFrom<Attributes>(
      {},
      { changeRequest: { changeIp: true, changePort: true } },
      { padding: new Uint8Array(8) },
      { priority: 1, useCandidate: true, responsePort: 53 },
      { changeRequest: { changeIp: true, changePort: true }, responsePort: 53 },
    )
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), attributes, (ip, port, asked) => {
        const isIPv6 = ip.includes(':')
        const [bytes, headers] = [request(asked), isIPv6 ? 48 : 28]
        const packet = { protocol: 'udp', local: isIPv6 ? other[0]! : GRID[0]!, remote: { ip, port }, bytes } as const
        const answers = drain(new BindingServer({ locals: [...GRID, ...other] }), 0, packet)
        expect(answers.length).toBe(port === 0 ? 0 : 1)
        for (const answer of answers) {
          expect(answer.remote.ip).toBe(ip)
          expect([port, 53]).toContain(answer.remote.port)
          expect(answer.bytes.length).toBeLessThanOrEqual(92)
          expect((answer.bytes.length + headers) / (bytes.length + headers)).toBeLessThan(2.1)
        }
      }),
    )
  })

  test('nothing answers an answer, an indication, rubbish, or ourselves', () => {
    const server = new BindingServer({ locals: GRID })
    const packet = (bytes: Uint8Array, remote: Address = CLIENT) =>
      drain(server, 0, { protocol: 'udp', local: GRID[0]!, remote, bytes })
    const transactionId = newTransactionId(seeded(2))
    for (const kind of ['success', 'error', 'indication'] as const) {
      expect(packet(encode({ method: 'binding', class: kind, transactionId, attributes: {} }))).toEqual([])
    }
    expect(packet(encode({ method: 'allocate', class: 'request', transactionId, attributes: {} }))).toEqual([])
    expect(packet(request({}), GRID[3])).toEqual([])
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        expect(packet(bytes)).toEqual([])
      }),
    )
  })

  test('so many to one source, and in all; honest ones are served on', () => {
    const server = new BindingServer({ locals: GRID, ratePerSource: 10, rate: 300 })
    const flood = (now: number, count: number, source: (index: number) => string) =>
      Array.from({ length: count }, (_, i) => ask(server, {}, { ip: source(i), port: 1 + i }, GRID[0], now)).flat()
        .length
    expect(flood(0, 1000, () => '198.51.100.1')).toBe(100)
    expect(flood(1_000, 1000, () => '198.51.100.1')).toBe(10)
    expect(flood(1_000, 5, () => '198.51.100.2')).toBe(5)
    expect(flood(2_000, 1000, (i) => `2001:db8:0:${i.toString(16)}::1`)).toBe(300)
    expect(flood(60_000, 1000, (i) => `2001:db8::${i.toString(16)}`)).toBe(100)
    expect(server.stats.limited).toBe(4_005 - server.stats.answered)
  })

  test('a million forged sources cost no more memory than ten thousand', () => {
    const server = new BindingServer({ locals: GRID, rate: 1_000 })
    for (let i = 0; i < 30_000; i++) ask(server, {}, { ip: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 9 })
    expect(server.stats).toEqual({ answered: 1_000, limited: 29_000 })
  })
})

function request(attributes: Attributes): Uint8Array {
  const message = {
    method: 'binding',
    class: 'request',
    transactionId: newTransactionId(seeded(1)),
    attributes,
  } as const
  return encode(message, { fingerprint: false })
}

function ask(
  server: BindingServer,
  attributes: Attributes = {},
  remote: Address = CLIENT,
  local: Address = GRID[0]!,
  now = 0,
): Packet[] {
  return drain(server, now, { protocol: 'udp', local, remote, bytes: request(attributes) })
}

function drain(server: BindingServer, now: number, packet: Packet): Packet[] {
  server.handlePacket(now, packet)
  const packets: Packet[] = []
  for (let output = server.poll(); output; output = server.poll()) packets.push(output.packet)
  return packets
}
