import { describe, expect, test } from 'vitest'
import { NatPmpClient } from '../src/index.ts'
import { EXTERNAL_IP, NatPmpRouter } from './routers.ts'
import { clientOptions, GATEWAY, INTERNAL, type Router, seeded, Wire } from './virtual-time.ts'

const HOUR = 3_600_000
const ANNOUNCEMENTS = { ip: '0.0.0.0', port: 5350 }

function start(router: Router = new NatPmpRouter(), more = {}) {
  return new Wire((now) => new NatPmpClient(now, clientOptions(more)), router)
}

/** A router that has just said that it has started anew, and says no. */
function refusing() {
  const router = new NatPmpRouter()
  const wire = start(router)
  wire.run(60_000)
  router.reboot(wire.now)
  router.error = 3
  wire.deliver(router.announcement(wire.now), undefined, ANNOUNCEMENTS)
  return { router, wire }
}

describe('RFC 6886', () => {
  test('asks for address and mapping at once, in the bytes of §3.2 and §3.3', () => {
    const wire = start(undefined, { suggested: { ip: EXTERNAL_IP, port: 6000 } })
    expect(wire.sent.map(({ packet }) => Buffer.from(packet.bytes).toString('hex'))).toEqual([
      '0000',
      '000100001388177000001c20',
    ])
    wire.run(10)
    expect(wire.events).toMatchObject([
      { type: 'mapped', external: { ip: EXTERNAL_IP, port: 6000 }, lifetime: 7_200_000 },
    ])
  })

  test('renews at half life, and reports the address that the router has by then', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    wire.run(2 * HOUR)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    router.externalIp = '203.0.113.99'
    wire.run(2 * HOUR)
    expect(wire.events[2]).toMatchObject({ type: 'mapped', external: { ip: '203.0.113.99', port: 40_000 } })
  })

  test('an answer to one half alone is not enough', () => {
    const wire = start()
    wire.lose = ({ bytes }, toRouter) => toRouter && bytes[1] === 0 && wire.now < 1_001_000
    wire.run(900)
    expect(wire.events).toEqual([])
    wire.run(1_000)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('releases with lifetime 0 and no external port', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    wire.run(100)
    wire.call((now) => (wire.machine as NatPmpClient).release(now))
    expect(Buffer.from(wire.sent.at(-1)!.packet.bytes).toString('hex')).toBe('000100001388000000000000')
    wire.run(100)
    expect(wire.types()).toEqual(['mapped', 'released'])
    expect(router.mappings.size).toBe(0)
  })

  test('any loss: a mapping is there in the end', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seeded(seed)
      const router = new NatPmpRouter()
      const wire = start(router, { random: seeded(seed + 1000) })
      wire.lose = () => random(1)[0]! < 80
      wire.run(2 * HOUR)
      expect(wire.types()[0], `seed ${seed}`).toBe('mapped')
      expect(router.mappings.has(INTERNAL.port), `seed ${seed}`).toBe(true)
    }
  })
})

