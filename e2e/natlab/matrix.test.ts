/** A spread of the matrix. `npm run natlab -- matrix` runs all of it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { NatTypeName } from '../topology/nat-types.ts'
import type { Cell } from './cell.ts'
import { sideBySide } from './decisions.ts'
import { lanes } from './lanes.ts'
import { judgeCell, type Peers, TYPE_NAMES, titleOf } from './matrix.ts'
import { whyNot } from './namespaces.ts'

const reason = whyNot()
const leftOut = reason ? ` (left out: ${reason})` : ''

type Places = readonly [NatTypeName, NatTypeName]

/** Every place with itself, and with one of each difficulty, by turns as the offering and the answering side. */
const BETWEEN_NODES: readonly Places[] = TYPE_NAMES.flatMap((name, i): Places[] => {
  const others: readonly NatTypeName[] = ['public', 'eim-adf', 'eim-apdf', 'apdm-random']
  const pairs = others.map((other, k): Places => ((i + k) % 2 === 0 ? [name, other] : [other, name]))
  return [[name, name], ...pairs.filter(([a, b]) => a !== b)]
})

/** One cell of each outcome for each kind of browser and each role, and what is special to browsers: names by mDNS. */
const WITH_BROWSERS: readonly { readonly peers: Peers; readonly cells: readonly Places[] }[] = [
  {
    peers: ['node', 'chromium'],
    cells: [
      ['eim-apdf', 'eim-apdf'],
      ['apdm-random', 'eim-apdf'],
      ['same-lan', 'same-lan'],
      ['v6-firewall', 'v6-firewall'],
    ],
  },
  {
    peers: ['chromium', 'node'],
    cells: [
      ['eim-apdf', 'apdm-block'],
      ['cgnat-hairpin', 'cgnat-hairpin'],
      ['no-udp', 'public'],
      ['only-443', 'cgnat'],
    ],
  },
  {
    peers: ['node', 'firefox'],
    cells: [
      ['eim-apdf', 'eim-apdf'],
      ['public', 'apdm-random'],
      ['same-lan', 'same-lan'],
      ['only-443', 'only-443'],
    ],
  },
]

describe.skipIf(reason).concurrent(`two Node peers${leftOut}`, () => {
  test.each(BETWEEN_NODES)('%s with %s', (...places) => holds({ places, peers: ['node', 'node'], relay: true }))

  test('a cell with captures: what every host, router and the servers saw', async () => {
    const captures = mkdtempSync(join(tmpdir(), 'floe-captures-'))
    try {
      await holds({ places: ['eim-adf', 'apdm-block'], peers: ['node', 'node'], relay: true }, captures)
      const names = ['a-eth0-router', 'a', 'b-eth0-router', 'b', 'servers']
      expect(readdirSync(captures).sort()).toEqual(names.map((name) => `${name}.pcap`))
      for (const name of names) expect(datagramsIn(join(captures, `${name}.pcap`)), name).toBeGreaterThan(10)
    } finally {
      rmSync(captures, { recursive: true })
    }
  })
})

/** A browser takes a core to itself while it starts. */
const withBrowsers = lanes(2)

describe.skipIf(reason).concurrent.each(WITH_BROWSERS)(`$peers${leftOut}`, ({ peers, cells }) => {
  test.each(cells)('%s with %s', (...places) => withBrowsers(() => holds({ places, peers, relay: true })))
})

async function holds(cell: Cell, captures?: string): Promise<void> {
  const { outcome, failure } = await judgeCell(cell, { ...(captures !== undefined && { captures }) })
  if (!failure) return
  const [a, b] = outcome.ends
  expect.unreachable(`${failure}\n${titleOf(cell)}\n${sideBySide(a.decisions, b.decisions)}`)
}

/** As tcpdump reads them. */
function datagramsIn(capture: string): number {
  const { stdout } = spawnSync('tcpdump', ['-r', capture, '-n', 'udp'], { encoding: 'utf8' })
  return stdout.split('\n').filter((line) => line.includes('UDP')).length
}
