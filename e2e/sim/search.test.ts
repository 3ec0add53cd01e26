import { expect, test } from 'vitest'
import { drawScenario } from './draw.ts'
import { explore } from './explore.ts'

/** Seeds that every run explores; `npm run sim` explores more. */
const SEEDS = { from: 1, count: 300 }
/** Scenarios per second of CPU time below which something has become absurdly slow. Others may have the machine meanwhile. */
const SLOWEST = 20

test(`${SEEDS.count} random scenarios: what must connect does, what cannot says so, and all invariants hold`, () => {
  const before = process.cpuUsage()
  const { failures, verdicts, searches } = explore({ ...SEEDS, draw: drawScenario })
  const { user } = process.cpuUsage(before)
  const rate = SEEDS.count / (user / 1e6)
  console.info(
    `sim: ${rate.toFixed(0)} scenarios per second of CPU time, ${JSON.stringify(verdicts)}, ${searches} searches`,
  )
  if (failures.length > 0) throw failures[0]!.error
  // So that their bounds are asserted of something.
  expect(searches).toBeGreaterThan(SEEDS.count / 100)
  expect(rate).toBeGreaterThan(SLOWEST)
  for (const count of Object.values(verdicts)) expect(count).toBeGreaterThan(SEEDS.count / 20)
}, 600_000)
