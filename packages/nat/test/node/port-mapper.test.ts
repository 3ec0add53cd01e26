import { spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  checkForwarding,
  defaultGateway,
  type Mapping,
  type MappingProbe,
  NatError,
  PortMapper,
} from '../../src/node/index.ts'
import {
  at,
  HOST,
  homeName,
  INTERNET,
  knock,
  openDoor,
  ROUTER,
  Router,
  runAtHome,
  spawnAt,
  WAN,
  whyNoHome,
} from './home.ts'

const PORT = 6000
const LOCAL = { ip: HOST[4], port: PORT }

describe.runIf(homeName)('behind a real router', { timeout: 30_000 }, () => {
  let door: Socket
  beforeEach(async () => {
    door = await openDoor(HOST[4], PORT)
  })
  afterEach(() => {
    door.close()
  })

  test('the default gateways are found', () => {
    expect(defaultGateway(HOST[4])).toBe(ROUTER[4])
    expect(defaultGateway(HOST[6])).toBe(ROUTER[6])
    expect(defaultGateway('192.168.1.99')).toBeUndefined()
  })

  test('PCP alone', async () => {
    await using router = await start({ upnp: false })
    await expectMapped(router, 'pcp')
  })

  test('NAT-PMP alone: a router that ignores PCP', async () => {
    await using router = await start({ upnp: false })
    at('router', 'nft', 'insert rule inet filter input udp dport 5351 @th,64,8 2 drop')
    try {
      await expectMapped(router, 'nat-pmp')
    } finally {
      const rules = at('router', 'nft', '-a', 'list chain inet filter input')
      const [, handle] = /dport 5351 .* handle (\d+)/.exec(rules)!
      at('router', 'nft', `delete rule inet filter input handle ${handle}`)
    }
  })

  test('UPnP alone', async () => {
    await using router = await start({ natPmp: false })
    await expectMapped(router, 'upnp')
  })

  test.each(['pcp', 'upnp'] as const)(
    'IPv6, %s: the firewall opens for the host itself, and closes again',
    async (protocol) => {
      await using router = await start()
      const local = { ip: HOST[6], port: PORT }
      const door6 = await openDoor(local.ip, PORT)
      expect(await knock(local)).toBeUndefined()
      const mapper = new PortMapper({ protocols: [protocol] })
      const mapping = await mapper.map(local)
      expect(mapping).toMatchObject({ protocol, external: local })
      expect(await knock(local)).toBe(`${local.ip} ${PORT}`)
      await mapper.close()
      expect(router.rules()).toEqual([])
      door6.close()
    },
  )

  test('all together: one mapping, the one that the tools of others see', async () => {
    await using router = await start()
    await using mapper = new PortMapper()
    const mapping = await mapper.map(LOCAL)
    await sleep(800) // UPnP has found its service by now, and has no use for it.
    expect(router.rules()).toHaveLength(1)
    const listed = tool('upnpc', '-m', 'eth0', '-l')
    expect(listed).toMatch(new RegExp(`UDP +${mapping!.external.port}->${HOST[4]}:${PORT}`))
    expect(listed).toContain(`ExternalIPAddress = ${mapping!.external.ip}`)
    const natpmpc = tool('natpmpc', '-g', ROUTER[4])
    expect(natpmpc).toContain(`Public IP address : ${WAN}`)
  })

  test('many ports of one host, each its own', async () => {
    await using router = await start()
    await using mapper = new PortMapper()
    const ports = Array.from({ length: 20 }, (_, index) => 7000 + index)
    const mappings = await Promise.all(ports.map((port) => mapper.map({ ip: HOST[4], port })))
    expect(new Set(mappings.map((mapping) => mapping?.external.port)).size).toBe(20)
    expect(router.rules()).toHaveLength(20)
    await mapper.close()
    // It works off its queue one by one, and nobody waits for slow routers.
    await vi.waitFor(() => expect(router.rules()).toEqual([]), { timeout: 10_000, interval: 200 })
  })

  test('aborting gives the mapping back', async () => {
    await using router = await start()
    await using mapper = new PortMapper()
    const controller = new AbortController()
    await mapper.map(LOCAL, { signal: controller.signal })
    expect(router.rules()).toHaveLength(1)
    controller.abort()
    await vi.waitFor(() => expect(router.rules()).toEqual([]), { timeout: 3_000 })
  })

  test('a restarted router has all mappings back by its own announcement', async () => {
    await using router = await start()
    const mapped = await mapByEach()
    await sleep(4_000) // A clock that has run for less is forgiven for standing at zero (RFC 6887 §8.5).
    await router.stop()
    expect(await knock(mapped[0]!.mapping.external)).toBeUndefined()
    const restarted = performance.now()
    await router.start()
    await vi.waitFor(() => expect(router.rules()).toHaveLength(mapped.length), { timeout: 10_000, interval: 50 })
    expect(performance.now() - restarted).toBeLessThan(8_000)
    for (const { mapping, events, mapper, door } of mapped) {
      await vi.waitFor(() => expect(events, mapping.protocol).not.toEqual([]), { timeout: 5_000 })
      expect(await knock(mapping.external), mapping.protocol).toBe(`${WAN} ${mapping.external.port}`)
      await mapper.close()
      door.close()
    }
  })

  test('so has one that speaks UPnP alone, where the port of SSDP can be shared', async () => {
    const mapByUpnp = async (local: Mapping['internal']) => {
      const mapper = new PortMapper({ protocols: ['upnp'] })
      const warnings: string[] = []
      await mapper.map(local, { onwarning: (reason) => warnings.push(reason) })
      return { mapper, warnings }
    }
    await using router = await start({ natPmp: false })
    // Another device of this host that wants its port for itself, for the first of two.
    const selfish = createSocket('udp4')
    selfish.bind(1900)
    await once(selfish, 'listening')
    const deaf = await mapByUpnp(LOCAL)
    expect(deaf.warnings).toMatchObject([expect.stringContaining('EADDRINUSE')])
    await deaf.mapper.close()
    selfish.close()
    const { mapper, warnings } = await mapByUpnp(LOCAL)
    await using _closed = mapper
    const before = router.rules()
    expect(before).toHaveLength(1)
    await sleep(1_100) // Boot ids of miniupnpd count seconds.
    await router.stop()
    expect(router.rules()).toEqual([])
    await router.start()
    await vi.waitFor(() => expect(router.rules()).toEqual(before), { timeout: 8_000, interval: 50 })
    expect(warnings).toEqual([])
  })

  test('mappings that are listed but dead are made anew', async () => {
    await using router = await start()
    const mapped = await mapByEach()
    for (const { mapping } of mapped) mapping.verified()
    router.breakForwarding()
    const listed = tool('upnpc', '-m', 'eth0', '-l')
    for (const { mapping, changes, mapper, door } of mapped) {
      expect(listed).toMatch(new RegExp(`UDP +${mapping.external.port}->${HOST[4]}:${mapping.internal.port}`))
      expect(await knock(mapping.external), mapping.protocol).toBeUndefined()
      mapping.notForwarding()
      await vi.waitFor(() => expect(changes.at(-1)).toBeDefined(), { timeout: 5_000 })
      expect(changes.map((changed) => changed?.external)).toEqual([undefined, mapping.external])
      expect(await knock(mapping.external), mapping.protocol).toBe(`${WAN} ${mapping.external.port}`)
      await mapper.close()
      door.close()
    }
  })

  test.each([
    ['a router that gives every flow another port', 'meta l4proto udp masquerade fully-random'],
    ['a router that keeps ports', 'masquerade'],
  ])('%s: a mapping that is listed but dead is found out by itself, and made anew', async (_, statement) => {
    translate(statement)
    await using router = await start()
    await using _servers = await startCoturn()
    const events: string[] = []
    const probe: MappingProbe = {
      servers: () => INTERNET.map((ip) => ({ ip, port: 3478 })),
      send: (bytes, { ip, port }) => door.send(bytes, port, ip),
      onpacket: undefined,
    }
    door.removeAllListeners('message')
    door.on('message', (bytes, from) => {
      probe.onpacket?.(bytes, { ip: from.address, port: from.port })
      if (String(bytes) === 'knock') door.send(bytes, from.port, from.address)
    })
    await using mapper = new PortMapper({ checkInterval: 1_000 })
    const mapping = await mapper.map(LOCAL, { probe, onchange: (_, reason) => events.push(reason) })
    await sleep(2_500)
    expect(events, 'it forwards, and is left alone').toEqual([])
    expect(await checkForwarding(door, mapping!.external, probe.servers())).toBe('forwards')
    router.breakForwarding()
    await vi.waitFor(() => expect(events).toHaveLength(2), { timeout: 10_000, interval: 50 })
    expect(events[0]).toBe('the router does not forward it')
    expect(await knock(mapping!.external)).toBe(`${WAN} ${mapping!.external.port}`)
  })

  test('no router at first: undefined after two seconds, and the mapping as soon as it is there', async () => {
    await using router = new Router()
    await using mapper = new PortMapper()
    const changes: [Mapping | undefined, string][] = []
    const start = performance.now()
    const mapping = await mapper.map(LOCAL, { onchange: (...change) => changes.push(change) })
    expect(mapping).toBeUndefined()
    expect(performance.now() - start).toBeLessThan(3_500)
    expect(changes).toEqual([[undefined, expect.stringContaining('pcp: no answer so far')]])
    await router.start()
    await vi.waitFor(() => expect(changes).toHaveLength(2), { timeout: 10_000 })
    expect(await knock(changes[1]![0]!.external)).toBe(`${WAN} ${changes[1]![0]!.external.port}`)
  })

  test('closing without an answer takes no longer than two seconds', async () => {
    const mapper = new PortMapper()
    const pending = mapper.map(LOCAL)
    const start = performance.now()
    await mapper.close()
    expect(await pending).toBeUndefined()
    expect(performance.now() - start).toBeLessThan(2_500)
    await expect(mapper.map(LOCAL)).rejects.toThrow(NatError)
  })
})

