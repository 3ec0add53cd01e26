/** How often, how soon and at what price a hard NAT is got through: many runs of one cell. */
import type { NatTypeName } from '../topology/nat-types.ts'
import { type Outcome, runCell } from './cell.ts'
import { sideBySide } from './decisions.ts'
import type { PeerKind } from './peer.ts'
import type { SignalingOptions } from './signaling.ts'
import { middle } from './table.ts'

export interface Trial {
  readonly places: readonly [NatTypeName, NatTypeName]
  readonly peers: readonly [PeerKind, PeerKind]
  /** Without one the poison-safe opening is on its own. */
  readonly relay: boolean | 'node'
  readonly signaling?: SignalingOptions
  /** Milliseconds from the offer in which it is to be direct. */
  readonly within: number
  /** Of all runs. */
  readonly rate: number
}

/** What issue 6 asks for, each with its own figure. */
export const TRIALS: readonly Trial[] = [
  trial(['apdm-random', 'eim-apdf'], ['node', 'node'], 12_000, 0.97),
  trial(['eim-apdf', 'apdm-random'], ['node', 'node'], 12_000, 0.97),
  trial(['apdm-block', 'eim-apdf'], ['node', 'node'], 8_000, 0.97),
  trial(['eim-apdf', 'apdm-block'], ['node', 'chromium'], 14_000, 0.9),
  trial(['apdm-block', 'eim-apdf'], ['node', 'chromium'], 25_000, 0),
  trial(['apdm-random', 'eim-apdf'], ['node', 'chromium'], 25_000, 0),
  trial(['eim-apdf', 'apdm-block'], ['node', 'firefox'], 14_000, 0.9),
  trial(['apdm-block', 'eim-apdf'], ['node', 'firefox'], 25_000, 0),
  { ...trial(['poisoning', 'poisoning'], ['node', 'node'], 8_000, 1), relay: false },
  {
    ...trial(['poisoning', 'poisoning'], ['node', 'node'], 8_000, 1),
    relay: false,
    signaling: { latency: [150, 20] },
  },
]

/**
 * Those that a single run can hold to: a whole block is tried, and an opener leaves nothing to chance. One browser stands for
 * both: of a sweep they see nothing but its end.
 */
export const CERTAIN = TRIALS.filter(
  ({ places, peers, rate }) => rate > 0 && !places.includes('apdm-random') && !peers.includes('firefox'),
)

/** Milliseconds until it is given up. */
const CONNECT = 12_000
const UPGRADE = 25_000

export interface Figures {
  readonly trial: Trial
  readonly runs: number
  /** Milliseconds from the offer until both ends used a direct path, in order; those that never did are left out. */
  readonly times: readonly number[]
  /** Of each run: datagrams that left the two hosts, and connection-tracking entries in their routers. */
  readonly packets: readonly (readonly [number, number])[]
  readonly natEntries: readonly (readonly [number, number])[]
}

export async function measure(trial: Trial, runs: number, onrun: (text: string) => void): Promise<Figures> {
  const outcomes: Outcome[] = []
  for (let run = 0; run < runs; run++) {
    const outcome = await runCell(trial, { connect: CONNECT, upgrade: UPGRADE })
    outcomes.push(outcome)
    onrun(describeRun(outcome))
    if (outcome.route !== 'direct') onrun(sideBySide(outcome.ends[0].decisions, outcome.ends[1].decisions))
  }
  return {
    trial,
    runs,
    times: outcomes.flatMap(({ direct }) => direct ?? []).sort((a, b) => a - b),
    packets: outcomes.map(({ ends: [a, b] }) => [a.sent, b.sent] as const),
    natEntries: outcomes.map(({ ends: [a, b] }) => [a.natEntries, b.natEntries] as const),
  }
}

export function titleOf({ places, peers, relay, signaling }: Trial): string {
  const uneven = signaling?.latency ? `, signaling ${signaling.latency.join(' and ')} ms` : ''
  return `${places[0]} ${peers[0]} × ${places[1]} ${peers[1]}${relay ? '' : ', no relay'}${uneven}`
}

export function isReached({ trial, runs, times }: Figures): boolean {
  return times.filter((time) => time <= trial.within).length >= trial.rate * runs
}

/** One row of the table. */
export function summary(figures: Figures): string {
  const { trial, runs, times, packets, natEntries } = figures
  const inTime = times.filter((time) => time <= trial.within).length
  const share = (list: readonly (readonly [number, number])[]) =>
    ([0, 1] as const).map((side) => middle(list.map((pair) => pair[side]))).join(' / ')
  const worst = times.at(-1)
  return `| ${titleOf(trial)} | ${inTime} of ${runs} in ${trial.within / 1_000} s | ${times.length} | ${middle(times)} | ${worst ?? '-'} | ${share(packets)} | ${share(natEntries)} |`
}

export const TABLE_HEAD = `| place and peer, offering × answering | direct in time | direct at all | median (ms) | last (ms) | datagrams sent | NAT entries |
|---|---|---|---|---|---|---|`

function describeRun({ route, firstByte, direct, ends: [a, b] }: Outcome): string {
  const spent = `${a.sent} / ${b.sent} datagrams, ${a.natEntries} / ${b.natEntries} NAT entries`
  return `${route} ${a.pair}: ${firstByte ?? '-'} ms to the first byte, ${direct ?? '-'} to a direct path, ${spent}`
}

function trial(places: Trial['places'], peers: Trial['peers'], within: number, rate: number): Trial {
  return { places, peers, relay: 'node', within, rate }
}
