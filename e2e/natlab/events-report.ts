/** docs/nat-events.md, made from docs/nat-events.json, which a run of all events writes, and from the simulator as it is. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BEGINNINGS, type Beginning, type Begun } from './beginnings.ts'
import type { Route } from './encounter.ts'
import { EVENTS, type LabEvent, NEVER } from './events.ts'
import { DOCS } from './report.ts'
import { beginSimulated, surviveSimulated } from './simulated-events.ts'
import type { Survival } from './survival.ts'
import { table } from './table.ts'

const DATA = join(DOCS, 'nat-events.json')

/** What the kernel lab came to when it was last asked, by name of the event. Milliseconds; null: for ever, or never. */
export interface Recorded {
  readonly survivals: Readonly<Record<string, RecordedSurvival>>
  readonly beginnings: Readonly<Record<string, RecordedBeginning>>
}

export interface RecordedSurvival {
  readonly interruption: number | null
  readonly restarted: boolean
  readonly paths: readonly [string, string]
  readonly transferred?: number | null
  readonly moved?: number | null
}

export interface RecordedBeginning {
  readonly route: Route
  readonly pair: string
  readonly firstByte: number | null
  readonly sent: readonly number[]
}

type Survived = Pick<Survival, 'interruption' | 'restarted' | 'transferred' | 'moved'>

/** Of the kernel. */
export function isAsExpected({ event, ...survived }: Survived & { readonly event: LabEvent }): boolean {
  return meets(event.expected, survived)
}

export function meets(expected: LabEvent['expected'], survived: Survived): boolean {
  const { interruption, restarted, transferred = NEVER, moved = NEVER } = survived
  if (expected.within === NEVER) return interruption === NEVER
  const arrives = transferred <= (expected.transferred ?? NEVER) && moved <= (expected.moved ?? NEVER)
  return interruption <= expected.within && restarted === expected.restart && arrives
}

export function describeSurvival(survival: Survival): string {
  const { event, interruption, restarted } = survival
  const how = restarted ? 'after an ICE restart' : 'by itself'
  const ended = interruption === NEVER ? 'never again' : `${interruption} ms, ${how}`
  return `${isAsExpected(survival) ? '  ok  ' : 'FAILED'} ${event.name}: ${ended}, ${pathsOf(survival)}`
}

/** The path before and after, and what else was to be seen on it. */
function pathsOf({ paths, ...survived }: Survived & Pick<Survival, 'paths'>): string {
  return [paths.join(' → '), ...alsoSeen(survived)].join('; ')
}

function alsoSeen({ transferred, moved }: Pick<Survived, 'transferred' | 'moved'>): string[] {
  return [
    ...(transferred === undefined ? [] : [`all there after ${duration(transferred)}`]),
    ...(moved === undefined ? [] : [`the other interface after ${duration(moved)}`]),
  ]
}

export function hasBegun({ beginning: { expected }, route, firstByte = NEVER }: Begun): boolean {
  return route === expected.route && firstByte <= expected.within
}

export function describeBegun(begun: Begun): string {
  const { beginning, route, firstByte = NEVER, direct = NEVER, ends } = begun
  const times = `${duration(firstByte)} ms to the first byte, ${duration(direct)} to a direct path`
  return `${hasBegun(begun) ? '  ok  ' : 'FAILED'} ${beginning.name}: ${route} ${ends[0].pair}, ${times}`
}

/** Takes the results of a run into the documentation; those of other events stay. */
export function recordEvents(begun: readonly Begun[], survivals: readonly Survival[]): void {
  const before = readEvents()
  const recorded: Recorded = {
    survivals: Object.fromEntries([
      ...known(before.survivals, EVENTS),
      ...survivals.map((survival) => [survival.event.name, toRecorded(survival)] as const),
    ]),
    beginnings: Object.fromEntries([
      ...known(before.beginnings, BEGINNINGS),
      ...begun.map(({ beginning, route, firstByte = null, ends }) => [
        beginning.name,
        { route, pair: ends[0].pair, firstByte, sent: ends.map(({ sent }) => sent) },
      ]),
    ]),
  }
  mkdirSync(DOCS, { recursive: true })
  writeFileSync(DATA, `${JSON.stringify(recorded, null, 2)}\n`)
  rewriteEvents()
}

/** JSON knows no infinity. */
function toRecorded({ interruption, restarted, paths, transferred, moved }: Survival): RecordedSurvival {
  const finite = (ms: number) => (ms === NEVER ? null : ms)
  return {
    interruption: finite(interruption),
    restarted,
    paths,
    ...(transferred !== undefined && { transferred: finite(transferred) }),
    ...(moved !== undefined && { moved: finite(moved) }),
  }
}

