import { describe, expect, test } from 'vitest'
import { PcpClient } from '../src/index.ts'
import { EXTERNAL_IP, NatPmpRouter, PcpRouter, pcpResponse } from './routers.ts'
import { clientOptions, GATEWAY, INTERNAL, type Router, seeded, Wire } from './virtual-time.ts'

const HOUR = 3_600_000

function start(router: Router = new PcpRouter(), more = {}) {
  return new Wire((now) => new PcpClient(now, clientOptions(more)), router)
}

describe('RFC 6887 MAP', () => {
  test('the request is the 60 bytes of §11.1', () => {
    const wire = start(new PcpRouter(), { random: (length: number) => new Uint8Array(length).fill(0xab) })
    const { packet } = wire.sent[0]!
    expect(packet.remote).toEqual({ ip: GATEWAY, port: 5351 })
    expect(Buffer.from(packet.bytes).toString('hex')).toBe(
      [
        '02010000', // version 2, MAP, reserved
        '00001c20', // 7200 s
        '00000000000000000000ffffc0a80102', // client 192.168.1.2
        'abababababababababababab', // nonce
        '11000000', // UDP, reserved
        '13880000', // internal port 5000, no external port suggested
        '00000000000000000000ffff00000000', // no external address suggested
      ].join(''),
    )
  })

  test('an IPv6 host maps its own address', () => {
    const router = new PcpRouter()
    router.externalIp = '2001:db8::2'
    const wire = start(router, {
      internal: { ip: '2001:db8::2', port: 5000 },
      control: { ip: '2001:db8::2', port: 40000 },
      gateway: 'fe80::1%eth0',
      suggested: { ip: '2001:db8::2', port: 5000 },
    })
    wire.run(100)
    expect(Buffer.from(wire.sent[0]!.packet.bytes.subarray(8, 24)).toString('hex')).toBe(
      '20010db8000000000000000000000002',
    )
    expect(wire.sent[0]!.packet.remote).toEqual({ ip: 'fe80::1%eth0', port: 5351 })
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { ip: '2001:db8::2', port: 5000 } }])
  })

  test('an answer makes a mapping, within one round trip', () => {
    const wire = start()
    wire.run(10)
    expect(wire.events).toMatchObject([
      { type: 'mapped', external: { ip: EXTERNAL_IP, port: 30_000 }, lifetime: 7_200_000 },
    ])
  })

  test('lost packets are sent again after 250 ms, then twice that, and so on', () => {
    const router = new PcpRouter()
    router.silent = true
    const wire = start(router)
    wire.run(145_000)
    const gaps = wire.sent.slice(1).map(({ at }, index) => at - wire.sent[index]!.at)
    expect(gaps).toHaveLength(9)
    for (const [index, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThanOrEqual(250 * 2 ** index * 0.9)
      expect(gap).toBeLessThanOrEqual(250 * 2 ** index * 1.1)
    }
    expect(new Set(wire.sent.map(({ packet }) => Buffer.from(packet.bytes).toString('hex'))).size).toBe(1)
    router.silent = false
    wire.run(145_000)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('a silent router never costs more than one packet in 17 minutes', () => {
    const router = new PcpRouter()
    router.silent = true
    const wire = start(router)
    wire.run(24 * HOUR)
    expect(wire.sent.length).toBeLessThan(12 + 24 * 4.3)
  })

  test('duplicated answers do no harm', () => {
    const router = new PcpRouter()
    const wire = start({
      handlePacket: (now, packet) => [...router.handlePacket(now, packet), ...router.handlePacket(now, packet)],
    })
    wire.run(100)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    expect(wire.sent).toHaveLength(1)
  })
})

describe('renewal', () => {
  test('at half life, with the same nonce, and the external address as suggestion', () => {
    const wire = start()
    wire.run(2 * HOUR)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    expect(wire.sent).toHaveLength(2)
    const [first, second] = wire.sent
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(HOUR)
    expect(second!.at - first!.at).toBeLessThanOrEqual(1.26 * HOUR)
    expect(second!.packet.bytes.subarray(24, 36)).toEqual(first!.packet.bytes.subarray(24, 36))
    expect(second!.packet.bytes.subarray(42, 44)).toEqual(Uint8Array.of(30_000 >> 8, 30_000 & 255))
  })

  test('tries again at 3/4, 7/8 and so on, at least 4 s apart, and reports the end', () => {
    const router = new PcpRouter()
    router.maxLifetime = 120
    const wire = start(router)
    wire.run(100)
    router.silent = true
    wire.run(119_900)
    const times = wire.sent.slice(1).map(({ at }) => (at - wire.sent[0]!.at) / 1000)
    expect(times.length).toBe(5)
    for (const [index, time] of times.entries()) {
      expect(time).toBeGreaterThanOrEqual(120 * (1 - 2 ** -(index + 1)))
      if (index > 0) expect(time - times[index - 1]!).toBeGreaterThanOrEqual(4)
    }
    expect(wire.types()).toEqual(['mapped'])
    wire.run(1_000)
    expect(wire.types()).toEqual(['mapped', 'lost'])
    router.silent = false
    wire.run(2_000)
    expect(wire.types()).toEqual(['mapped', 'lost', 'mapped'])
  })

  test('a longer grant than a day is not believed', () => {
    const router = new PcpRouter()
    router.maxLifetime = 0xffffffff
    const wire = start(router, { lifetime: 4_000_000_000_000 })
    wire.run(100)
    expect(wire.machine.timeout() - wire.now).toBeLessThanOrEqual(24 * HOUR * 0.625)
  })

  test('an error keeps the lease that still runs', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(100)
    router.error = { result: 8, lifetime: 30 }
    wire.run(1.4 * HOUR)
    router.error = undefined
    wire.run(0.5 * HOUR)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('a moved external address is reported', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(100)
    router.externalIp = '203.0.113.99'
    wire.run(1.5 * HOUR)
    expect(wire.events).toMatchObject([{ type: 'mapped' }, { type: 'mapped', external: { ip: '203.0.113.99' } }])
  })
})

describe('a router that forgets', () => {
  test('its announcement makes the mapping anew at once, with the same external port', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(60_000)
    router.reboot(wire.now)
    const at = wire.now
    wire.deliver(router.announcement(wire.now))
    wire.run(100)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    expect(wire.sent[1]!.at).toBe(at)
    expect(router.entries).toMatchObject([{ internalPort: INTERNAL.port, externalPort: 30_000 }])
  })

  test('an announcement with a running clock changes nothing', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(60_000)
    wire.deliver(router.announcement(wire.now))
    wire.run(10_000)
    expect(wire.sent).toHaveLength(1)
  })

  test('the epoch of an answer to somebody else tells as well', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(60_000)
    router.reboot(wire.now)
    const foreign = new Uint8Array(60)
    foreign.set(pcpResponse(0x81, 0, 7200, 0))
    expect(wire.deliver(foreign)).toBe(false)
    wire.run(100)
    expect(router.entries).toHaveLength(1)
  })

  test('a restart within a second of our own request is not missed', () => {
    const router = new PcpRouter()
    const wire = start(router)
    router.reboot(wire.now - 50_000)
    wire.run(300)
    router.reboot(wire.now)
    wire.deliver(router.announcement(wire.now))
    wire.run(1_000)
    expect(router.entries).toHaveLength(1)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('forged announcements cost one request a second at most', () => {
    const wire = start()
    wire.run(60_000)
    for (let i = 0; i < 1_000; i++) {
      wire.deliver(pcpResponse(0x80, 0, 0, i % 2 === 0 ? 0 : 1_000_000))
      wire.run(10)
    }
    expect(wire.sent.length).toBeLessThanOrEqual(1 + 11)
    expect(wire.types()).not.toContain('lost')
  })

  test('announcements from elsewhere are nothing', () => {
    const wire = start()
    wire.run(60_000)
    wire.deliver(pcpResponse(0x80, 0, 0, 0), { ip: '192.168.1.66', port: 5351 })
    wire.deliver(pcpResponse(0x80, 0, 0, 0), { ip: GATEWAY, port: 5350 })
    wire.run(5_000)
    expect(wire.sent).toHaveLength(1)
  })

  test('one that refuses the renewal with a clock that has begun anew has forgotten the mapping too', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(60_000)
    router.reboot(wire.now)
    router.error = { result: 7, lifetime: 60 }
    wire.run(2 * HOUR)
    expect(wire.types().slice(0, 2)).toEqual(['mapped', 'lost'])
    expect(wire.events[1]!.at).toBeLessThan(1_000_000 + 1.3 * HOUR)
  })

  test('a router that has forgotten and stays silent has lost the mapping after 2 s', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(60_000)
    router.reboot(wire.now)
    router.silent = true
    wire.deliver(router.announcement(wire.now))
    wire.run(2_000)
    expect(wire.types()).toEqual(['mapped', 'lost'])
    router.silent = false
    wire.run(4_500)
    expect(wire.types()).toEqual(['mapped', 'lost', 'mapped'])
  })
})

