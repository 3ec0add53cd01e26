import { encode } from '@floe/stun'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BehaviorDiscovery,
  type BehaviorDiscoveryOptions,
  type BehaviorOutput,
  judgeAllocation,
  judgeMapping,
  type NatBehavior,
  NatError,
} from '../src/index.ts'
import { NAT_IP, SERVERS, StunWorld } from './stun-world.ts'
import { seeded, Wire } from './virtual-time.ts'

const LOCALS = Array.from({ length: 8 }, (_, index) => ({ ip: '192.168.1.2', port: 5000 + index * 10 }))
const TWO = SERVERS.map((ip) => ({ ip, port: 3478 }))
const DEPENDENCES = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const

function discover(world: StunWorld, more: Partial<BehaviorDiscoveryOptions> = {}, seed = 1) {
  const options = { locals: LOCALS, servers: TWO, random: seeded(seed), ...more }
  const wire = new Wire<BehaviorOutput>((now) => new BehaviorDiscovery(now, options), world)
  wire.latency = 10
  return wire
}

function report(world: StunWorld, more: Partial<BehaviorDiscoveryOptions> = {}): NatBehavior {
  const wire = discover(world, more)
  wire.run(5_000)
  expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  expect(wire.types()).toEqual(['report'])
  return wire.events[0]!.behavior
}

function world(settings: Partial<StunWorld> = {}): StunWorld {
  return Object.assign(new StunWorld(), settings)
}

describe('with servers of RFC 5780', () => {
  test.each(DEPENDENCES.flatMap((mapping) => DEPENDENCES.map((filtering) => ({ mapping, filtering }))))(
    '$mapping mapping and $filtering filtering',
    ({ mapping, filtering }) => {
      expect(report(world({ mapping, filtering }))).toMatchObject({ mapping, filtering, translated: true })
    },
  )

  test('one such server is enough', () => {
    for (const mapping of DEPENDENCES) {
      expect(report(world({ mapping }), { servers: TWO.slice(0, 1) })).toMatchObject({ mapping })
    }
  })

  test.each(['ignore', 'refuse', 'pretend'] as const)(
    'CHANGE-REQUEST that the server does %s tells nothing',
    (rfc5780) => {
      expect(report(world({ rfc5780, filtering: 'endpoint-independent' })).filtering).toBe('unknown')
    },
  )

  test('one socket is not enough for filtering', () => {
    expect(report(world(), { locals: LOCALS.slice(0, 1) })).toMatchObject({
      mapping: 'endpoint-independent',
      filtering: 'unknown',
      hairpinning: 'unknown',
    })
  })
})

describe('with plain servers', () => {
  const plain = { rfc5780: 'ignore' } as const

  test.each([
    ['endpoint-independent', 'endpoint-independent'],
    ['address-dependent', 'endpoint-dependent'],
    ['address-and-port-dependent', 'endpoint-dependent'],
  ] as const)('on two addresses: %s mapping is %s', (mapping, judged) => {
    expect(report(world({ ...plain, mapping }))).toMatchObject({ mapping: judged, filtering: 'unknown' })
  })

  test.each(DEPENDENCES)('with a second port on one of them: %s mapping', (mapping) => {
    const servers = [...TWO, { ip: SERVERS[0], port: 3479 }]
    expect(report(world({ ...plain, mapping }), { servers })).toMatchObject({ mapping })
  })

  test('on one address: unknown', () => {
    expect(report(world(plain), { servers: TWO.slice(0, 1) })).toMatchObject({ mapping: 'unknown', reachable: true })
  })

  test('one of three is dead: a report all the same, with the round trip times of the others', () => {
    const servers = [{ ip: '192.0.2.99', port: 3478 }, ...TWO]
    const { mapping, servers: asked } = report(world(plain), { servers })
    expect(mapping).toBe('endpoint-independent')
    expect(asked.map(({ roundTripTime }) => roundTripTime)).toEqual([undefined, 20, 20])
  })

  test('all are dead: not reachable, after two seconds', () => {
    const w = world()
    for (const ip of SERVERS) w.dead.add(ip)
    const wire = discover(w)
    wire.run(2_000)
    expect(wire.events).toMatchObject([{ type: 'report', behavior: { reachable: false, mapping: 'unknown' } }])
  })
})

describe('port allocation', () => {
  const random = seeded(99)
  const port = (low: number, size: number) => low + ((random(1)[0]! * 256 + random(1)[0]!) % size)
  test.each([
    ['preserving', ({ port: internal }: { port: number }) => internal],
    ['sequential', (_: unknown, count: number) => 30_000 + count * 2],
    ['sequential', (_: unknown, count: number) => 30_000 - count],
    ['block', () => port(20_000, 512)],
    ['random', () => port(1_024, 60_000)],
  ] as const)('%s', (kind, allocate) => {
    const { allocation } = report(world({ allocate }))
    expect(allocation?.kind).toBe(kind)
    expect(allocation!.low).toBeLessThanOrEqual(allocation!.high)
  })

  test('the step of a sequential one', () => {
    const allocate = (_: unknown, count: number) => 30_000 + count * 3
    expect(report(world({ allocate })).allocation).toMatchObject({ kind: 'sequential', step: 3 })
  })

  test('a few ports taken by others do not hide preservation', () => {
    const allocate = ({ port: internal }: { port: number }, count: number) => (count === 3 ? 61_000 : internal)
    expect(report(world({ allocate })).allocation?.kind).toBe('preserving')
  })

  test('needs three samples', () => {
    expect(judgeAllocation([])).toBeUndefined()
    expect(judgeAllocation([1, 2].map((each) => ({ internal: each, external: each })))).toBeUndefined()
  })
})

