/** One run of each kind of search, with a real NAT in between. `npm run natlab -- hard-nat` counts them. */
import { describe, expect, test } from 'vitest'
import { runCell } from './cell.ts'
import { sideBySide } from './decisions.ts'
import { CERTAIN, titleOf } from './hard-nat.ts'
import { whyNot } from './namespaces.ts'

const reason = whyNot()

describe.skipIf(reason)(`hard NATs${reason ? ` (left out: ${reason})` : ''}`, () => {
  // Again: on a busy machine a browser may have given up its pairs (15 s) before the sweep has come by.
  for (const trial of CERTAIN)
    test(titleOf(trial), { timeout: 60_000, retry: 1 }, async () => {
      const { route, ends } = await runCell(trial, { connect: 20_000, upgrade: 25_000 })
      expect(route, sideBySide(ends[0].decisions, ends[1].decisions)).toBe('direct')
    })
})