describe('refusals', () => {
  test.each([
    { result: 2, code: 'refused', retryAfter: 600_000 },
    { result: 12, code: 'refused', retryAfter: 600_000 },
    { result: 7, code: 'refused', retryAfter: 60_000 },
    { result: 4, code: 'unsupported', retryAfter: 60_000 },
    { result: 77, code: 'refused', retryAfter: 60_000 },
  ])('result $result ends it as $code', ({ result, code, retryAfter }) => {
    const router = new PcpRouter()
    router.error = { result, lifetime: 60 }
    const wire = start(router)
    wire.run(1_000_000)
    expect(wire.events).toMatchObject([{ type: 'failed', code, retryAfter }])
    expect(wire.sent).toHaveLength(1)
    expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  })

  test('an error lifetime is bounded on both sides', () => {
    for (const [lifetime, retryAfter] of [
      [0, 30_000],
      [1e9, 1_800_000],
    ] as const) {
      const router = new PcpRouter()
      router.error = { result: 7, lifetime }
      const wire = start(router)
      wire.run(100)
      expect(wire.events).toMatchObject([{ type: 'failed', retryAfter }])
    }
  })

  test('no resources: three other ports are tried, then it is over', () => {
    const router = new PcpRouter()
    router.error = { result: 8, lifetime: 30 }
    const wire = start(router)
    wire.run(1_000_000)
    expect(wire.types()).toEqual(['failed'])
    const ports = wire.sent.map(({ packet: { bytes } }) => (bytes[42]! << 8) | bytes[43]!)
    expect(ports[0]).toBe(0)
    expect(new Set(ports).size).toBe(4)
    expect(ports.slice(1).every((port) => port >= 1024)).toBe(true)
  })

  test('a NAT-PMP router says version 0', () => {
    const wire = start(new NatPmpRouter())
    wire.run(100)
    expect(wire.events).toMatchObject([{ type: 'failed', code: 'nat-pmp-only' }])
  })

  test('a router that has answered in version 2 cannot be talked down', () => {
    const wire = start()
    wire.run(100)
    wire.deliver(Uint8Array.of(0, 0x81, 0, 1, 0, 0, 0, 0))
    expect(wire.types()).toEqual(['mapped'])
  })

  test.each(['0.0.0.0', '127.0.0.1', '224.0.0.1', '169.254.1.1'])('an external address %s is none', (ip) => {
    const router = new PcpRouter()
    router.externalIp = ip
    const wire = start(router)
    wire.run(100)
    expect(wire.types()).toEqual(['failed'])
  })

  test.each(['10.0.0.9', '100.64.3.4'])('an external address %s is one: peers in there can use it', (ip) => {
    const router = new PcpRouter()
    router.externalIp = ip
    const wire = start(router)
    wire.run(100)
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { ip } }])
  })
})

