/** A router that speaks UPnP alone starts anew, and those who say that it does. */
import { describe, expect, test } from 'vitest'
import { GatewayMemory, PortMapping, type PortMappingOptions, type PortMappingOutput } from '../src/index.ts'
import { parseDeviceNote } from '../src/ssdp.ts'
import { IgdRouter } from './igd-router.ts'
import { PcpRouter } from './routers.ts'
import { CONTROL, GATEWAY, INTERNAL, type Router, seeded, Wire } from './virtual-time.ts'

const GROUP = { ip: CONTROL.ip, port: 1900 }
/** Routers send NOTIFYs from any port. */
const FROM = { ip: GATEWAY, port: 34_567 }

function start(router: Router, more: Partial<PortMappingOptions> = {}) {
  const options = { internal: INTERNAL, control: CONTROL, gateway: GATEWAY, random: seeded(1), ...more }
  return new Wire<PortMappingOutput>((now) => new PortMapping(now, { protocols: ['upnp'], ...options }), router)
}

/** A router with our mapping, for a minute already, and how often it was asked since. */
function mapped(more: Partial<PortMappingOptions> = {}) {
  const router = new IgdRouter()
  const wire = start(router, more)
  wire.run(60_000)
  expect(wire.types()).toEqual(['mapped'])
  const before = wire.requests.length
  return { router, wire, asked: () => wire.requests.length - before }
}

