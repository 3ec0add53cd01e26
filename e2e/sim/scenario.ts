import type { LinkQuality } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'
import { assertAgreement } from './invariants.ts'
import type { Peer } from './peer.ts'
import type { SignalingOptions } from './signaling.ts'
import type { StunServerOptions } from './stun-server.ts'
import { simulate } from './world.ts'

/** Two agents somewhere on the test internet that want to meet: all of it is data, so that it can be drawn at random. */
export interface Scenario {
  readonly seed: number
  readonly a: Placement | readonly Placement[]
  readonly b: Placement | readonly Placement[]
  /** Default: one server that works. */
  readonly servers?: readonly Partial<StunServerOptions>[]
  /** The wire of every address of both peers. */
  readonly link?: LinkQuality
  readonly signaling?: SignalingOptions
  /** Milliseconds after which the agents have connected or never will. */
  readonly limit: number
}

export interface Outcome {
  /** Milliseconds until both were connected; Infinity: never. */
  readonly connectedAfter: number
  /** Local and remote candidate type of each end's selected pair once all is quiet: `srflx-prflx`; `none` without one. */
  readonly a: string
  readonly b: string
  readonly states: readonly [a: string, b: string]
  /** Datagrams that both agents sent until then. */
  readonly packets: number
}

/** Milliseconds after the connection in which better pairs may still take over. */
const SETTLE = 5_000

/** Runs a scenario to its end with all invariants: `simulate`'s, and agreement about the path when there is one. */
export function runScenario(scenario: Scenario): Outcome {
  return simulate(scenario.seed, (world) => {
    for (const server of scenario.servers ?? [{}]) world.stunServer(server)
    const a = world.peer('a', withLink(scenario.a, scenario.link))
    const b = world.peer('b', withLink(scenario.b, scenario.link))
    world.connect(a, b, scenario.signaling)
    const both = world.runUntil(() => a.connected && b.connected, scenario.limit)
    const connectedAfter = both ? world.now : Number.POSITIVE_INFINITY
    if (both) {
      world.run(SETTLE)
      assertAgreement(world, a, b)
    }
    const packets = a.packetsSent + b.packetsSent
    return { connectedAfter, a: pairTypes(a), b: pairTypes(b), states: [a.state, b.state] as const, packets }
  })
}

export function pairTypes({ selected }: Peer): string {
  return selected ? `${selected.local.type}-${selected.remote.type}` : 'none'
}

function withLink(placements: Placement | readonly Placement[], link: LinkQuality | undefined): readonly Placement[] {
  return [placements].flat().map((placement) => ({ ...(link && { link }), ...placement }))
}
