import type { FirewallPolicy, LinkQuality, NatBehavior } from '../topology/behavior.ts'
import { LINUX_MASQUERADE } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import type { RelayPlan, Scenario, ServerPlan, SignalingPlan } from '../topology/scenario.ts'
import { drawFaults } from './draw-faults.ts'
import { Random } from './random.ts'

/** Milliseconds in which two peers that can meet must have met, in the worst weather that is drawn. */
const LIMIT = 30_000

/** A scenario out of nothing but its seed. Two of three have no faults: `plain` asks for those alone. */
export function drawScenario(seed: number, plain = false): Scenario {
  const random = new Random(seed).fork('scenario')
  const [a, b] = drawHosts(random)
  const scenario: Scenario = {
    seed,
    a,
    b,
    servers: drawServers(random),
    ...(random.chance(0.3) && { relays: drawRelays(random) }),
    signaling: drawSignaling(random),
    link: drawWeather(random),
    traversal: drawTraversal(random.fork('traversal')),
    limit: LIMIT,
  }
  if (plain || random.chance(2 / 3)) return scenario
  return {
    ...scenario,
    faults: drawFaults(
      random,
      { a: a.length, b: b.length, servers: scenario.servers!.length, relays: scenario.relays?.length ?? 0 },
      drawPlacement,
    ),
    ...(random.chance(0.5) && { traffic: { interval: random.pick([100, 250]), bytes: random.pick([0, 1_200]) } }),
  }
}

const DEPENDENCES = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const

export function drawNat(random: Random): NatBehavior {
  if (random.chance(0.1)) return { ...LINUX_MASQUERADE, unsolicited: random.pick(['dropped', 'tracked']) }
  const low = random.integer(10_000, 60_000)
  return {
    mapping: random.pick(DEPENDENCES),
    filtering: random.pick(DEPENDENCES),
    allocation: random.pick(['preserve', 'sequential', 'random', { low, high: low + random.pick([63, 511]) }]),
    hairpin: random.pick(['none', 'internal', 'external']),
    mappingTimeout: random.pick([30_000, 60_000, 120_000]),
    ...(random.chance(0.3) && { unrepliedTimeout: random.pick([20_000, 30_000]) }),
    ...(random.chance(0.3) && { inboundRefresh: true }),
    ...(random.chance(0.05) && { portQuota: random.pick([4, 16, 64]) }),
    ...(random.chance(0.05) && { maximumLifetime: 60_000 }),
  }
}

/** One address of a host. */
export function drawPlacement(random: Random): Placement {
  const kind = random.fraction()
  if (kind < 0.18) return random.chance(0.2) ? { family: 6 } : {}
  if (kind < 0.28) return { firewall: drawFirewall(random), ...(random.chance(0.5) && { family: 6 }) }
  if (kind < 0.31) return { firewall: { outgoingPorts: [], ...(random.chance(0.4) && { outgoingTcpPorts: [443] }) } }
  if (kind < 0.38)
    return { nat: drawNat(random), carrier: { name: random.pick(['isp', 'other isp']), nat: drawNat(random) } }
  if (kind < 0.43) return { nat64: drawNat(random), firewall: {} }
  if (kind < 0.48) return { nat: drawNat(random), portMapping: true }
  return { nat: drawNat(random) }
}

function drawFirewall(random: Random): FirewallPolicy {
  return { filtering: random.pick(DEPENDENCES), ...(random.chance(0.3) && { timeout: 30_000 }) }
}

function drawHosts(random: Random): [Placement[], Placement[]] {
  const kind = random.fraction()
  if (kind < 0.1) return neighbours(random)
  if (kind < 0.18) return [dualStack(random), dualStack(random)]
  if (kind < 0.33) return [several(random), several(random)]
  return [[drawPlacement(random)], [drawPlacement(random)]]
}

/** On one LAN, perhaps with a second address elsewhere. */
function neighbours(random: Random): [Placement[], Placement[]] {
  const home = { lan: 'home', nat: drawNat(random) }
  const more = () => (random.chance(0.3) ? [drawPlacement(random)] : [])
  return [
    [home, ...more()],
    [home, ...more()],
  ]
}

function dualStack(random: Random): Placement[] {
  const v4 = { router: 'home', nat: drawNat(random), ...(random.chance(0.8) && { firewall: {} }) }
  return random.chance(0.8) ? [v4, { router: 'home', family: 6 }] : [v4]
}

function several(random: Random): Placement[] {
  return Array.from({ length: random.pick([1, 2, 2, 3]) }, () => ({
    ...drawPlacement(random),
    ...(random.chance(0.3) && { link: drawWeather(random) }),
  }))
}

function drawServers(random: Random): ServerPlan[] {
  return Array.from({ length: random.pick([0, 1, 1, 1, 2]) }, () => ({
    ...(random.chance(0.15) && { dead: true }),
    ...(random.chance(0.1) && { family: 6 as const }),
    link: { latency: random.integer(0, 100) },
  }))
}

function drawRelays(random: Random): RelayPlan[] {
  return Array.from({ length: random.pick([1, 1, 2]) }, () => ({
    ...(random.chance(0.1) && { dead: true }),
    ...(random.chance(0.3) && { tcp: true }),
    link: { latency: random.integer(0, 50) },
  }))
}

function drawSignaling(random: Random): SignalingPlan {
  return {
    latency: random.integer(0, 300),
    trickle: random.chance(0.8),
    skew: random.pick([0, 0, random.integer(-2_000, 2_000)]),
    roles: random.pick([
      ['controlling', 'controlled'],
      ['controlled', 'controlling'],
      ['controlling', 'controlling'],
      ['controlled', 'controlled'],
      [null, null],
    ] as const),
  }
}

/** Node's default on most sides; browsers have none. */
function drawTraversal(random: Random): NonNullable<Scenario['traversal']> {
  const one = () => random.pick(['auto', 'auto', 'auto', 'auto', 'off', undefined] as const)
  const [a, b] = [one(), one()]
  return { ...(a && { a }), ...(b && { b }) }
}

function drawWeather(random: Random): LinkQuality {
  const maybe = (value: number) => (random.chance(0.5) ? value : 0)
  return {
    latency: random.integer(0, 150),
    jitter: maybe(random.integer(0, 50)),
    loss: maybe(percent(random, 8)),
    duplicate: maybe(percent(random, 20)),
    reorder: maybe(percent(random, 20)),
    ...(random.chance(0.1) && { bursts: { every: 5_000, lasting: 200, loss: 0.8 } }),
    ...(random.chance(0.1) && { mtu: 1_280 }),
  }
}

/** A probability in whole percent: short to read in a failing scenario. */
function percent(random: Random, highest: number): number {
  return random.integer(0, highest) / 100
}
