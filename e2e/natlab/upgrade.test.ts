/** Browsers as controlled ends follow our renomination: what docs/renomination.md tells of. */
import { beforeAll, describe, expect, test } from 'vitest'
import { sideBySide } from './decisions.ts'
import type { Peers } from './matrix.ts'
import { whyNot } from './namespaces.ts'
import { type Upgrade, upgrade } from './upgrade.ts'

const reason = whyNot()

const PAIRINGS: readonly Peers[] = [
  ['node', 'chromium'],
  ['node', 'firefox'],
]

describe.skipIf(reason)(`F57 from a relay to the direct path${reason ? ` (left out: ${reason})` : ''}`, () => {
  const upgrades = new Map<Peers, Upgrade>()

  beforeAll(async () => {
    await Promise.all(PAIRINGS.map(async (peers) => upgrades.set(peers, await upgrade({ peers, watch: 0 }))))
  })

  test.each(PAIRINGS)('%s → %s: the browser follows our nomination, and so does its data', (...peers) => {
    const { before, toA, toB, moves, decisions } = upgrades.get(PAIRINGS.find(([, b]) => b === peers[1])!)!
    const told = sideBySide(...decisions)
    expect(before.join(), told).toContain('relay')
    // 150 messages each way, and the checks of all pairs.
    for (const { direct, relayed } of [toA, toB]) {
      expect(direct, told).toBeGreaterThan(100)
      expect(relayed, told).toBeLessThan(30)
    }
    expect(moves[0], told).toBe(1)
  })
})
