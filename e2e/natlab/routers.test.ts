/** The lab checks itself: what each router does on the wire is what its description says. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Dependence, NatBehavior } from '../topology/behavior.ts'
import { NAT_TYPES } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import { Internet } from './internet.ts'
import { whyNot } from './namespaces.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import { addressOf, measure, Probe, reachesItself } from './probe.ts'

const reason = whyNot()

const EASY: NatBehavior = { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' }
const HARD: NatBehavior = { mapping: 'address-and-port-dependent', filtering: 'address-and-port-dependent' }

/** The matrix's, and what else descriptions may say. */
const ROUTERS: Readonly<Record<string, Placement>> = {
  ...Object.fromEntries(
    Object.entries<{ placements: readonly Placement[] }>(NAT_TYPES)
      .map(([name, { placements }]) => [name, placements[0]!] as const)
      .filter(([, { nat }]) => nat),
  ),
  'random-ports': { nat: { ...EASY, allocation: 'random' } },
  'block-of-ports': { nat: { ...EASY, allocation: { low: 30_000, high: 30_255 } } },
  'hairpin-and-filter': { nat: { ...EASY, hairpin: 'external' } },
  'internal-hairpin': { nat: { ...EASY, filtering: 'endpoint-independent', hairpin: 'internal' } },
  overloading: { nat: { ...HARD, overloading: true } },
}
const NAMES = Object.keys(ROUTERS)
/** Where the question whether a port stays has an answer. */
const STEADY = NAMES.filter((name) => {
  const { mapping, allocation } = outermost(name)
  return mapping === 'endpoint-independent' || !allocation
})

const FIREWALLS: Readonly<Record<string, Placement>> = {
  'firewall-v4': { firewall: {} },
  'firewall-v6': { firewall: {}, family: 6 },
  'firewall-v6-adf': { firewall: { filtering: 'address-dependent' }, family: 6 },
  'firewall-v6-eif': { firewall: { filtering: 'endpoint-independent' }, family: 6 },
}

describe.skipIf(reason).concurrent(`routers${reason ? ` (left out: ${reason})` : ''}`, () => {
  let internet: Internet
  let servers: Probe

  beforeAll(async () => {
    internet = await Internet.build({
      hosts: Object.fromEntries([
        ...NAMES.flatMap(twoBehind),
        ...Object.entries(FIREWALLS).map(([name, one]) => [name, [one]]),
      ]),
    })
    servers = await Probe.start(internet, 'servers')
  })
  afterAll(() => internet?.close())

  test.each(NAMES)('%s: maps and filters as described', async (name) => {
    const { mapping, allocation = 'preserve', overloading } = outermost(name)
    const measured = await measure(internet, servers, await Probe.start(internet, name), name)
    // Several mappings to one port look like one, as long as nothing stands in their way.
    const looks = overloading && allocation === 'preserve' ? 'endpoint-independent' : mapping
    expect(measured).toMatchObject({ mapping: looks, filtering: strictest(name), preserves: allocation === 'preserve' })
    if (typeof allocation !== 'object') return
    expect(Math.min(...measured.mappedPorts)).toBeGreaterThanOrEqual(allocation.low)
    expect(Math.max(...measured.mappedPorts)).toBeLessThanOrEqual(allocation.high)
  })

  test.each(NAMES)('%s: hairpins as described', async (name) => {
    const [a, b] = [await Probe.start(internet, name), await Probe.start(internet, `${name}-too`)]
    const seen = await reachesItself(internet, servers, [a, name], [b, `${name}-too`])
    expect(seen).toBe(outermost(name).hairpin ?? 'none')
  })

  test.each(STEADY)('%s: an unsolicited packet spoils the mapping only where described', async (name) => {
    const [server, host] = [await servers.open('192.0.2.1'), await Probe.start(internet, name)]
    const socket = await host.open(internet.host(name).attachments[0]!.address)
    const outside = (await socket.reach(await servers.open('192.0.2.2')))!
    await server.reach(socket, outside)
    const seen = await socket.reach(server)
    expect(seen?.port === outside.port).toBe(outermost(name).unsolicited !== 'tracked')
  })

  test('two hosts with one port get two ports outside, each of them for all destinations', async () => {
    const name = 'eim-eif'
    const [one, other] = await Promise.all([servers.open(SERVER_ADDRESSES[0]), servers.open(SERVER_ADDRESSES[1])])
    const [a, b] = [await Probe.start(internet, name), await Probe.start(internet, `${name}-too`)]
    const first = await a.open(addressOf(internet, name), 50_000)
    const second = await b.open(addressOf(internet, `${name}-too`), 50_000)
    expect((await first.reach(one))?.port).toBe(50_000)
    // To where the first has not been yet, so that nothing but the router's memory keeps them apart.
    const outside = await second.reach(other)
    expect(outside?.port).not.toBe(50_000)
    expect(await second.reach(one)).toEqual(outside)
    expect((await first.reach(other))?.port).toBe(50_000)
    expect(await other.reach(first, { ip: outside!.ip, port: 50_000 })).toBeDefined()
    expect(await one.reach(second, outside)).toBeDefined()
  })

  test.each(Object.keys(FIREWALLS))('%s: translates nothing and filters as described', async (name) => {
    const { firewall, family } = FIREWALLS[name]!
    expect(await measure(internet, servers, await Probe.start(internet, name), name, family)).toMatchObject({
      mapping: 'endpoint-independent',
      filtering: firewall?.filtering ?? 'address-and-port-dependent',
      preserves: true,
    })
  })
})

/** The host, and a second one behind the same outermost router. */
function twoBehind(name: string): [string, readonly Placement[]][] {
  const placement = ROUTERS[name]!
  const shared = [placement.carrier ? placement : { lan: `${name}-home`, ...placement, router: `${name}-home` }]
  return [
    [name, shared],
    [`${name}-too`, shared],
  ]
}

function outermost(name: string): NatBehavior {
  const { nat, carrier } = ROUTERS[name]!
  return carrier?.nat ?? nat!
}

/** What comes through must come through every layer. */
function strictest(name: string): Dependence {
  const { nat, carrier } = ROUTERS[name]!
  const strictness = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const
  return [nat, carrier?.nat]
    .map((layer) => layer?.filtering ?? 'endpoint-independent')
    .reduce((one, other) => (strictness.indexOf(one) > strictness.indexOf(other) ? one : other))
}