describe('a router that forgets', () => {
  test('its announcement makes the mapping anew at once', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    wire.run(60_000)
    router.reboot(wire.now)
    wire.deliver(router.announcement(wire.now))
    wire.run(100)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    expect(router.mappings.get(INTERNAL.port)?.externalPort).toBe(40_000)
  })

  test('its announcement is heard too while an answer to a renewal is missing', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    wire.run(60_000)
    wire.lose = () => wire.now < 1_000_000 + 1.4 * HOUR
    wire.run(1.4 * HOUR)
    expect(wire.sent.length).toBeGreaterThan(2)
    router.reboot(wire.now)
    wire.deliver(router.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.run(100)
    expect(router.mappings.has(INTERNAL.port)).toBe(true)
  })

  test('its announcement ends the long pauses between requests to a silent router', () => {
    const router = new NatPmpRouter()
    router.silent = true
    const wire = start(router)
    wire.run(HOUR)
    router.silent = false
    wire.deliver(router.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.run(100)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('an announcement is no answer: whoever forges one puts no address into a mapping', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    const forged = new NatPmpRouter()
    forged.externalIp = '198.51.100.66'
    wire.lose = ({ bytes }, toRouter) => !toRouter && bytes[1] === 0x80
    wire.deliver(forged.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.run(100)
    expect(wire.types()).toEqual([])
  })

  test('one that refuses the renewal with a clock that has begun anew has forgotten the mapping too', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    wire.run(60_000)
    router.reboot(wire.now)
    router.error = 3
    wire.run(2 * HOUR)
    expect(wire.types().slice(0, 2)).toEqual(['mapped', 'lost'])
    expect(wire.events[1]!.at).toBeLessThan(1_000_000 + 1.3 * HOUR)
  })

  test('one that says no while it starts, or for which another says no, is asked again before the mapping counts as lost', () => {
    const { router, wire } = refusing()
    wire.run(500)
    router.error = 0
    wire.run(1_500)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    expect(router.mappings.has(INTERNAL.port)).toBe(true)
  })

  test('one that goes on saying no has lost the mapping after 2 s, with its reason', () => {
    const { wire } = refusing()
    wire.run(1_900)
    expect(wire.types()).toEqual(['mapped'])
    wire.run(200)
    expect(wire.types()).toEqual(['mapped', 'lost', 'failed'])
    expect(wire.events[1]).toMatchObject({ reason: expect.stringContaining('network failure') })
    expect(wire.events[2]).toMatchObject({ code: 'refused', retryAfter: 30_000 })
  })

  test('a clock that runs 1/8 slow is no restart (§3.6)', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    const epoch = router.epoch(wire.now)
    for (let i = 1; i <= 20; i++) {
      wire.run(60_000)
      const slow = router.announcement(wire.now)
      new DataView(slow.buffer).setUint32(4, epoch + Math.floor(i * 60 * 0.89))
      wire.deliver(slow)
    }
    expect(wire.sent).toHaveLength(2)
  })

  test('a new external address is asked for, not believed', () => {
    const router = new NatPmpRouter()
    const wire = start(router)
    wire.run(60_000)
    const forged = new NatPmpRouter()
    forged.externalIp = '198.51.100.66'
    wire.deliver(forged.announcement(wire.now))
    wire.run(1_000)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    router.externalIp = '203.0.113.99'
    wire.deliver(router.announcement(wire.now))
    wire.run(1_000)
    expect(wire.events.at(-1)).toMatchObject({ type: 'mapped', external: { ip: '203.0.113.99' } })
  })

  test('forged announcements cost two small packets a second at most', () => {
    const wire = start()
    wire.run(60_000)
    for (let i = 0; i < 1_000; i++) {
      wire.deliver(Uint8Array.of(0, 0x80, 0, 0, 0, 0, 0, 0, i >> 8, i & 255, 0, 0))
      wire.run(10)
    }
    expect(wire.sent.length).toBeLessThanOrEqual(2 + 22)
    expect(wire.types()).not.toContain('lost')
  })
})

describe('refusals', () => {
  test.each([
    { result: 1, code: 'unsupported', retryAfter: 600_000 },
    { result: 2, code: 'refused', retryAfter: 600_000 },
    { result: 3, code: 'refused', retryAfter: 30_000 },
    { result: 4, code: 'refused', retryAfter: 30_000 },
    { result: 99, code: 'refused', retryAfter: 30_000 },
  ])('result $result ends it as $code', ({ result, code, retryAfter }) => {
    const router = new NatPmpRouter()
    router.error = result
    const wire = start(router)
    wire.run(60_000)
    expect(wire.events).toMatchObject([{ type: 'failed', code, retryAfter }])
  })

  test('an answer for another internal port, or from elsewhere, is not ours', () => {
    const wire = start({ handlePacket: () => [] })
    const map = Uint8Array.of(0, 0x81, 0, 0, 0, 0, 0, 9, 0x13, 0x89, 0x9c, 0x40, 0, 0, 0x1c, 0x20)
    const address = Uint8Array.of(0, 0x80, 0, 0, 0, 0, 0, 9, 203, 0, 113, 7)
    wire.deliver(address)
    wire.deliver(map)
    map[9] = 0x88
    wire.deliver(map, { ip: '192.168.1.66', port: 5351 })
    wire.deliver(map, { ip: GATEWAY, port: 1900 })
    expect(wire.events).toEqual([])
    wire.deliver(map)
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { ip: EXTERNAL_IP, port: 40_000 } }])
  })
})
