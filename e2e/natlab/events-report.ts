/** docs/nat-events.md, written by a run of all events. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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

export function recordEvents(survivals: readonly Survival[]): void {
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
  writeFileSync(join(DOCS, 'nat-events.md'), `${INTRODUCTION}\n\n${table(head, rows)}\n`)
}

function duration(ms: number): number | string {
  return ms === NEVER ? 'for ever' : ms
}

const INTRODUCTION = `# What a connection survives

Written by \`npm run natlab -- events\`: do not edit. Two Node peers in network namespaces, 40 ms apart, send each other a
small message every 40 ms over an unreliable data channel while the event happens. The figure is the longest time for
which one end or the other got nothing, the event's own duration included. An ICE restart is tried when nothing has come
for 20 s, so that a figure with one says when the restart was, not how long it took.`