describe('without a router', () => {
  test.each([
    ['127.0.0.1', 'does not leave its link'],
    ['203.0.113.250', 'no default gateway is known'],
  ])('%s: undefined at once, and the reason', async (ip, reason) => {
    await using mapper = new PortMapper()
    const reasons: string[] = []
    expect(await mapper.map({ ip, port: 9 }, { onchange: (_, why) => reasons.push(why) })).toBeUndefined()
    expect(reasons).toEqual([expect.stringContaining(reason)])
  })

  test("a caller's mistakes throw", async () => {
    await using mapper = new PortMapper()
    for (const local of [
      { ip: '0.0.0.0', port: 9 },
      { ip: '::', port: 9 },
      { ip: 'router', port: 9 },
      { ip: '192.168.1.2', port: 0 },
      { ip: '192.168.1.2', port: 70_000 },
    ]) {
      await expect(mapper.map(local)).rejects.toMatchObject({ code: 'ERR_NAT_ARGUMENT' })
    }
    expect(() => new PortMapper({ gateway: 'fritz.box' })).toThrow(NatError)
    expect(() => new PortMapper({ lifetime: 0 })).toThrow(NatError)
    expect(() => new PortMapper({ protocols: [] })).toThrow(NatError)
  })

  test('an aborted signal closes it before it begins', async () => {
    const mapper = new PortMapper({ signal: AbortSignal.abort() })
    await expect(mapper.map({ ip: '127.0.0.1', port: 9 })).rejects.toMatchObject({ code: 'ERR_NAT_CLOSED' })
  })
})

