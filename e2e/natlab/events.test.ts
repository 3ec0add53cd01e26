/** The quick ones of the events. `npm run natlab -- events` runs all of them. */
import { describe, expect, test } from 'vitest'
import { sideBySide } from './decisions.ts'
import { EVENTS } from './events.ts'
import { describeSurvival, isAsExpected } from './events-report.ts'
import { lanes } from './lanes.ts'
import { whyNot } from './namespaces.ts'
import { survive } from './survival.ts'

const reason = whyNot()

/** Those that are over in a few seconds when all is well; of two that differ in the relay alone, the one without. */
const QUICK = EVENTS.filter(({ faults, idle = 0, transfer, relay = false, expected, simulatorOnly }) => {
  const lasting = Math.max(0, ...faults.map((fault) => ('for' in fault && fault.for) || 0))
  if (simulatorOnly || expected.restart || (transfer && relay)) return false
  return idle === 0 && lasting <= 5_000 && (expected.moved ?? 0) <= 20_000
})

/** Each waits for most of its time, and the time that it waits for data counts: not all at once. */
const inTurn = lanes(3)

describe.skipIf(reason).concurrent(`a connection survives${reason ? ` (left out: ${reason})` : ''}`, () => {
  test.each(QUICK)('$name', async (event) => {
    const survival = await inTurn(() => survive(event))
    expect(isAsExpected(survival), `${describeSurvival(survival)}\n${sideBySide(...survival.decisions)}`).toBe(true)
  })
})
