/** docs/nat-events.md, written by a run of all events. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Begun } from './beginnings.ts'
import { NEVER } from './events.ts'
import { DOCS } from './report.ts'
import type { Survival } from './survival.ts'
import { table } from './table.ts'

export function isAsExpected({ event: { expected }, interruption, restarted }: Survival): boolean {
  if (expected.within === NEVER) return interruption === NEVER
  return interruption <= expected.within && restarted === expected.restart
}

export function describeSurvival(survival: Survival): string {
  const { event, interruption, restarted, paths } = survival
  const how = restarted ? 'after an ICE restart' : 'by itself'
  const ended = interruption === NEVER ? 'never again' : `${interruption} ms, ${how}`
  return `${isAsExpected(survival) ? '  ok  ' : 'FAILED'} ${event.name}: ${ended}, ${paths.join(' → ')}`
}

export function hasBegun({ beginning: { expected }, route, firstByte = NEVER }: Begun): boolean {
  return route === expected.route && firstByte <= expected.within
}

export function describeBegun(begun: Begun): string {
  const { beginning, route, firstByte = NEVER, direct = NEVER, ends } = begun
  const times = `${duration(firstByte)} ms to the first byte, ${duration(direct)} to a direct path`
  return `${hasBegun(begun) ? '  ok  ' : 'FAILED'} ${beginning.name}: ${route} ${ends[0].pair}, ${times}`
}

export function recordEvents(begun: readonly Begun[], survivals: readonly Survival[]): void {
  const beginnings = begun.map((one) => {
    const { beginning, route, firstByte = NEVER, ends } = one
    const { expected } = beginning
    const expectation = `${expected.route}, ${expected.within}${hasBegun(one) ? '' : ' **not so**'}`
    return [
      beginning.name,
      route,
      ends[0].pair,
      duration(firstByte),
      expectation,
      ends.map(({ sent }) => sent).join(' / '),
    ]
  })
  const titles = ['conditions', 'route', 'pair', 'first byte, ms', 'expected', 'datagrams sent']
  const rows = survivals.map((survival) => {
    const { event, interruption, restarted, paths } = survival
    const { within, reason } = event.expected
    return [
      event.name,
      duration(interruption),
      duration(within),
      restarted ? 'yes' : 'no',
      paths.join(' → '),
      `${reason}${isAsExpected(survival) ? '' : ' **not so**'}`,
    ]
  })
  const head = ['event', 'data stops, ms', 'at most, ms', 'ICE restart', 'path', 'expected because']
  mkdirSync(DOCS, { recursive: true })
  const sections = [ON_SURVIVING, table(head, rows), ON_BEGINNING, table(titles, beginnings)]
  writeFileSync(join(DOCS, 'nat-events.md'), `${sections.join('\n\n')}\n`)
}

function duration(ms: number): number | string {
  return ms === NEVER ? 'for ever' : ms
}

const ON_SURVIVING = `# What a connection survives

Written by \`npm run natlab -- events\`: do not edit. Two Node peers in network namespaces, 40 ms apart, send each other a
small message every 40 ms over an unreliable data channel while the event happens. The figure is the longest time for
which one end or the other got nothing, the event's own duration included. An ICE restart is tried when nothing has come
for 20 s, so that a figure with one says when the restart was, not how long it took.`

const ON_BEGINNING = `## How a connection begins

The same two peers in foul weather, or with slow signaling; \`latency\` is one way. The figure is the time from the offer
until both have data of the other.`
