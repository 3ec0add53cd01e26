import { describe, expect, test } from 'vitest'
import { parseDescription, UpnpClient } from '../src/index.ts'
import { describeIgd, IgdRouter, soapFault, ssdpAnswer } from './igd-router.ts'
import { EXTERNAL_IP } from './routers.ts'
import { clientOptions, GATEWAY, INTERNAL, seeded, Wire } from './virtual-time.ts'

const HOUR = 3_600_000
const HOST6 = '2001:db8::2'

function start(router = new IgdRouter(), more = {}) {
  return new Wire((now) => new UpnpClient(now, clientOptions(more)), router)
}

function start6(router: IgdRouter) {
  const internal = { ip: HOST6, port: 5000 }
  return start(router, { internal, control: { ip: HOST6, port: 40000 }, gateway: 'fe80::1%eth0' })
}

function client(wire: Wire): UpnpClient {
  return wire.machine as UpnpClient
}

describe('search', () => {
  test('asks the gateway by unicast, and for gateway devices 1 and 2 by multicast', () => {
    const wire = start()
    const searches = wire.sent.map(({ packet }) => [packet.remote, Buffer.from(packet.bytes).toString('latin1')])
    expect(searches.map(([remote]) => remote)).toEqual([
      { ip: GATEWAY, port: 1900 },
      { ip: '239.255.255.250', port: 1900 },
      { ip: '239.255.255.250', port: 1900 },
    ])
    expect(searches[1]![1]).toBe(
      'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n' +
        'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n',
    )
  })

  test('nobody there: nine packets in three rounds, then it is over', () => {
    const router = new IgdRouter()
    router.silent = true
    const wire = start(router)
    wire.run(60_000)
    expect(wire.sent).toHaveLength(9)
    expect(wire.events).toMatchObject([{ type: 'failed', code: 'unsupported' }])
    expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  })

  test('one round is lost: the next finds it', () => {
    const wire = start()
    wire.lose = () => wire.now < 1_000_300
    wire.run(600)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('several answers lead to one description', () => {
    const wire = start()
    wire.run(2_000)
    expect(wire.requests.filter(({ request }) => request.method === 'GET')).toHaveLength(1)
  })

  test('only the gateway is asked, whatever host it names', () => {
    const router = new IgdRouter()
    router.host = '203.0.113.66'
    const wire = start(router)
    wire.run(2_000)
    expect(new Set(wire.requests.map(({ request }) => request.host))).toEqual(new Set([GATEWAY]))
    expect(wire.types()).toEqual(['mapped'])
  })

  test('answers from other hosts are nothing', () => {
    const router = new IgdRouter()
    router.silent = true
    const wire = start(router)
    wire.deliver(ssdpAnswer('upnp:rootdevice', 'http://192.168.1.66:80/x'), { ip: '192.168.1.66', port: 1900 })
    wire.run(5_000)
    expect(wire.requests).toEqual([])
  })

  test('a flood of locations costs four requests at most', () => {
    const router = new IgdRouter()
    router.silent = true
    const wire = start(router)
    for (let i = 0; i < 1_000; i++) {
      wire.deliver(ssdpAnswer('upnp:rootdevice', `http://192.168.1.1:80/${i}`), { ip: GATEWAY, port: 1900 })
    }
    wire.run(60_000)
    expect(wire.requests).toHaveLength(4)
    expect(wire.types()).toEqual(['failed'])
  })

  test('a description without a gateway leaves the others to be looked at', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.deliver(ssdpAnswer('upnp:rootdevice', 'http://192.168.1.1:5000/media.xml'), { ip: GATEWAY, port: 1900 })
    wire.run(2_000)
    expect(wire.requests.map(({ request }) => request.path).slice(0, 2)).toEqual(['/media.xml', '/desc.xml'])
    expect(wire.types()).toEqual(['mapped'])
  })
})

describe('description', () => {
  const location = { port: 5000, path: '/a/desc.xml' }

  test('the best service comes first', () => {
    const text = `<root>${describeIgd(1, 'WANPPPConnection:1').slice(21)}${describeIgd(1).slice(21)}${describeIgd(2).slice(21)}</root>`
    const services = parseDescription(text, location)
    expect(services.map(({ kind, version }) => `${kind}:${version}`)).toEqual([
      'WANIPConnection:2',
      'WANIPConnection:1',
      'WANIPv6FirewallControl:1',
      'WANPPPConnection:1',
    ])
  })

  test.each([
    ['/ctl', undefined, { port: 5000, path: '/ctl' }],
    ['ctl?x=1', undefined, { port: 5000, path: '/a/ctl?x=1' }],
    ['http://10.0.0.9:99/ctl', undefined, { port: 99, path: '/ctl' }],
    ['http://[fe80::1]:99/ctl', undefined, { port: 99, path: '/ctl' }],
    ['http://router/ctl', undefined, { port: 80, path: '/ctl' }],
    ['ctl', 'http://192.168.1.1:2828', { port: 2828, path: '/ctl' }],
    ['https://192.168.1.1/ctl', undefined, undefined],
    ['//evil/ctl', undefined, undefined],
    ['/ctl\r\nX: y', undefined, undefined],
    ['http://192.168.1.1:70000/ctl', undefined, undefined],
    ['', undefined, undefined],
  ])('control URL %j with base %j', (url, base, expected) => {
    const text = describeIgd(1)
      .replace('/ctl/IPConn', url)
      .replace('<device>', `${base ? `<URLBase>${base}</URLBase>` : ''}<device>`)
    const [service] = parseDescription(text, location)
    expect(service && { port: service.port, path: service.path }).toEqual(expected)
  })

  test('zero bytes around it, other prefixes and CDATA do not matter', () => {
    const text = describeIgd(1)
      .replaceAll('<service', '<n:service')
      .replaceAll('</service', '</n:service')
      .replace('/ctl/IPConn', '<![CDATA[/ctl/IPConn]]>')
    expect(parseDescription(`\r\n\0${text}\0\0garbage`, location)).toHaveLength(1)
  })

  test('entities are not expanded, and nesting is bounded', () => {
    const bomb = `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><root>&b;&b;&b;</root>`
    expect(parseDescription(bomb, location)).toEqual([])
    expect(parseDescription('<a>'.repeat(40_000) + '</a>'.repeat(40_000), location)).toEqual([])
    expect(parseDescription('<a>'.repeat(15_000) + '</a>'.repeat(15_000), location)).toEqual([])
    expect(parseDescription(`<root>${'x'.repeat(200_000)}</root>`, location)).toEqual([])
  })
})

describe('mapping', () => {
  test('IGD 1: AddPortMapping for a random port, with all arguments in order', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(1_000)
    expect(router.actions).toEqual(['GetStatusInfo', 'GetExternalIPAddress', 'AddPortMapping'])
    const [[port, mapping]] = [...router.mappings] as [[number, object]]
    expect(port).toBeGreaterThanOrEqual(1024)
    expect(mapping).toEqual({ internalClient: INTERNAL.ip, internalPort: INTERNAL.port, lease: 7200 })
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { ip: EXTERNAL_IP, port }, lifetime: 7_200_000 }])
    const { request } = wire.requests.at(-1)!
    expect(request).toMatchObject({ method: 'POST', host: GATEWAY, port: 5000, path: '/ctl/IPConn' })
    expect(request.headers).toMatchObject({
      Host: '192.168.1.1:5000',
      'Content-Length': String(request.body.length),
      SOAPAction: '"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping"',
    })
    expect([...request.body.matchAll(/<(New\w+)>/g)].map(([, name]) => name)).toEqual([
      'NewRemoteHost',
      'NewExternalPort',
      'NewProtocol',
      'NewInternalPort',
      'NewInternalClient',
      'NewEnabled',
      'NewPortMappingDescription',
      'NewLeaseDuration',
    ])
  })

  test('IGD 2: AddAnyPortMapping, and the port that the router reserved', () => {
    const router = new IgdRouter()
    router.version = 2
    router.mappings.set(6000, { internalClient: '192.168.1.9', internalPort: 1, lease: 0 })
    const wire = start(router, { suggested: { ip: EXTERNAL_IP, port: 6000 } })
    wire.run(1_000)
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { port: 6001 } }])
  })

  test('an IGD 2 without AddAnyPortMapping is spoken to as IGD 1', () => {
    const router = new IgdRouter()
    router.version = 2
    router.faults = { AddAnyPortMapping: 602 }
    const wire = start(router)
    wire.run(1_000)
    expect(router.actions.slice(2)).toEqual(['AddAnyPortMapping', 'AddPortMapping'])
    expect(wire.types()).toEqual(['mapped'])
  })

  test('718: another random port, a few times', () => {
    const router = new IgdRouter()
    let conflicts = 2
    router.faults = { AddPortMapping: () => (conflicts-- > 0 ? 718 : undefined) }
    const wire = start(router)
    wire.run(1_000)
    const ports = wire.requests.flatMap(({ request }) => /<NewExternalPort>(\d+)/.exec(request.body)?.[1] ?? [])
    expect(new Set(ports).size).toBe(3)
    expect(wire.types()).toEqual(['mapped'])
    router.faults = { AddPortMapping: 718 }
    const unlucky = start(router)
    unlucky.run(60_000)
    expect(unlucky.types()).toEqual(['failed'])
    expect(unlucky.requests.length).toBeLessThan(12)
  })

  test.each([725, 402])('%i: a permanent mapping, renewed and deleted all the same', (code) => {
    const router = new IgdRouter()
    router.faults = { AddPortMapping: (values) => (values.get('NewLeaseDuration') === '0' ? undefined : code) }
    const wire = start(router)
    wire.run(1_000)
    expect([...router.mappings.values()]).toMatchObject([{ lease: 0 }])
    wire.run(10 * HOUR)
    expect(wire.types()).not.toContain('lost')
    expect(wire.types().filter((type) => type === 'renewed').length).toBeGreaterThan(6)
    wire.call((now) => client(wire).release(now))
    wire.run(1_000)
    expect(router.mappings.size).toBe(0)
  })

  test('724: the external port is the internal one', () => {
    const router = new IgdRouter()
    router.faults = { AddPortMapping: (values) => (values.get('NewExternalPort') === '5000' ? undefined : 724) }
    const wire = start(router)
    wire.run(1_000)
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { port: 5000 } }])
  })

  test('606: not before ten minutes again', () => {
    const router = new IgdRouter()
    router.faults = { AddPortMapping: 606 }
    const wire = start(router)
    wire.run(60_000)
    expect(wire.events).toMatchObject([{ type: 'failed', code: 'refused', retryAfter: 600_000 }])
  })

  test('an answer that is none ends it', () => {
    const router = new IgdRouter()
    const wire = start(router)
    const original = router.handleRequest.bind(router)
    router.handleRequest = (now, request) =>
      request.body.includes('AddPortMapping') ? { status: 200, body: '<html>login</html>' } : original(now, request)
    wire.run(60_000)
    expect(wire.types()).toEqual(['failed'])
  })

  test('a mute control URL ends it, in bounded time', () => {
    const router = new IgdRouter()
    const wire = start(router)
    const original = router.handleRequest.bind(router)
    router.handleRequest = (now, request) => (request.method === 'POST' ? undefined : original(now, request))
    wire.run(10_000)
    expect(wire.types()).toEqual(['failed'])
  })

  test.each(['Disconnected', 'Connecting'])('a connection that is %s is none', (status) => {
    const router = new IgdRouter()
    router.status = status
    const wire = start(router)
    wire.run(10_000)
    expect(wire.types()).toEqual(['failed'])
  })

  test.each(['0.0.0.0', '', '127.0.0.1', 'x', '::1'])('an external address %j is none', (ip) => {
    const router = new IgdRouter()
    router.externalIp = ip
    const wire = start(router)
    wire.run(10_000)
    expect(wire.types()).toEqual(['failed'])
  })

  test('of two connections the one with a public address is taken, a private one rather than none', () => {
    const router = new IgdRouter()
    const second = describeIgd(1, 'WANPPPConnection:1').replaceAll('/ctl/IPConn', '/ctl/PPP').slice(21)
    router.description = `<root>${describeIgd(1).slice(21)}${second}</root>`
    const original = router.handleRequest.bind(router)
    router.externalIp = '10.0.0.2'
    router.handleRequest = (now, request) => {
      if (request.path !== '/ctl/PPP') return original(now, request)
      router.externalIp = EXTERNAL_IP
      const response = original(now, request)
      router.externalIp = '10.0.0.2'
      return response
    }
    const wire = start(router)
    wire.run(2_000)
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { ip: EXTERNAL_IP } }])
    const alone = new IgdRouter()
    alone.externalIp = '10.0.0.2'
    const neighbour = start(alone)
    neighbour.run(2_000)
    expect(neighbour.events).toMatchObject([{ type: 'mapped', external: { ip: '10.0.0.2' } }])
  })

  test('held back: it finds and asks, and maps when told', () => {
    const router = new IgdRouter()
    const wire = start(router, { hold: true })
    wire.run(5_000)
    expect(router.actions).toEqual(['GetStatusInfo', 'GetExternalIPAddress'])
    wire.call((now) => client(wire).proceed(now))
    wire.run(100)
    expect(wire.types()).toEqual(['mapped'])
  })

  test('known services spare the search', () => {
    const wire = start()
    wire.run(1_000)
    const next = start(new IgdRouter(), { services: client(wire).services })
    next.run(100)
    expect(next.sent).toEqual([])
    expect(next.types()).toEqual(['mapped'])
  })
})