describe('forged answers', () => {
  test('without our nonce, port or protocol, or from elsewhere, change nothing', () => {
    const router = new PcpRouter()
    const answers: Uint8Array[] = []
    const wire = start({
      handlePacket(now, packet) {
        answers.push(router.handlePacket(now, packet)[0]!.bytes)
        return []
      },
    })
    wire.run(10)
    const [answer] = answers
    for (const at of [24, 35, 36, 40, 41]) {
      const forged = answer!.slice()
      forged[at]! ^= 1
      wire.deliver(forged)
    }
    wire.deliver(answer!, { ip: '192.168.1.66', port: 5351 })
    wire.deliver(answer!.subarray(0, 56))
    expect(wire.events).toEqual([])
    wire.deliver(answer!)
    expect(wire.types()).toEqual(['mapped'])
  })
})

describe('release', () => {
  test('deletes with lifetime 0 and the same nonce, and ends when the router confirms', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(100)
    wire.call((now) => (wire.machine as PcpClient).release(now))
    wire.run(100)
    expect(wire.types()).toEqual(['mapped', 'released'])
    const { bytes } = wire.sent.at(-1)!.packet
    expect([...bytes.subarray(4, 8)]).toEqual([0, 0, 0, 0])
    expect([...bytes.subarray(42, 44)]).toEqual([0, 0])
    expect(bytes.subarray(24, 36)).toEqual(wire.sent[0]!.packet.bytes.subarray(24, 36))
    expect(router.entries).toEqual([])
    expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  })

  test('is sent twice to a router that does not answer, and nobody waits longer than a second', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.run(100)
    router.silent = true
    wire.call((now) => (wire.machine as PcpClient).release(now))
    wire.run(1_000)
    expect(wire.types()).toEqual(['mapped', 'released'])
    expect(wire.sent).toHaveLength(3)
  })

  test('before any answer: one packet, in case the router did hear', () => {
    const router = new PcpRouter()
    const wire = start(router)
    wire.call((now) => (wire.machine as PcpClient).release(now))
    expect(wire.types()).toEqual(['released'])
    wire.run(1_000)
    expect(router.entries).toEqual([])
    expect(wire.types()).toEqual(['released'])
  })
})

test('any loss: a mapping is there in the end, and the router has no other', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seeded(seed)
    const router = new PcpRouter()
    const wire = new Wire((now) => new PcpClient(now, clientOptions({ random: seeded(seed + 1000) })), router)
    wire.lose = () => random(1)[0]! < 100
    wire.run(HOUR)
    expect(wire.types()[0], `seed ${seed}`).toBe('mapped')
    expect(router.entries, `seed ${seed}`).toHaveLength(1)
  }
})
