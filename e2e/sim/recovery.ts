import type { Fault } from '../topology/fault.ts'
import type { Scenario } from '../topology/scenario.ts'
import { Violation } from './invariants.ts'
import type { Session } from './scenario.ts'
import type { World } from './world.ts'

/** Milliseconds after a fault in which it is watched. */
const WATCHED = 20_000

/**
 * Milliseconds without a word of either end that a fault may cause at most, at round trips of up to 0.2 s: what the project
 * promises for the kernel lab, and half a second for the slower wires that are drawn here.
 */
const BOUNDS: Readonly<Record<Exclude<Fault['kind'], 'link'>, number>> = {
  'interface-new': 1_000,
  'interface-gone': 2_000,
  'nat-reboot': 2_500,
  'wan-address': 2_500,
  'relay-down': 2_500,
  suspend: Number.POSITIVE_INFINITY,
  'signaling-down': 500,
  'server-down': 500,
  restart: 500,
}
const SILENT_DEATH = 1_700
/** Away from what is broken, perhaps twice, and every five seconds at most to what is faster. */
const MOVES = 5
/** Nobody but the layer above can notice: after 1.2 s it does. */
const DATA_HOLE = 5_000

export function boundOf(fault: Fault): number {
  if (fault.kind !== 'link') return BOUNDS[fault.kind]
  return fault.quality.drops === 'data' ? DATA_HOLE : SILENT_DEATH
}

/** Both talk all the time; after each fault it must not be felt for longer than its bound, and no restart may help. */
export function outlive(world: World, { faults = [], traffic, limit }: Scenario, session: Session): number {
  const { a, b, traffic: talk } = session
  if (!world.runUntil(() => a.connected && b.connected, limit))
    throw new Violation('unconnected', `not connected within ${limit} ms, though there is a path`)
  const connectedAfter = world.now
  talk.start(traffic ?? { interval: 50 })
  for (const fault of faults) {
    world.run(Math.max(0, fault.at - world.now))
    const { now } = world
    world.run(WATCHED)
    const [gap, bound] = [talk.longestGap(now), boundOf(fault)]
    if (gap > bound)
      throw new Violation('recovery', `no data for ${Math.round(gap)} ms after ${fault.kind}: ${bound} ms at most`)
    for (const { name, agent } of [a, b]) {
      if (agent.generation > 0) throw new Violation('recovery', `${name} has restarted ICE`)
      const moves = agent.switches.filter(({ at }) => at >= now).length
      if (moves > MOVES)
        throw new Violation('flapping', `${name} moves ${moves} times after ${fault.kind}: ${MOVES} at most`)
    }
  }
  talk.stop()
  return connectedAfter
}