describe('renewal', () => {
  test('the same external port at half life, and the address of that time', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(2 * HOUR)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    expect(router.mappings.size).toBe(1)
    router.externalIp = '203.0.113.99'
    wire.run(1.2 * HOUR)
    expect(wire.events[2]).toMatchObject({ type: 'mapped', external: { ip: '203.0.113.99' } })
    expect(router.mappings.size).toBe(1)
  })

  test('the internal port stays the internal one', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(5 * HOUR)
    expect([...router.mappings.values()]).toMatchObject([{ internalPort: INTERNAL.port }])
  })

  test('an error keeps the lease that still runs', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(1_000)
    router.faults = { AddPortMapping: 501 }
    wire.run(1.4 * HOUR)
    router.faults = {}
    wire.run(0.5 * HOUR)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('a restarted router with another control port is found again, and the mapping made anew', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(60_000)
    router.mappings.clear()
    router.httpPort = 5999
    wire.call((now) => client(wire).remap(now))
    wire.run(6_000)
    expect(router.mappings.size).toBe(1)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('a router that is gone has lost the mapping', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(60_000)
    router.silent = true
    wire.call((now) => client(wire).remap(now))
    wire.run(30_000)
    expect(wire.types()).toEqual(['mapped', 'lost', 'failed'])
  })
})