describe('a router that restarts', () => {
  test('says so by another boot id: the mapping is back at once, found at its new place', () => {
    const { router, wire } = mapped()
    const [before] = router.mappings.keys()
    router.reboot()
    for (let i = 0; i < 6; i++) wire.deliver(router.notify('alive'), FROM, GROUP)
    wire.run(1_000)
    expect([...router.mappings.keys()]).toEqual([before])
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('that knows no boot ids is known by where its description is, or by a goodbye', () => {
    for (const moves of [true, false]) {
      const router = new IgdRouter()
      router.bootId = undefined
      const wire = start(router)
      wire.run(60_000)
      if (!moves) wire.deliver(router.notify('byebye'), FROM, GROUP)
      router.reboot()
      if (!moves) router.httpPort--
      wire.deliver(router.notify('alive'), FROM, GROUP)
      wire.run(1_000)
      expect(router.mappings.size, moves ? 'moved' : 'gone').toBe(1)
    }
  })

  test('and has no connection yet is asked again until it has: it is not believed to have kept anything', () => {
    const { router, wire, asked } = mapped()
    router.reboot()
    router.faults = { AddPortMapping: 501 }
    wire.deliver(router.notify('alive'), FROM, GROUP)
    wire.run(40_000)
    expect(asked()).toBeLessThan(10)
    router.faults = {}
    wire.run(30_000)
    expect(router.mappings.size).toBe(1)
    // And no more once it is there.
    const before = asked()
    wire.run(600_000)
    expect(asked()).toBe(before)
  })

  test('is told by every mapping, also by those that did not search', () => {
    const memory = new GatewayMemory()
    const { router, wire } = mapped({ memory })
    const second = start(router, { memory, internal: { ...INTERNAL, port: 5_001 } })
    second.run(60_000)
    router.reboot()
    for (const each of [wire, second]) {
      each.deliver(router.notify('alive'), FROM, GROUP)
      each.run(1_000)
    }
    expect(router.mappings.size).toBe(2)
  })

  test('is welcome where there was none', () => {
    const router = new IgdRouter()
    router.silent = true
    const wire = start(router)
    wire.run(4_000)
    router.silent = false
    wire.deliver(router.notify('alive'), FROM, GROUP)
    wire.run(1_000)
    expect(wire.types()).toEqual(['unavailable', 'mapped'])
  })

  test('is heard by who needs to hear it', () => {
    const isListening = (wire: Wire<PortMappingOutput>) => (wire.machine as unknown as PortMapping).listensToSsdp
    expect(isListening(mapped().wire)).toBe(true)
    const { wire } = mapped()
    wire.call((now) => (wire.machine as unknown as PortMapping).release(now))
    expect(isListening(wire)).toBe(false)
    const pcp = start(new PcpRouter(), { protocols: ['pcp', 'upnp'] })
    pcp.run(1_000)
    expect(isListening(pcp)).toBe(false)
    const neither = start({}, { protocols: ['pcp'] })
    neither.run(5_000)
    expect(isListening(neither)).toBe(false)
  })
})

describe('what costs nothing', () => {
  test.each([
    ['what it says every minute', (router: IgdRouter) => router.notify('alive'), FROM],
    ['another boot id without a restart', (router: IgdRouter) => router.notify('update', { nextBootId: 1_007 }), FROM],
    ['another host', (router: IgdRouter) => router.notify('alive', { bootId: 7 }), { ip: '192.168.1.66', port: 1900 }],
    [
      'a place elsewhere',
      (router: IgdRouter) => router.notify('alive', { bootId: 7, location: 'http://203.0.113.66:5000/desc.xml' }),
      FROM,
    ],
    ['no place', (router: IgdRouter) => router.notify('alive', { bootId: 7, location: '' }), FROM],
    [
      'another device of the router',
      (router: IgdRouter) => router.notify('alive', { target: 'urn:schemas-upnp-org:device:MediaServer:1', bootId: 7 }),
      FROM,
    ],
    ['a goodbye of somebody unknown', (router: IgdRouter) => router.notify('byebye', { device: 'uuid:9' }), FROM],
    ['an answer that nobody asked for', () => Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), FROM],
    ['no headers', () => Buffer.from('NOTIFY * HTTP/1.1\r\n\r\n'), FROM],
  ])('%s', (_name, bytes, from) => {
    const { router, wire, asked } = mapped()
    for (let i = 0; i < 20; i++) {
      wire.deliver(bytes(router), from, GROUP)
      wire.run(60_000)
    }
    expect(asked()).toBe(0)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('an update is remembered', () => {
    const { router, wire, asked } = mapped()
    wire.deliver(router.notify('update', { nextBootId: 1_007 }), FROM, GROUP)
    router.bootId = 1_007
    wire.deliver(router.notify('alive'), FROM, GROUP)
    wire.run(60_000)
    expect(asked()).toBe(0)
  })
})

describe('anybody on the link', () => {
  test('who forges restarts by the hundred makes the router be asked every ten seconds', () => {
    const { router, wire, asked } = mapped()
    const packets = wire.sent.length
    for (let i = 0; i < 6_000; i++) {
      wire.deliver(router.notify('alive', { bootId: i, device: `uuid:${i % 50}` }), FROM, GROUP)
      wire.run(10)
    }
    // An address and a mapping each; no search, and no change.
    expect(asked()).toBeLessThanOrEqual(2 * 7)
    expect(wire.sent.length).toBe(packets)
    expect(new Set(wire.types())).toEqual(new Set(['mapped', 'renewed']))
  })

  test('who forges a restart right before a real one delays it by ten seconds', () => {
    const { router, wire } = mapped()
    wire.deliver(router.notify('alive', { bootId: 7 }), FROM, GROUP)
    wire.run(1_000)
    router.reboot()
    wire.deliver(router.notify('alive'), FROM, GROUP)
    wire.run(8_000)
    expect(router.mappings.size).toBe(0)
    wire.run(2_500)
    expect(router.mappings.size).toBe(1)
  })

  test('who says goodbye for the router ends no mapping: it is asked half a minute later', () => {
    const { router, wire, asked } = mapped()
    for (let i = 0; i < 29; i++) {
      wire.deliver(router.notify('byebye'), FROM, GROUP)
      wire.run(1_000)
    }
    expect(asked()).toBe(0)
    wire.run(2_000)
    expect(asked()).toBe(2)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('and when the router is gone indeed, its mapping is', () => {
    const { router, wire } = mapped()
    wire.deliver(router.notify('byebye'), FROM, GROUP)
    router.silent = true
    wire.run(60_000)
    expect(wire.types().slice(0, 2)).toEqual(['mapped', 'lost'])
  })
})

test.each(['constructor', 'toString', '__proto__'])('NTS: %s is none of the words that there are', (word) => {
  const note = new IgdRouter().notify('alive')
  const bytes = Buffer.from(Buffer.from(note).toString('latin1').replace('ssdp:alive', word), 'latin1')
  expect([parseDeviceNote(note)?.kind, parseDeviceNote(bytes)]).toEqual(['alive', undefined])
})
