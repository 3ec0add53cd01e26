/** docs/path-recovery.md, made from docs/path-recovery.json, which the runs of the bench keep up. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peers } from './matrix.ts'
import type { PeerKind } from './peer.ts'
import { PATIENCE, type Recovery } from './recovery.ts'
import { RECOVERY_EVENTS, type RecoveryEvent } from './recovery-events.ts'
import { DOCS } from './report.ts'
import { table } from './table.ts'

const DATA = join(DOCS, 'path-recovery.json')

/** What two peers of these kinds came to in one event when it was last asked. */
export interface Recorded {
  /** In order, milliseconds; null: not within PATIENCE. */
  readonly again: readonly (number | null)[]
  /** Runs in which the two never connected in the first place. */
  readonly unconnected: number
  readonly lost: number
  readonly restarts: number
  /** Runs at once, and the machine's load average when they began: the highest of them. */
  readonly together: number
  readonly load: number
}

/** By name of the event, then by the kinds of the two peers. */
type Data = Readonly<Record<string, Readonly<Record<string, Recorded>>>>

const TITLES: Readonly<Record<PeerKind, string>> = {
  node: 'floe',
  werift: 'werift',
  chromium: 'Chromium',
  firefox: 'Firefox',
}

/** In the order of the table: ours, others', and ours with browsers; things happen to the first one. */
export const PAIRINGS: readonly Peers[] = [
  ['node', 'node'],
  ['werift', 'werift'],
  ['chromium', 'chromium'],
  ['node', 'chromium'],
  ['chromium', 'node'],
  ['node', 'firefox'],
]

export function toRecorded(
  results: readonly (Recovery | Error)[],
  { together, load }: Pick<Recorded, 'together' | 'load'>,
): Recorded {
  const recoveries = results.flatMap((result) => (result instanceof Error ? [] : result))
  const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0)
  const times = recoveries.map(({ again }) => again).toSorted((one, other) => one - other)
  return {
    again: times.map((again) => (Number.isFinite(again) ? again : null)),
    unconnected: results.length - recoveries.length,
    lost: sum(recoveries.map(({ lost }) => lost)),
    restarts: sum(recoveries.map(({ restarted }) => Number(restarted))),
    together,
    load,
  }
}

/** What the issue asks of ours. */
export function holds(event: RecoveryEvent, { again, lost, restarts, unconnected }: Recorded): boolean {
  return percentile(again, 0.95) <= event.within && lost === 0 && restarts === 0 && unconnected === 0
}

export function describeRecorded({ again, lost, restarts, unconnected }: Recorded): string {
  const [p50, p95, max] = [0.5, 0.95, 1].map((part) => duration(percentile(again, part)))
  const odd = `${lost} messages lost, ${restarts} ICE restarts${unconnected > 0 ? `, ${unconnected} never connected` : ''}`
  return `p50 ${p50}, p95 ${p95}, max ${max} ms; ${odd}; ${again.length} runs`
}

/** Takes results into the documentation; those of other events and kinds stay. */
export function recordRecovery(event: RecoveryEvent, peers: Peers, recorded: Recorded): void {
  const before = read()
  const known = RECOVERY_EVENTS.map(({ name }) => [name, before[name] ?? {}] as const)
  const data: Data = {
    ...Object.fromEntries(known),
    [event.name]: { ...before[event.name], [peers.join('-')]: recorded },
  }
  const lines = Object.entries(data).map(([name, kinds]) => {
    const entries = Object.entries(kinds).map(([kind, one]) => `    ${JSON.stringify(kind)}: ${JSON.stringify(one)}`)
    return `  ${JSON.stringify(name)}: {\n${entries.join(',\n')}\n  }`
  })
  writeFileSync(DATA, `{\n${lines.join(',\n')}\n}\n`)
  rewriteRecovery()
}

/** Writes the documentation anew. */
export function rewriteRecovery(): void {
  const data = read()
  const kinds = PAIRINGS.map((peers) => peers.join('-')).filter((key) => Object.values(data).some((one) => one[key]))
  const titles = kinds.map((key) =>
    key
      .split('-')
      .map((kind) => TITLES[kind as PeerKind])
      .join('–'),
  )
  const times = table(
    ['event', 'asked of floe: p95', ...titles],
    RECOVERY_EVENTS.map(({ name, within }) => [
      name,
      `≤ ${within}`,
      ...kinds.map((kind) => (data[name]?.[kind] ? timesOf(data[name][kind]) : '')),
    ]),
  )
  const costs = table(
    ['event', ...titles],
    RECOVERY_EVENTS.map(({ name }) => [
      name,
      ...kinds.map((kind) => (data[name]?.[kind] ? costsOf(data[name][kind]) : '')),
    ]),
  )
  writeFileSync(join(DOCS, 'path-recovery.md'), `${[INTRODUCTION, times, ON_COSTS, costs].join('\n\n')}\n`)
}

function timesOf({ again }: Recorded): string {
  const never = again.filter((one) => one === null).length
  const times = [0.5, 0.95, 1].map((part) => duration(percentile(again, part))).join(' / ')
  if (never === again.length) return `never (${again.length} runs)`
  return `${times} (${again.length} runs${never > 0 ? `, ${never} never` : ''})`
}

function costsOf({ lost, restarts, unconnected, together, load }: Recorded): string {
  const odd = unconnected > 0 ? `, ${unconnected} runs without a connection` : ''
  return `${lost} / ${restarts}${odd} (${together} at once, load ${load.toFixed(1)})`
}

/** Of ordered values, by the nearest rank. */
function percentile(ordered: readonly (number | null)[], part: number): number {
  return ordered[Math.max(0, Math.ceil(part * ordered.length) - 1)] ?? Number.POSITIVE_INFINITY
}

function duration(ms: number): string {
  return Number.isFinite(ms) ? String(ms) : 'never'
}

function read(): Data {
  try {
    return JSON.parse(readFileSync(DATA, 'utf8'))
  } catch {
    return {} // The first run.
  }
}

const INTRODUCTION = `# How soon data flows again

Written by \`npm run natlab -- recovery\`: do not edit. Two peers in network namespaces, 40 ms apart one way, send each other
50 numbered messages per second over a reliable, ordered data channel. Then something happens to the path that the kernel's
counters show to carry them. The figures are milliseconds from the event until messages arrive at both ends again for good,
p50 / p95 / max: the end of the last gap of more than 200 ms, or the longest time between two messages where there was no
such gap. Never: not within ${PATIENCE / 1_000} s. Every run is a new lab with new peers, and nobody asks for an ICE restart.

Chromium may use all interfaces, as a page does that may use the microphone. A relay that dies stands still, so that nothing
says it is gone; werift asks one TURN server, whatever it is given. Of unlike peers, the first is the one whose network it
happens to, and controls. [Why browsers are as slow as they are](renomination.md).`

const ON_COSTS = `Messages lost above the data channel / ICE restarts, over all runs: what a path that does not come back never delivers is
lost. In brackets: how many labs ran at once, and the highest load average of the machine's two cores meanwhile, which is
other work too, of a lower priority.`