describe('hairpinning', () => {
  test.each(['external', 'internal', 'none'] as const)('%s', (hairpinning) => {
    for (const filtering of DEPENDENCES) {
      expect(report(world({ hairpinning, filtering, rfc5780: 'ignore' })).hairpinning).toBe(hairpinning)
    }
  })

  test('is not tried on the word of one server, which could point us at anybody', () => {
    const wire = discover(world({ rfc5780: 'ignore' }), { servers: TWO.slice(0, 1) })
    wire.run(5_000)
    expect(wire.sent.some(({ packet }) => packet.remote.ip === NAT_IP)).toBe(false)
  })

  test('servers that name port 0 have nothing sent there, which no socket does', () => {
    const wire = discover(world({ rfc5780: 'ignore', allocate: () => 0 }))
    wire.run(5_000)
    expect(wire.sent.map(({ packet }) => packet.remote.port)).not.toContain(0)
    expect(wire.events).toMatchObject([{ behavior: { reachable: false, hairpinning: 'unknown' } }])
  })

  test('a request with another transaction id is nobody’s', () => {
    const wire = discover(world({ hairpinning: 'none', rfc5780: 'ignore' }))
    wire.run(200)
    const foreign = encode({ method: 'binding', class: 'request', transactionId: 'x'.repeat(12), attributes: {} })
    expect(wire.deliver(foreign, { ip: NAT_IP, port: 1 }, LOCALS[7])).toBe(false)
    wire.run(5_000)
    expect(wire.events).toMatchObject([{ behavior: { hairpinning: 'none' } }])
  })
})

describe('layers', () => {
  test('none, one, several', () => {
    expect(report(world({ transparent: true, rfc5780: 'ignore' }))).toMatchObject({
      layers: 0,
      translated: false,
      hairpinning: 'unknown',
    })
    expect(report(world(), { gatewayExternalIp: NAT_IP })).toMatchObject({ layers: 1, carrierGrade: false })
    expect(report(world(), { gatewayExternalIp: '10.0.0.2' })).toMatchObject({ layers: 2, carrierGrade: false })
    expect(report(world(), { gatewayExternalIp: '100.64.9.9' })).toMatchObject({ layers: 2, carrierGrade: true })
    expect(report(world()).layers).toBeUndefined()
  })

  test('a host in the carrier’s own space', () => {
    const locals = LOCALS.map(({ port }) => ({ ip: '100.64.0.5', port }))
    expect(report(world(), { locals })).toMatchObject({ carrierGrade: true })
  })

  test('sockets with different external addresses: arbitrary pooling, against REQ-2', () => {
    expect(report(world()).pooling).toBe('paired')
    const pool = ({ port }: { port: number }) => (port % 20 === 0 ? NAT_IP : '203.0.113.8')
    expect(report(world({ pool })).pooling).toBe('arbitrary')
  })
})

test('loss: the mapping is right all the same, and it ends within five seconds', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seeded(seed)
    const wire = discover(world({ mapping: 'address-dependent' }), {}, seed)
    wire.lose = () => random(1)[0]! < 40
    wire.run(5_000)
    expect(wire.types(), `seed ${seed}`).toEqual(['report'])
    expect(wire.sent.length).toBeLessThan(60)
  }
})

test('a few dozen packets in all', () => {
  const wire = discover(world())
  wire.run(5_000)
  expect(wire.sent.length).toBeLessThan(30)
})

test("a caller's mistakes throw", () => {
  const options = { locals: LOCALS, servers: TWO, random: seeded(1) }
  expect(() => new BehaviorDiscovery(0, { ...options, locals: [] })).toThrow(NatError)
  expect(() => new BehaviorDiscovery(0, { ...options, servers: [] })).toThrow(NatError)
})

test('judging is symmetric, and agrees with itself', () => {
  const address = fc.record({ ip: fc.constantFrom('1.1.1.1', '2.2.2.2'), port: fc.constantFrom(1, 2) })
  fc.assert(
    fc.property(fc.array(fc.record({ server: address, mapped: address }), { maxLength: 6 }), (observations) => {
      expect(judgeMapping([...observations].reverse())).toBe(judgeMapping(observations))
    }),
  )
})

test('hostile packets never throw and change nothing', () => {
  const attack = fc.record({
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constant(encode({ method: 'binding', class: 'success', transactionId: 'y'.repeat(12), attributes: {} })),
    ),
    ip: fc.constantFrom(...SERVERS, '6.6.6.6'),
    wait: fc.nat(100),
  })
  fc.assert(
    fc.property(fc.array(attack, { maxLength: 40 }), (attacks) => {
      const wire = discover(world())
      for (const { bytes, ip, wait } of attacks) {
        expect(wire.deliver(bytes, { ip, port: 3478 }, LOCALS[0])).toBe(false)
        wire.run(wait)
      }
      wire.run(5_000)
      expect(wire.events).toMatchObject([{ behavior: { mapping: 'endpoint-independent' } }])
    }),
    { numRuns: 100 },
  )
})
