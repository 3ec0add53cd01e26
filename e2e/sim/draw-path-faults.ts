import type { Fault } from '../topology/fault.ts'
import { LINUX_MASQUERADE } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import type { Scenario } from '../topology/scenario.ts'
import type { Random } from './random.ts'
import { Random as Source } from './random.ts'

/** Milliseconds in which the two have met and settled, and between two faults: the one before is overcome by then. */
const BEGINNING = 15_000
const BETWEEN = 30_000
const LIMIT = 30_000
/** Between two words of each end. */
const INTERVAL = 50

/** Two peers that talk, and one to four faults of their paths, each of which leaves a way: none may be felt for long. */
export function drawPathFaults(seed: number): Scenario {
  const random = new Source(seed).fork('path faults')
  const isRelayed = random.chance(0.2)
  const [a, b] = isRelayed ? [[shut(random)], [shut(random)]] : [several(random), [open(random)]]
  return {
    seed,
    a,
    b,
    servers: [{ link: { latency: random.integer(0, 30) } }],
    ...((isRelayed || random.chance(0.3)) && { relays: relays(random) }),
    signaling: { latency: random.integer(0, 200) },
    limit: LIMIT,
    traffic: { interval: INTERVAL, ...(random.chance(0.3) && { bytes: 1_000 }) },
    faults: isRelayed ? [relayDeath(random)] : drawFaults(random, a.length),
    bounded: true,
  }
}

function drawFaults(random: Random, networks: number): Fault[] {
  const alive = new Set(Array.from({ length: networks }, (_, index) => index))
  let known = networks
  return Array.from({ length: random.integer(1, 4) }, (_, n): Fault => {
    const at = BEGINNING + n * BETWEEN + random.integer(0, 5_000)
    const kind = random.fraction()
    if (alive.size < 2 || kind < 0.2) {
      alive.add(known++)
      return { kind: 'interface-new', at, of: 'a', placement: network(random) }
    }
    if (kind < 0.35) return { kind: 'nat-reboot', at, of: 'a' }
    if (kind < 0.45) return { kind: 'wan-address', at, of: 'a' }
    const victim = random.pick([...alive])
    // Those that come back do so sooner or later, and nothing relies on them any more.
    alive.delete(victim)
    if (kind < 0.6) return { kind: 'interface-gone', at, of: 'a', interface: victim }
    const direction = random.pick(['up', 'down', undefined, undefined] as const)
    const quality = { drops: random.pick(['all', 'all', 'data'] as const) }
    const passing = random.pick([3_000, 12_000] as const)
    // A hole for data that stays is tried again after a minute, and two, and four: what that costs is not the fault's.
    const lasting = quality.drops === 'data' || random.chance(0.5) ? passing : undefined
    return {
      ...{ kind: 'link', at, of: 'a', interface: victim, quality },
      ...(direction && { direction }),
      ...(lasting && { for: lasting }),
    } as Fault
  })
}

function relayDeath(random: Random): Fault {
  return { kind: 'relay-down', at: BEGINNING, relay: random.integer(0, 1) }
}

function several(random: Random): Placement[] {
  return Array.from({ length: random.integer(2, 3) }, () => network(random))
}

function network(random: Random): Placement {
  return { link: { latency: random.integer(5, 60) }, ...(random.chance(0.6) && { nat: LINUX_MASQUERADE }) }
}

function open(random: Random): Placement {
  return { link: { latency: random.integer(5, 40) } }
}

/** Lets nothing out but to TURN servers. */
function shut(random: Random): Placement {
  return { ...open(random), firewall: { outgoingPorts: [TURN_PORT] } }
}

const TURN_PORT = 3_478

function relays(random: Random) {
  return [0, 1].map(() => ({ link: { latency: random.integer(5, 30) } }))
}