if (!homeName) {
  const why = whyNoHome('miniupnpd', 'upnpc', 'natpmpc', 'turnserver')
  test.skipIf(why)(`behind a real router ${why ?? ''}`.trim(), { timeout: 180_000 }, () => {
    const { status, output } = runAtHome(import.meta.filename, 170_000)
    expect(status, output).toBe(0)
  })
}

async function start(options?: ConstructorParameters<typeof Router>[0]): Promise<Router> {
  const router = new Router(options)
  await router.start()
  return router
}

/** A mapping by each protocol, all of the same router, with what is heard of it. */
async function mapByEach() {
  const protocols = ['pcp', 'nat-pmp', 'upnp'] as const
  return Promise.all(
    protocols.map(async (protocol, index) => {
      const local = { ip: HOST[4], port: PORT + 10 + index }
      const door = await openDoor(local.ip, local.port)
      const mapper = new PortMapper({ protocols: [protocol] })
      const events: string[] = []
      const changes: (Mapping | undefined)[] = []
      const onchange = (mapping: Mapping | undefined, reason: string) => {
        changes.push(mapping)
        events.push(reason)
      }
      const mapping = (await mapper.map(local, { onchange, onrenew: () => events.push('renewed') }))!
      expect(mapping).toMatchObject({ protocol })
      expect(await knock(mapping.external)).toBe(`${WAN} ${mapping.external.port}`)
      return { mapping, mapper, door, events, changes }
    }),
  )
}

/** Maps, has somebody from the internet knock, and gives it back. */
async function expectMapped(router: Router, protocol: string): Promise<void> {
  const mapper = new PortMapper()
  expect(await knock({ ip: WAN, port: PORT })).toBeUndefined()
  const mapping = await mapper.map(LOCAL)
  expect(mapping).toMatchObject({ internal: LOCAL, external: { ip: WAN }, protocol, lifetime: 7_200_000 })
  expect(await knock(mapping!.external)).toBe(`${WAN} ${mapping!.external.port}`)
  expect(router.rules()).toHaveLength(1)
  await mapper.close()
  expect(router.rules()).toEqual([])
  expect(await knock(mapping!.external)).toBeUndefined()
}

function tool(command: string, ...args: string[]): string {
  return spawnSync(command, args, { encoding: 'utf8', timeout: 10_000 }).stdout
}

/** What the router does with packets that leave. */
function translate(statement: string): void {
  at('router', 'nft', 'flush chain inet filter postrouting')
  at('router', 'nft', `add rule inet filter postrouting oifname "wan" meta nfproto ipv4 ${statement}`)
  at('router', 'nft', 'add rule inet filter postrouting jump postrouting_miniupnpd')
}

/** Two addresses make it a server of RFC 5780. */
async function startCoturn(): Promise<AsyncDisposable> {
  const addresses = INTERNET.flatMap((ip) => ['-L', ip])
  const options = ['-n', ...addresses, '-z', '-l', 'stdout', '--no-tls', '--no-dtls', '--no-cli', '--no-tcp']
  const coturn = spawnAt('internet', 'turnserver', ...options, '--pidfile', '/dev/null', '--realm', 'x')
  await new Promise<void>((resolve, reject) => {
    let log = ''
    coturn.stdout?.on('data', (text) => {
      log += text
      if (/Total General servers/.test(log)) resolve()
    })
    coturn.once('exit', () => reject(new Error(log)))
  })
  return {
    async [Symbol.asyncDispose]() {
      coturn.removeAllListeners('exit')
      coturn.kill('SIGKILL')
      await once(coturn, 'exit')
    },
  }
}
