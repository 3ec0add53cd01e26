import type { LinkQuality } from '../topology/behavior.ts'
import type { Fault, Side } from '../topology/fault.ts'
import type { Placement } from '../topology/placement.ts'
import type { Random } from './random.ts'

/** What there is to break: addresses of each side, and servers. */
interface Breakable {
  readonly a: number
  readonly b: number
  readonly servers: number
  readonly relays: number
}

/** Milliseconds in which faults begin: some while the peers still look for each other. */
const WINDOW = 25_000
const SECOND = 1_000

/** One to three faults, in order of time. */
export function drawFaults(
  random: Random,
  breakable: Breakable,
  drawPlacement: (random: Random) => Placement,
): readonly Fault[] {
  const faults = Array.from({ length: random.pick([1, 1, 2, 3]) }, () => drawFault(random, breakable, drawPlacement))
  return faults.sort((one, other) => one.at - other.at)
}

function drawFault(random: Random, breakable: Breakable, drawPlacement: (random: Random) => Placement): Fault {
  const at = random.integer(0, WINDOW)
  const of: Side = random.pick(['a', 'b'])
  const layer = random.pick(['home', 'home', 'carrier'] as const)
  const address = random.integer(0, breakable[of] - 1)
  const kind = random.fraction()
  if (kind < 0.12) return { kind: 'nat-reboot', at, of, layer }
  if (kind < 0.2) return { kind: 'wan-address', at, of, layer }
  if (kind < 0.3) return { kind: 'link', at, of, interface: address, quality: drawDamage(random) }
  if (kind < 0.5) return passing(random, { kind: 'link', at, of, interface: address, quality: drawDamage(random) })
  if (kind < 0.58) return { kind: 'interface-gone', at, of, interface: address }
  if (kind < 0.66) return { kind: 'interface-new', at, of, placement: drawPlacement(random) }
  if (kind < 0.74) return { kind: 'suspend', at, of, for: random.pick([1, 5, 15, 60]) * SECOND }
  if (kind < 0.82)
    return { kind: 'signaling-down', at, ...(random.chance(0.7) && { for: random.integer(1, 10) * SECOND }) }
  if (kind < 0.86 && breakable.servers > 0) {
    return { kind: 'server-down', at, server: random.integer(0, breakable.servers - 1), for: 5 * SECOND }
  }
  if (kind < 0.92 && breakable.relays > 0) {
    const relay = random.integer(0, breakable.relays - 1)
    return { kind: 'relay-down', at, relay, ...(random.chance(0.5) && { for: random.pick([1, 10]) * SECOND }) }
  }
  return { kind: 'restart', at, of }
}

function passing(random: Random, fault: Extract<Fault, { kind: 'link' }>): Fault {
  const direction = random.pick(['up', 'down', undefined] as const)
  return { ...fault, for: random.pick([1, 3, 10, 15, 40]) * SECOND, ...(direction && { direction }) }
}

function drawDamage(random: Random): LinkQuality {
  return random.pick([
    { drops: 'all' },
    { drops: 'all' },
    { drops: 'data' },
    { loss: 0.2 },
    { loss: 0.5 },
    { latency: random.integer(50, 400) },
    { mtu: 1_000 },
  ] satisfies LinkQuality[])
}
