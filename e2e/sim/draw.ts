import type { LinkQuality, NatBehavior } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'
import { Random } from './random.ts'
import { reachability, type Verdict } from './reachability.ts'
import type { Scenario } from './scenario.ts'
import type { StunServerOptions } from './stun-server.ts'

/** Milliseconds in which two peers that can meet must have met, in the worst weather that is drawn. */
const LIMIT = 30_000
/** Where theory says no, or nothing: long enough for both to give up. */
const GIVE_UP = 60_000

/** A scenario out of nothing but its seed, and what theory expects of it. */
export function drawScenario(seed: number): { scenario: Scenario; expected: Verdict } {
  const random = new Random(seed).fork('scenario')
  const [a, b] = random.chance(0.1) ? neighbours(random) : [drawPlacement(random), drawPlacement(random)]
  const servers = drawServers(random)
  const expected = reachability(
    a,
    b,
    servers.some(({ dead }) => !dead),
  )
  const signaling = {
    latency: random.integer(0, 300),
    trickle: random.chance(0.8),
    skew: random.pick([0, 0, random.integer(1, 2_000)]),
    roles: random.pick([
      ['controlling', 'controlled'],
      ['controlled', 'controlling'],
      ['controlling', 'controlling'],
      ['controlled', 'controlled'],
    ] as const),
  }
  const limit = expected === 'must' ? LIMIT : GIVE_UP
  return { scenario: { seed, a, b, servers, signaling, limit, link: drawWeather(random) }, expected }
}

const DEPENDENCES = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const

function drawNat(random: Random): NatBehavior {
  return {
    mapping: random.pick(DEPENDENCES),
    filtering: random.pick(DEPENDENCES),
    allocation: random.pick(['preserve', 'sequential', 'random']),
    hairpin: random.pick(['none', 'internal', 'external']),
    mappingTimeout: random.pick([30_000, 60_000, 120_000]),
  }
}

function drawPlacement(random: Random): Placement {
  const kind = random.fraction()
  if (kind < 0.2) return {}
  if (kind < 0.3) return { firewall: { filtering: random.pick(DEPENDENCES) } }
  if (kind < 0.33) return { firewall: { outgoingPorts: [] } }
  if (kind < 0.4) return { nat: drawNat(random), carrier: { name: 'isp', nat: drawNat(random) } }
  return { nat: drawNat(random) }
}

function neighbours(random: Random): [Placement, Placement] {
  const home = { lan: 'home', nat: drawNat(random) }
  return [home, home]
}

function drawServers(random: Random): Partial<StunServerOptions>[] {
  const servers = Array.from({ length: random.pick([0, 1, 1, 1, 2]) }, () => ({ dead: random.chance(0.15) }))
  return servers.map(({ dead }) => ({ dead, link: { latency: random.integer(0, 100) } }))
}

function drawWeather(random: Random): LinkQuality {
  const maybe = (value: number) => (random.chance(0.5) ? value : 0)
  return {
    latency: random.integer(0, 150),
    jitter: maybe(random.integer(0, 50)),
    loss: maybe(random.fraction() * 0.08),
    duplicate: maybe(random.fraction() * 0.2),
    reorder: maybe(random.fraction() * 0.2),
  }
}
