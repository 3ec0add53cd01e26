/** docs/nat-matrix.md and its pictures, made from docs/nat-matrix.json, which the runs of the matrix keep up. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import { beforeAndAfter } from './before.ts'
import { comparison } from './comparison.ts'
import { deviationOf } from './deviations.ts'
import { expectedOf, isExpected } from './expected.ts'
import { MARKS } from './marks.ts'
import { type Result, TYPE_NAMES } from './matrix.ts'
import { PEER_KINDS } from './peer.ts'
import { picture } from './picture.ts'
import { table } from './table.ts'

export const DOCS = join(import.meta.dirname, '..', '..', 'docs')
const DATA = join(DOCS, 'nat-matrix.json')

/** Takes the results of a run into the documentation; those of other cells stay. */
export function record(results: readonly Result[]): void {
  mkdirSync(DOCS, { recursive: true })
  const merged = new Map([...read(), ...results].map((result) => [keyOf(result), result]))
  const all = [...merged.values()].sort((one, other) => orderOf(one) - orderOf(other))
  writeFileSync(DATA, `[\n${all.map((result) => `  ${JSON.stringify(result)}`).join(',\n')}\n]\n`)
  writeFileSync(join(DOCS, 'nat-matrix.md'), markdown(all))
  for (const [kind, some] of byPeers(all)) writeFileSync(join(DOCS, pictureName(kind)), picture(kind, some))
}

/** Writes the documentation anew from the results that are there, and from the simulator as it is now. */
export function rewrite(): void {
  record([])
}

/** The results of earlier runs. */
export function read(): Result[] {
  try {
    return JSON.parse(readFileSync(DATA, 'utf8'))
  } catch {
    return [] // The first run.
  }
}

const INTRODUCTION = `Written by \`npm run natlab -- matrix\`: do not edit. Each cell is two real peers in network namespaces of one Linux
machine, behind NATs of nftables and conntrack. Two hosts are 40 ms apart, and 20 ms from the STUN and TURN server, which
is coturn; signaling takes 20 ms one way. Row: the offering peer. Column: the answering one. Both are told of the TURN
server, over UDP and over TCP to port 443. ● direct, ◐ relayed, ○ nothing, with the seconds until both ends had data.`

