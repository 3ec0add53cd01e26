import { SearchGate } from '@floe/ice'
import type { Fault, Side } from '../topology/fault.ts'
import type { Placement } from '../topology/placement.ts'
import type { Scenario } from '../topology/scenario.ts'
import { Faults } from './faults.ts'
import type { Peer, PeerOptions } from './peer.ts'
import type { Signaling } from './signaling.ts'
import { Traffic } from './traffic.ts'
import type { World } from './world.ts'

/** A scenario on stage: two agents, joined by signaling and about to begin; its faults have their appointments. */
export interface Session {
  readonly a: Peer
  readonly b: Peer
  readonly signaling: Signaling
  /** Not started yet. */
  readonly traffic: Traffic
  /** Faults whose time counts from now. */
  play(faults: readonly Fault[]): void
}

/** `optionsOf()` are one agent's, beyond what the scenario says. */
export function stage(world: World, scenario: Scenario, optionsOf: () => PeerOptions = () => ({})): Session {
  for (const server of scenario.servers ?? [{}]) world.stunServer(server)
  for (const relay of scenario.relays ?? []) world.turnServer(relay)
  const peer = (side: Side) =>
    world.peer(side, placementsOf(scenario, side), { ...traversalOf(scenario, side), ...optionsOf() })
  const [a, b] = [peer('a'), peer('b')]
  const signaling = world.connect(a, b, scenario.signaling)
  const faults = new Faults(world, inhabitant(a), inhabitant(b))
  const play = (some: readonly Fault[]) =>
    faults.schedule(
      some.map((fault) => ({ ...fault, at: world.now + fault.at })),
      {
        restart: (side) => restart(signaling, side === 'a' ? a : b),
        signaling: (up) => (up ? signaling.up() : signaling.down()),
      },
    )
  play(scenario.faults ?? [])
  return { a, b, signaling, traffic: new Traffic(a, b), play }
}

/** The host's addresses, each with the wire that it has in this scenario. */
export function placementsOf(scenario: Scenario, side: Side): readonly Placement[] {
  const { link } = scenario
  return [scenario[side]].flat().map((placement: Placement) => ({ ...(link && { link }), ...placement }))
}

/** Each is a process of its own. */
function traversalOf({ traversal = {} }: Scenario, side: Side): PeerOptions {
  const hardNat = traversal[side]
  return hardNat ? { traversal: { hardNat, gate: new SearchGate() } } : {}
}

/** When the last fault has happened and is over, milliseconds. */
export function endOfFaults(faults: readonly Fault[]): number {
  return Math.max(0, ...faults.map((fault) => fault.at + (('for' in fault && fault.for) || 0)))
}

/** The application of a process that stands still restarts when that goes on; one that has not begun has nothing to restart. */
function restart(signaling: Signaling, peer: Peer) {
  peer.host.at(peer.now, () => {
    if (peer.agent.gatheringState !== 'new') signaling.restart(peer)
  })
}

function inhabitant(peer: Peer) {
  return {
    host: peer.host,
    addAddress(ip: string) {
      peer.addAddress(ip)
      // Before that the signaling's own beginning gathers on all addresses.
      if (peer.agent.gatheringState !== 'new') peer.gather()
    },
    removeAddress: (ip: string) => peer.removeAddress(ip),
  }
}
