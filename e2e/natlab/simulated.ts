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

/** `skew`: how much later the answering side begins. */
export function simulateCell(places: Result['places'], skew = 0): Simulated {
  const [a, b] = places.map((place) => NAT_TYPES[place].placements)
  const scenario = { seed: 1, a: a!, b: b!, relays: [{ tcp: true }], link: { latency: LATENCY }, limit: LIMIT }
  const outcome = runScenario(
    { ...scenario, signaling: { latency: 20, skew }, traversal: { a: 'auto', b: 'auto' } },
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
  /** Milliseconds between the ends' beginnings with which the simulator comes to the kernel's route, one or the other. */
  readonly skews?: readonly number[]
  /** For either order of the places. */
  holds(a: NatTypeName, b: NatTypeName): boolean
}

export const DIFFERENCES: readonly Difference[] = [
  {
    reason: 'the simulator carries TCP to relays alone: it knows no TCP candidates (RFC 6544)',
    kernel: ['direct'],
    simulator: ['relay'],
    holds: (a, b) => a === 'no-udp' && b === 'public',
  },
  {
    reason:
      'whoever’s first packet comes too early spoils the mapping of a poisoning router: begun 5 ms apart, the simulated ' +
      'ones come to the other route as well, and processes take longer than that to begin',
    skews: [-5, 5],
    kernel: ['relay', 'direct'],
    simulator: ['relay', 'direct'],
    holds: (a) => a === 'poisoning',
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
