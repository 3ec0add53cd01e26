import { expect, test } from 'vitest'
import { drawScenario } from './draw.ts'
import { explore } from './explore.ts'

/** Seeds that every run explores; `npm run sim` explores more. */
const SEEDS = { from: 1, count: 300 }
/** Scenarios per second below which something has become absurdly slow; a shared two-core machine does hundreds. */
const SLOWEST = 20

test(`${SEEDS.count} random scenarios: what must connect does, what cannot says so, and all invariants hold`, () => {
  const { failures, rate, verdicts } = explore({ ...SEEDS, draw: drawScenario })
  console.info(`sim: ${rate.toFixed(0)} scenarios/s, ${JSON.stringify(verdicts)}`)
  if (failures.length > 0) throw failures[0]!.error
  expect(rate).toBeGreaterThan(SLOWEST)
  for (const count of Object.values(verdicts)) expect(count).toBeGreaterThan(SEEDS.count / 20)
}, 600_000)
