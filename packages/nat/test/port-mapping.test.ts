import type { Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { GatewayMemory, PortMapping, type PortMappingOptions, type PortMappingOutput } from '../src/index.ts'
import { IgdRouter } from './igd-router.ts'
import { EXTERNAL_IP, NatPmpRouter, PcpRouter } from './routers.ts'
import { type Answer, CONTROL, GATEWAY, INTERNAL, type Router, seeded, Wire } from './virtual-time.ts'

const HOUR = 3_600_000
const ANNOUNCEMENTS = { ip: '0.0.0.0', port: 5350 }

/** A router that speaks what it is made of. */
class Home implements Router {
  pcp: PcpRouter | NatPmpRouter | undefined
  igd: IgdRouter | undefined

  constructor(pcp?: PcpRouter | NatPmpRouter, igd?: IgdRouter) {
    this.pcp = pcp
    this.igd = igd
  }

  handlePacket(now: number, packet: Packet): Answer[] {
    return [...(this.pcp?.handlePacket(now, packet) ?? []), ...(this.igd?.handlePacket(now, packet) ?? [])]
  }

  handleRequest(now: number, request: Parameters<IgdRouter['handleRequest']>[1]) {
    return this.igd?.handleRequest(now, request)
  }
}

/** PCP and NAT-PMP in one daemon, as in miniupnpd. */
class BothRouter extends PcpRouter {
  readonly natPmp = new NatPmpRouter()

  override handlePacket(now: number, packet: Packet): Answer[] {
    if (packet.bytes[0] !== 0) return super.handlePacket(now, packet)
    return this.natPmp.handlePacket(now, packet)
  }
}

function start(home: Router, more: Partial<PortMappingOptions> = {}, seed = 1) {
  const options = { internal: INTERNAL, control: CONTROL, gateway: GATEWAY, random: seeded(seed), ...more }
  return new Wire<PortMappingOutput>((now) => new PortMapping(now, options), home)
}

function mapping(wire: Wire<PortMappingOutput>): PortMapping {
  return wire.machine as unknown as PortMapping
}

describe('the race', () => {
  test('PCP: mapped within a round trip, and nobody is bothered by multicast', () => {
    const home = new Home(new PcpRouter(), new IgdRouter())
    const wire = start(home)
    wire.run(10)
    expect(wire.events).toMatchObject([
      { type: 'mapped', mapping: { protocol: 'pcp', external: { ip: EXTERNAL_IP, port: 30_000 } } },
    ])
    wire.run(10_000)
    expect(wire.sent).toHaveLength(1)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('a slower PCP router: UPnP has searched by then, and maps nothing', () => {
    const home = new Home(new PcpRouter(), new IgdRouter())
    const wire = start(home)
    wire.latency = 120
    wire.run(10_000)
    expect(wire.sent.some(({ packet }) => packet.remote.port === 1900)).toBe(true)
    expect(home.igd!.actions).not.toContain('AddPortMapping')
    expect(wire.events).toMatchObject([{ type: 'mapped', mapping: { protocol: 'pcp' } }])
  })

  test('NAT-PMP as soon as the router says that it speaks nothing else', () => {
    const wire = start(new Home(new NatPmpRouter(), new IgdRouter()))
    wire.run(20)
    expect(wire.events).toMatchObject([{ type: 'mapped', mapping: { protocol: 'nat-pmp' } }])
  })

  test('NAT-PMP also when the router ignores what it does not know', () => {
    const router = new NatPmpRouter()
    const wire = start({
      handlePacket: (now, packet) => (packet.bytes[0] === 0 ? router.handlePacket(now, packet) : []),
    })
    wire.run(1_000)
    expect(wire.events).toMatchObject([{ type: 'mapped', mapping: { protocol: 'nat-pmp' } }])
  })

  test('UPnP alone: it is ready when the others have had half a second', () => {
    const wire = start(new Home(undefined, new IgdRouter()))
    wire.run(520)
    expect(wire.events).toMatchObject([{ type: 'mapped', mapping: { protocol: 'upnp' } }])
  })

  test('UPnP at once when the others have said no', () => {
    const pcp = new PcpRouter()
    pcp.error = { result: 2, lifetime: 60 }
    const wire = start(new Home(pcp, new IgdRouter()), { protocols: ['pcp', 'upnp'] })
    wire.run(100)
    expect(wire.events).toMatchObject([{ type: 'mapped', mapping: { protocol: 'upnp' } }])
  })

  test('nothing: reported after two seconds, and asked for ever more rarely', () => {
    const wire = start({})
    wire.run(1_999)
    expect(wire.events).toEqual([])
    wire.run(1)
    expect(wire.events).toMatchObject([
      { type: 'unavailable', reason: 'pcp: no answer so far; nat-pmp: no answer so far; upnp: no answer so far' },
    ])
    wire.run(60_000)
    const first = wire.sent.length
    expect(first).toBeLessThan(45)
    wire.run(24 * HOUR)
    expect(wire.sent.length - first).toBeLessThan(1_300)
    expect(wire.types()).toEqual(['unavailable'])
  })

  test('everything refused: reported at once, with the reasons', () => {
    const pcp = new PcpRouter()
    pcp.error = { result: 12, lifetime: 60 }
    const wire = start(new Home(pcp), { protocols: ['pcp'] })
    wire.run(20)
    expect(wire.events).toMatchObject([{ type: 'unavailable' }])
    expect(JSON.stringify(wire.events)).toContain('another NAT')
    expect(pcp.requests).toBe(1)
    pcp.error = undefined
    wire.run(601_000)
    expect(wire.types()).toEqual(['unavailable', 'mapped'])
  })

  test('a router that comes later is found', () => {
    const home = new Home()
    const wire = start(home)
    wire.run(10_000)
    home.igd = new IgdRouter()
    wire.run(60_000)
    expect(wire.types()).toEqual(['unavailable', 'mapped'])
  })

  test('IPv6 knows no NAT-PMP', () => {
    const ip = '2001:db8::2'
    const wire = start({}, { internal: { ip, port: 1 }, control: { ip, port: 2 }, gateway: 'fe80::1%eth0' })
    wire.run(5_000)
    expect(wire.sent.some(({ packet }) => packet.bytes[0] === 0)).toBe(false)
  })

  test('a late yes of another protocol is given back', () => {
    const pcp = new PcpRouter()
    const home = new Home(undefined, new IgdRouter())
    const wire = start(home)
    wire.run(515)
    home.pcp = pcp
    // The answer to the next PCP request and the one of UPnP cross.
    wire.run(2_000)
    expect(wire.types()).toEqual(['mapped'])
    const { protocol } = mapping(wire).mapping!
    expect(pcp.entries).toHaveLength(protocol === 'pcp' ? 1 : 0)
    expect(home.igd!.mappings.size).toBe(protocol === 'upnp' ? 1 : 0)
  })

  test('what one mapping has learnt spares the next the search', () => {
    const memory = new GatewayMemory()
    const home = new Home(undefined, new IgdRouter())
    start(home, { memory }).run(1_000)
    const wire = start(home, { memory, internal: { ip: INTERNAL.ip, port: 5001 } })
    wire.run(60)
    expect(wire.events).toMatchObject([{ type: 'mapped', mapping: { protocol: 'upnp' } }])
    expect(wire.sent.some(({ packet }) => packet.remote.port === 1900)).toBe(false)
    const quick = new GatewayMemory()
    start(new Home(new PcpRouter(), new IgdRouter()), { memory: quick }).run(1_000)
    const second = start(new Home(new PcpRouter(), new IgdRouter()), { memory: quick })
    second.run(1_000)
    expect(second.sent.map(({ packet }) => packet.remote.port)).toEqual([5351])
  })
})

describe('a router that restarts', () => {
  test.each([['pcp', new PcpRouter()] as const, ['nat-pmp', new NatPmpRouter()] as const])(
    '%s: its announcement brings the mapping back at once',
    (_name, router) => {
      const wire = start(new Home(router))
      wire.run(60_000)
      router.reboot(wire.now)
      wire.deliver(router.announcement(wire.now), undefined, ANNOUNCEMENTS)
      wire.run(20)
      expect(wire.types()).toEqual(['mapped', 'renewed'])
    },
  )

  test('UPnP follows the announcement of the PCP server beside it', () => {
    const pcp = new PcpRouter()
    const home = new Home(pcp, new IgdRouter())
    const wire = start(home, { protocols: ['upnp'] })
    wire.run(60_000)
    home.igd!.mappings.clear()
    wire.deliver(pcp.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.run(1_000)
    expect(home.igd!.mappings.size).toBe(1)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('NAT-PMP follows an announcement of PCP: miniupnpd sends no other', () => {
    const router = new BothRouter()
    const wire = start(new Home(router), { protocols: ['nat-pmp'] })
    wire.run(60_000)
    router.natPmp.reboot(wire.now)
    wire.deliver(router.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.run(1_000)
    expect(router.natPmp.mappings.size).toBe(1)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('an announcement revives what was refused', () => {
    const pcp = new PcpRouter()
    pcp.error = { result: 2, lifetime: 60 }
    const wire = start(new Home(pcp), { protocols: ['pcp'] })
    wire.run(60_000)
    pcp.error = undefined
    wire.deliver(pcp.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.run(20)
    expect(wire.types()).toEqual(['unavailable', 'mapped'])
  })

  test('a flood of announcements costs little, mapped or not', () => {
    for (const home of [new Home(new PcpRouter(), new IgdRouter()), new Home()]) {
      const wire = start(home)
      wire.run(60_000)
      const before = wire.sent.length
      const forger = new PcpRouter()
      for (let i = 0; i < 1_000; i++) {
        forger.reboot(i % 2 === 0 ? 0 : wire.now)
        wire.deliver(forger.announcement(wire.now), undefined, ANNOUNCEMENTS)
        wire.run(10)
      }
      expect(wire.sent.length - before).toBeLessThan(40)
    }
  })

  test('it changed its protocol meanwhile', () => {
    const home = new Home(new PcpRouter())
    const wire = start(home)
    wire.run(60_000)
    home.pcp = undefined
    home.igd = new IgdRouter()
    wire.run(3 * HOUR)
    expect(wire.types().slice(0, 3)).toEqual(['mapped', 'lost', 'mapped'])
    expect(mapping(wire).mapping).toMatchObject({ protocol: 'upnp' })
  })
})

describe('a mapping that is listed but does not forward', () => {
  test('is deleted and made anew with the same external port', () => {
    const pcp = new PcpRouter()
    const wire = start(new Home(pcp))
    wire.run(60_000)
    const deletions: number[] = []
    wire.call((now) => mapping(wire).notForwarding(now))
    expect(mapping(wire).mapping).toBeUndefined()
    wire.run(100)
    for (const { packet } of wire.sent) if (packet.bytes.subarray(4, 8).every((byte) => byte === 0)) deletions.push(1)
    expect(deletions).toHaveLength(1)
    expect(wire.events.map(({ type }) => type)).toEqual(['mapped', 'lost', 'mapped'])
    expect(mapping(wire).mapping?.external).toEqual({ ip: EXTERNAL_IP, port: 30_000 })
  })

  test('the second time in a row with another port, the third by another protocol', () => {
    const home = new Home(new PcpRouter(), new IgdRouter())
    const wire = start(home)
    wire.run(100)
    const seen = [mapping(wire).mapping!]
    for (let i = 0; i < 3; i++) {
      wire.call((now) => mapping(wire).notForwarding(now))
      wire.run(3_000)
      seen.push(mapping(wire).mapping!)
    }
    expect(seen.map(({ protocol }) => protocol)).toEqual(['pcp', 'pcp', 'pcp', 'upnp'])
    expect(seen[1]!.external.port).toBe(seen[0]!.external.port)
    expect(seen[2]!.external.port).not.toBe(seen[0]!.external.port)
    expect((home.pcp as PcpRouter).entries).toEqual([])
  })

  test('what came through once begins the count anew', () => {
    const wire = start(new Home(new PcpRouter(), new IgdRouter()))
    wire.run(100)
    for (let i = 0; i < 5; i++) {
      wire.call((now) => mapping(wire).notForwarding(now))
      wire.run(3_000)
      mapping(wire).verified()
    }
    expect(mapping(wire).mapping).toMatchObject({ protocol: 'pcp', external: { port: 30_000 } })
  })

  test('the only protocol there is rests for ten minutes', () => {
    const pcp = new PcpRouter()
    const wire = start(new Home(pcp), { protocols: ['pcp'] })
    wire.run(100)
    for (let i = 0; i < 3; i++) {
      wire.call((now) => mapping(wire).notForwarding(now))
      wire.run(3_000)
    }
    const requests = pcp.requests
    expect(wire.types().at(-1)).toBe('unavailable')
    wire.run(590_000)
    expect(pcp.requests).toBe(requests)
    wire.run(20_000)
    expect(wire.types().at(-1)).toBe('mapped')
  })

  test('where nothing that any protocol maps forwards it rests as well', () => {
    const home = new Home(new BothRouter(), new IgdRouter())
    const wire = start(home)
    for (let minute = 0; minute < 60; minute++) {
      for (let second = 0; second < 60; second++) {
        wire.run(1_000)
        if (mapping(wire).mapping) wire.call((now) => mapping(wire).notForwarding(now))
      }
    }
    // Three each of three protocols, every ten minutes at most.
    expect(wire.types().filter((type) => type === 'mapped').length).toBeLessThanOrEqual(6 * 9)
    expect(wire.types()).toContain('unavailable')
  })

  test('one whose deletion gets lost is made anew all the same', () => {
    const wire = start(new Home(new PcpRouter()))
    wire.run(60_000)
    const lossy = wire.now
    wire.lose = () => wire.now < lossy + 700
    wire.call((now) => mapping(wire).notForwarding(now))
    wire.run(5_000)
    expect(wire.types()).toContain('mapped')
    expect(mapping(wire).mapping).toBeDefined()
  })
})

describe('release', () => {
  test('at any moment: no mapping is left behind, whatever the router speaks', () => {
    const homes = [
      () => new Home(new PcpRouter(), new IgdRouter()),
      () => new Home(new NatPmpRouter(), new IgdRouter()),
      () => new Home(new BothRouter(), new IgdRouter()),
      () => new Home(undefined, new IgdRouter()),
      () => new Home(),
    ]
    for (const make of homes) {
      for (let delay = 0; delay < 700; delay += 3) {
        const home = make()
        const wire = start(home, {}, delay)
        wire.run(delay)
        wire.call((now) => mapping(wire).release(now))
        wire.run(10_000)
        expect(wire.types().filter((type) => type === 'released')).toHaveLength(1)
        if (home.pcp instanceof PcpRouter) expect(home.pcp.entries, `after ${delay} ms`).toEqual([])
        if (home.pcp instanceof NatPmpRouter) expect(home.pcp.mappings.size, `after ${delay} ms`).toBe(0)
        expect(home.igd?.mappings.size ?? 0, `after ${delay} ms`).toBe(0)
        expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
      }
    }
  })

  test('after that it hears nothing any more', () => {
    const pcp = new PcpRouter()
    const wire = start(new Home(pcp))
    wire.run(100)
    wire.call((now) => mapping(wire).release(now))
    wire.run(1_000)
    const before = wire.sent.length
    pcp.reboot(wire.now)
    wire.deliver(pcp.announcement(wire.now), undefined, ANNOUNCEMENTS)
    wire.call((now) => mapping(wire).notForwarding(now))
    wire.run(HOUR)
    expect(wire.sent.length).toBe(before)
  })
})

test('any loss, any router: mapped in the end, and the router has that mapping', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed)
    const home = [
      new Home(new PcpRouter(), new IgdRouter()),
      new Home(new NatPmpRouter(), new IgdRouter()),
      new Home(new BothRouter()),
    ][seed % 3]!
    const wire = start(home, {}, seed + 1000)
    wire.lose = () => random(1)[0]! < 100
    wire.run(HOUR)
    const at = `seed ${seed}`
    const { protocol } = mapping(wire).mapping ?? {}
    expect(protocol, at).toBeDefined()
    if (protocol === 'upnp') expect(home.igd!.mappings.size, at).toBe(1)
    if (protocol === 'pcp') expect((home.pcp as PcpRouter).entries.length, at).toBe(1)
  }
})