export function markdown(results: readonly Result[]): string {
  const kinds = byPeers(results)
  return `${[
    '# Every NAT against every NAT',
    INTRODUCTION,
    summary(kinds),
    `## Kernel and simulator\n\n${comparison(kinds.get('node–node') ?? [])}`,
    `## Before and after\n\n${beforeAndAfter(kinds.get('node–node') ?? [])}`,
    ...[...kinds].map(([kind, some]) => `## ${kind}\n\n![${kind}](${pictureName(kind)})\n\n${grid(some)}`),
    `## Places\n\n${legend()}`,
    `## Why\n\n${reasons(results)}`,
    `## All figures\n\n${[...kinds].map(([kind, some]) => details(kind, some)).join('\n\n')}`,
  ].join('\n\n')}\n`
}

function summary(kinds: ReadonlyMap<string, readonly Result[]>): string {
  const rows = [...kinds].map(([kind, results]) => {
    const count = (route: string) => results.filter((result) => result.route === route).length
    const unexpected = results.filter((result) => !isExpected(result)).length
    const times = results.flatMap(({ firstByte }) => firstByte ?? [])
    return [kind, count('direct'), count('relay'), count('none'), unexpected, median(times), percentile(times, 0.95)]
  })
  return table(
    ['peers', 'direct', 'relayed', 'none', 'not as expected', 'first byte, median ms', '95th percentile'],
    rows,
  )
}

function grid(results: readonly Result[]): string {
  const names = TYPE_NAMES.filter((name) => results.some(({ places }) => places.includes(name)))
  const choices = new Set<string>()
  const cell = (a: NatTypeName, b: NatTypeName) => {
    const result = results.find(({ places }) => places[0] === a && places[1] === b)
    if (!result) return ''
    const { isChoice, reason } = expectedOf(result)
    if (isChoice) choices.add(reason)
    const mark = MARKS[result.route]
    const time = result.firstByte === null ? '' : ` ${(result.firstByte / 1_000).toFixed(2)}`
    return `${mark}${time}${isChoice ? NOTE.repeat([...choices].indexOf(reason) + 1) : ''}${isExpected(result) ? '' : ' **!**'}`
  }
  const cells = table(
    ['', ...names],
    names.map((a) => [`**${a}**`, ...names.map((b) => cell(a, b))]),
  )
  return [cells, ...[...choices].map((reason, i) => `${NOTE.repeat(i + 1)} ${reason}.`)].join('\n\n')
}

/** Of a footnote. */
const NOTE = '†'

function legend(): string {
  return TYPE_NAMES.map((name) => `- **${name}**: ${NAT_TYPES[name].description}`).join('\n')
}

function reasons(results: readonly Result[]): string {
  const cells = new Map<string, string[]>()
  for (const result of results) {
    const { routes, reason } = expectedOf(result)
    const key = `${routes.join(' or ')}: ${reason}`
    const name = result.places.join(' ↔ ')
    const known = cells.get(key) ?? []
    if (!known.includes(name)) cells.set(key, [...known, name])
  }
  const lines = [...cells].map(
    ([key, names]) => `- ${key} (${names.length === 1 ? names[0] : `${names.length} cells`})`,
  )
  const unexpected = results.filter((result) => !isExpected(result))
  if (unexpected.length === 0) return lines.join('\n')
  return `${lines.join('\n')}\n\nNot as expected (**!**):\n\n${strays(unexpected).join('\n')}`
}

/** By what is known of them; those of which nothing is, one by one. */
function strays(unexpected: readonly Result[]): string[] {
  const groups = new Map<string, string[]>()
  for (const result of unexpected) {
    const kind = `${result.peers.join('–')}, ${result.route}`
    const name = result.places.join(' ↔ ')
    const key = `${kind}: ${deviationOf(result)?.reason ?? `nobody knows why (${name})`}`
    groups.set(key, [...(groups.get(key) ?? []), name])
  }
  return [...groups].map(([key, names]) => `- ${key} (${names.length === 1 ? names[0] : `${names.length} cells`})`)
}

function details(kind: string, results: readonly Result[]): string {
  const rows = results.map(({ places, route, pairs, firstByte, direct, sent, natEntries }) => [
    places.join(' ↔ '),
    route,
    pairs.join(' / '),
    firstByte ?? '',
    direct ?? '',
    sent.join(' / '),
    natEntries.join(' / '),
  ])
  const head = [
    'places',
    'route',
    'pair at either end',
    'first byte, ms',
    'direct, ms',
    'datagrams sent',
    'NAT entries',
  ]
  return `<details><summary>${kind}</summary>\n\n${table(head, rows)}\n\n</details>`
}

function byPeers(results: readonly Result[]): Map<string, Result[]> {
  const kinds = new Map<string, Result[]>()
  for (const result of results) {
    const kind = result.peers.join('–')
    kinds.set(kind, [...(kinds.get(kind) ?? []), result])
  }
  return kinds
}

function pictureName(kind: string): string {
  return `nat-matrix-${kind.replace('–', '-')}.svg`
}

function keyOf({ places, peers }: Result): string {
  return [...peers, ...places].join(' ')
}

function orderOf({ places: [a, b], peers: [first, second] }: Result): number {
  const kinds = PEER_KINDS.indexOf(first) * PEER_KINDS.length + PEER_KINDS.indexOf(second)
  return (kinds * TYPE_NAMES.length + TYPE_NAMES.indexOf(a)) * TYPE_NAMES.length + TYPE_NAMES.indexOf(b)
}

function median(times: readonly number[]): number | string {
  return percentile(times, 0.5)
}

function percentile(times: readonly number[], share: number): number | string {
  const sorted = times.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? ''
}
