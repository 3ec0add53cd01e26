/** The cells of the matrix in virtual time: the same places, latencies and agents, with boxes of `e2e/sim` for the kernel's. */
import { runScenario } from '../sim/runner.ts'
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import type { Route } from './encounter.ts'
import type { Result } from './matrix.ts'

/** Both ends, the offering one first. Times in milliseconds of virtual time, rounded. */
export interface Simulated {
  readonly places: Result['places']
  readonly route: Route
  readonly pairs: readonly [string, string]
  /** Until both agents were connected. There is no DTLS and no SCTP here. */
  readonly connected: number | null
  readonly direct: number | null
  readonly sent: readonly [number, number]
}

/** As in the kernel lab: hosts are 40 ms apart, servers 20 ms away, signaling takes 20 ms one way. */
const LATENCY = 10
const LIMIT = 20_000
/** A search for the ports of a hard NAT begins after three seconds, and ends twenty later. */
const PATIENCE = 25_000

export function simulateCell(places: Result['places']): Simulated {
  const [a, b] = places.map((place) => NAT_TYPES[place].placements)
  const scenario = { seed: 1, a: a!, b: b!, relays: [{ tcp: true }], link: { latency: LATENCY }, limit: LIMIT }
  const outcome = runScenario(
    { ...scenario, signaling: { latency: 20 }, traversal: { a: 'auto', b: 'auto' } },
    PATIENCE,
  )
  const connected = finite(outcome.connectedAfter)
  const relayed = outcome.a.includes('relay') || outcome.b.includes('relay')
  return {
    places,
    route: connected === null ? 'none' : relayed ? 'relay' : 'direct',
    pairs: [outcome.a, outcome.b],
    connected,
    direct: relayed ? null : finite(outcome.directAfter),
    sent: outcome.sent,
  }
}

function finite(time: number): number | null {
  return time === Number.POSITIVE_INFINITY ? null : Math.round(time)
}

/** Where the labs come to different routes, and why. */
export interface Difference {
  readonly reason: string
  /** What the one and the other come to. */
  readonly kernel: readonly Route[]
  readonly simulator: readonly Route[]
  /** For either order of the places. */
  holds(a: NatTypeName, b: NatTypeName): boolean
}

/** Nobody knows the ports that their NATs pick. */
const HARD: readonly NatTypeName[] = ['apdm-random', 'apdm-block', 'v6-firewall']

export const DIFFERENCES: readonly Difference[] = [
  {
    reason: 'the simulator carries TCP to relays alone: it knows no TCP candidates (RFC 6544)',
    kernel: ['direct'],
    simulator: ['relay'],
    holds: (a, b) => a === 'no-udp' && b === 'public',
  },
  {
    reason: 'whether the port of a hard NAT is found in time is luck (docs/hard-nat.md has the rates)',
    kernel: ['relay', 'direct'],
    simulator: ['relay', 'direct'],
    holds: (a, b) => HARD.includes(a) && !HARD.includes(b),
  },
]

/** Why the labs differ in a cell: `undefined` where they agree, or where nobody knows. */
export function differenceOf({ places: [a, b], route }: Result, simulated: Simulated): Difference | undefined {
  if (route === simulated.route) return undefined
  return DIFFERENCES.find(
    ({ holds, kernel, simulator }) =>
      (holds(a, b) || holds(b, a)) && kernel.includes(route) && simulator.includes(simulated.route),
  )
}