describe('release', () => {
  test('deletes the mapping', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(1_000)
    wire.call((now) => client(wire).release(now))
    wire.run(100)
    expect(wire.types()).toEqual(['mapped', 'released'])
    expect(router.mappings.size).toBe(0)
    expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  })

  test('nobody waits longer than a second for a router that is silent', () => {
    const router = new IgdRouter()
    const wire = start(router)
    wire.run(1_000)
    router.silent = true
    wire.call((now) => client(wire).release(now))
    wire.run(1_000)
    expect(wire.types()).toEqual(['mapped', 'released'])
  })

  test('at any moment: no mapping is left behind', () => {
    for (let delay = 0; delay < 120; delay += 1) {
      const router = new IgdRouter()
      const wire = start(router, { random: seeded(delay) })
      wire.run(delay)
      wire.call((now) => client(wire).release(now))
      wire.run(10_000)
      expect(wire.types().at(-1), `after ${delay} ms`).toBe('released')
      expect(router.mappings.size, `after ${delay} ms`).toBe(0)
      expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
    }
  })
})

describe('IPv6 pinhole', () => {
  test('AddPinhole, UpdatePinhole at half life, DeletePinhole', () => {
    const router = new IgdRouter()
    router.version = 2
    router.host = '[fe80::1]'
    const wire = start6(router)
    expect(wire.sent.map(({ packet }) => packet.remote.ip)).toEqual(['fe80::1%eth0', 'ff02::c%eth0', 'ff02::c%eth0'])
    wire.run(1_000)
    expect(wire.events).toMatchObject([{ type: 'mapped', external: { ip: HOST6, port: 5000 } }])
    expect([...router.pinholes]).toEqual([[7, { client: HOST6, port: 5000, lease: 7200 }]])
    wire.run(1.5 * HOUR)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
    wire.call((now) => client(wire).release(now))
    wire.run(100)
    expect(router.pinholes.size).toBe(0)
    expect(router.actions).toEqual(['AddPinhole', 'UpdatePinhole', 'DeletePinhole'])
    expect(wire.requests.at(-1)!.request).toMatchObject({ host: 'fe80::1%eth0', headers: { Host: '[fe80::1]:5000' } })
  })

  test('a router that answers from its global address is found, and asked at its link-local one', () => {
    const router = new IgdRouter()
    router.silent = true
    const wire = start6(router)
    const location = ssdpAnswer('upnp:rootdevice', 'http://[2001:db8::1]:5000/desc.xml')
    wire.deliver(location, { ip: '2001:db8:0:1::1', port: 1900 })
    expect(wire.requests).toEqual([])
    wire.deliver(location, { ip: '2001:db8::1', port: 1900 })
    expect(wire.requests.map(({ request }) => request.host)).toEqual(['fe80::1%eth0'])
  })

  test('a forgotten pinhole is made anew', () => {
    const router = new IgdRouter()
    router.version = 2
    const wire = start6(router)
    wire.run(1_000)
    router.pinholes.clear()
    wire.run(1.5 * HOUR)
    expect(router.pinholes.size).toBe(1)
    expect(wire.types()).toEqual(['mapped', 'renewed'])
  })

  test('a gateway without WANIPv6FirewallControl has nothing to offer', () => {
    const wire = start6(new IgdRouter())
    wire.run(10_000)
    expect(wire.events).toMatchObject([{ type: 'failed', code: 'unsupported' }])
  })
})

test('a fault in other clothes is no answer', () => {
  const router = new IgdRouter()
  router.handleRequest = (_now, request) =>
    request.method === 'GET' ? { status: 200, body: describeIgd(1) } : { status: 500, body: soapFault(Number.NaN) }
  const wire = start(router)
  wire.run(10_000)
  expect(wire.types()).toEqual(['failed'])
})
