/** The matrix between two Node peers as it was before there was anything but ICE itself, beside what it is now. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MARKS } from './marks.ts'
import { type Result, TYPE_NAMES } from './matrix.ts'
import { table } from './table.ts'

/** What `npm run natlab -- matrix` recorded at commit adf55a8: no NAT64, no openers, no search for ports. */
const DATA = join(import.meta.dirname, '..', '..', 'docs', 'nat-matrix-before.json')

const INTRODUCTION = `The same cells, measured before there was anything beyond RFC 8445, and now that IPv4 is reached through a NAT64, poisoning
routers are opened and the ports of hard NATs are searched for. One mark: no difference. A search begins after three
seconds, so that data goes over the relay before; \`docs/hard-nat.md\` has how often it succeeds, and in what time.`

/** In Markdown. */
export function beforeAndAfter(results: readonly Result[]): string {
  const before = new Map(read().map((result) => [keyOf(result), result]))
  const pairs = results.flatMap((after) => {
    const known = before.get(keyOf(after))
    return known ? [{ before: known, after }] : []
  })
  const count = (which: 'before' | 'after') => pairs.filter((pair) => pair[which].route === 'direct').length
  const cell = (a: string, b: string) => {
    const pair = pairs.find(({ after: { places } }) => places[0] === a && places[1] === b)
    if (!pair) return ''
    const [was, is] = [MARKS[pair.before.route], MARKS[pair.after.route]]
    return was === is ? is : `**${was}→${is}**`
  }
  const rows = TYPE_NAMES.map((a) => [`**${a}**`, ...TYPE_NAMES.map((b) => cell(a, b))])
  return [
    INTRODUCTION,
    `Direct: ${count('before')} of ${pairs.length} cells before, ${count('after')} now.`,
    table(['', ...TYPE_NAMES], rows),
  ].join('\n\n')
}

function read(): Result[] {
  return JSON.parse(readFileSync(DATA, 'utf8'))
}

function keyOf({ places }: Result): string {
  return places.join(' ')
}