/** As it was before it was recorded. */
export function survivedOf({ interruption, restarted, transferred, moved }: RecordedSurvival): Survived {
  return {
    interruption: interruption ?? NEVER,
    restarted,
    ...(transferred !== undefined && { transferred: transferred ?? NEVER }),
    ...(moved !== undefined && { moved: moved ?? NEVER }),
  }
}

/** Those that are in the table still. */
function known<T>(recorded: Readonly<Record<string, T>>, table: readonly { readonly name: string }[]): [string, T][] {
  return table.flatMap(({ name }) => (name in recorded ? [[name, recorded[name]!] as [string, T]] : []))
}

export function readEvents(): Recorded {
  try {
    return JSON.parse(readFileSync(DATA, 'utf8'))
  } catch {
    return { survivals: {}, beginnings: {} } // The first run.
  }
}

/** Writes the documentation anew. */
export function rewriteEvents(): void {
  const { survivals, beginnings } = readEvents()
  const sections = [
    ON_SURVIVING,
    table(
      ['event', 'kernel: data stops, ms', 'restart', 'path', 'simulator', 'restart', 'at most', 'expected because'],
      EVENTS.map((event) => survivalRow(event, survivals[event.name])),
    ),
    ON_BEGINNING,
    table(
      [
        'conditions',
        'kernel: route',
        'pair',
        'first byte, ms',
        'datagrams sent',
        'simulator',
        'pair',
        'ms',
        'sent',
        'expected',
      ],
      BEGINNINGS.map((beginning) => beginningRow(beginning, beginnings[beginning.name])),
    ),
  ]
  writeFileSync(join(DOCS, 'nat-events.md'), `${sections.join('\n\n')}\n`)
}

function survivalRow(event: LabEvent, kernel: RecordedSurvival | undefined): (string | number)[] {
  const { expected, simulated = expected, simulatorOnly } = event
  const inVirtualTime = surviveSimulated(event)
  const survived = kernel && { paths: kernel.paths, ...survivedOf(kernel) }
  const [atMost, because] = [
    [duration(expected.within), ...alsoSeen(expected)].join('; ') +
      (simulated === expected ? '' : `; simulator: ${duration(simulated.within)}`),
    [expected.reason, simulated === expected ? '' : `simulator: ${simulated.reason}`, simulatorOnly ?? ''],
  ]
  const strange = [
    survived && !meets(expected, survived) ? '**not so**' : '',
    meets(simulated, inVirtualTime) ? '' : '**not so in the simulator**',
  ]
  return [
    event.name,
    survived ? duration(survived.interruption) : '',
    survived ? yesOrNo(survived.restarted) : '',
    survived ? pathsOf(survived) : '',
    [duration(inVirtualTime.interruption), ...alsoSeen(inVirtualTime)].join('; '),
    yesOrNo(inVirtualTime.restarted),
    atMost,
    [...because, ...strange].filter(Boolean).join('; '),
  ]
}

function beginningRow(beginning: Beginning, kernel: RecordedBeginning | undefined): (string | number)[] {
  const simulated = beginSimulated(beginning)
  const { route, within } = beginning.expected
  return [
    beginning.name,
    kernel?.route ?? '',
    kernel?.pair ?? '',
    kernel ? duration(kernel.firstByte ?? NEVER) : '',
    kernel?.sent.join(' / ') ?? '',
    simulated.route,
    simulated.pair,
    duration(simulated.connected),
    simulated.sent.join(' / '),
    `${route}, ${within}${kernel && kernel.route !== route ? ' **not so**' : ''}`,
  ]
}

function yesOrNo(restarted: boolean): string {
  return restarted ? 'yes' : 'no'
}

function duration(ms: number): string {
  return ms === NEVER ? 'for ever' : String(ms)
}

const ON_SURVIVING = `# What a connection survives

Written by \`npm run natlab -- events\`: do not edit. Two Node peers in network namespaces, 40 ms apart, send each other a
small message every 40 ms over an unreliable data channel while the event happens; beside them the same agents in the
simulator. The figure is the longest time for which one end or the other got nothing, the event's own duration included.
Where there is a transfer, its bytes go over a reliable channel beside (in the simulator: words of 1200 bytes, none of which
is sent again), and its time is until all of them were there at both ends, checksums and all. Which interface carries the
data is counted by the kernel. Both count from the last fault.
An ICE restart is tried when nothing has come for 20 s, so that a figure with one says when the restart was, not how long
it took.`

const ON_BEGINNING = `## How a connection begins

The same two peers in foul weather, or with slow signaling. The kernel's figure is the time from the offer until both have
data of the other, over DTLS and SCTP; the simulator's, which has neither, until both agents are connected.`
