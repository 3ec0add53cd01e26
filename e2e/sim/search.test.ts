import { expect, test } from 'vitest'
import { drawScenario } from './draw.ts'
import type { Verdict } from './reachability.ts'
import { runScenario } from './scenario.ts'

/** FLOE_SIM_RUNS=100000 searches longer; FLOE_SIM_SEED=42 replays one seed. */
const RUNS = Number(process.env.FLOE_SIM_RUNS ?? 300)
const FIRST = Number(process.env.FLOE_SIM_SEED ?? 1)
const COUNT = process.env.FLOE_SIM_SEED === undefined ? RUNS : 1
/** Scenarios per second below which something has become absurdly slow; a shared two-core machine does hundreds. */
const SLOWEST = 20

test(`${COUNT} random scenarios: what must connect does, what cannot says so, and all invariants hold`, () => {
  const verdicts = { must: 0, cannot: 0, perhaps: 0 }
  const failures = new Map<number, unknown>()
  const start = performance.now()
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const { scenario, expected } = drawScenario(seed)
    verdicts[expected]++
    try {
      check(scenario, expected)
    } catch (error) {
      failures.set(seed, error)
    }
  }
  const rate = COUNT / ((performance.now() - start) / 1000)
  console.info(`sim: ${rate.toFixed(0)} scenarios/s, ${JSON.stringify(verdicts)}`)
  for (const [seed, error] of failures) throw explain(error, seed, [...failures.keys()])
  if (COUNT < 300) return
  expect(rate).toBeGreaterThan(SLOWEST)
  for (const count of Object.values(verdicts)) expect(count).toBeGreaterThan(COUNT / 20)
}, 600_000)

function check(scenario: Parameters<typeof runScenario>[0], expected: Verdict) {
  const { connectedAfter, a, b, states } = runScenario(scenario)
  if (expected === 'must') expect(connectedAfter).toBeLessThan(scenario.limit)
  if (expected === 'cannot') expect({ a, b, states }).toEqual({ a: 'none', b: 'none', states: ['failed', 'failed'] })
  const neighbours = scenario.a === scenario.b
  if (neighbours) expect([a, b]).toEqual(['host-host', 'host-host'])
}

/** The first failure, how to replay it, and how many others there are. */
function explain(error: unknown, seed: number, failed: readonly number[]): unknown {
  if (!(error instanceof Error)) return error
  const { scenario, expected } = drawScenario(seed)
  const replay = `FLOE_SIM_SEED=${seed} npx vitest run --project sim e2e/sim/search.test.ts`
  const facts = `${expected}: ${JSON.stringify(scenario)}`
  error.message = `${failed.length} of ${COUNT} failed, seeds ${failed.slice(0, 20).join(', ')}\n${replay}\n${facts}\n${error.message}`
  return error
}
