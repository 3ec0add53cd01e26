import { expect, test } from 'vitest'
import { drawPathFaults } from './draw-path-faults.ts'
import { explore } from './explore.ts'

/** `npm run sim -- --faults --seeds 20000` draws more of them. */
const SEEDS = { from: 1, count: 60 }

test('paths that break in turn while two peers talk: each break is over within its bound, without a restart', () => {
  const { failures } = explore({ ...SEEDS, draw: drawPathFaults })
  expect(failures.map(({ scenario, error }) => `seed ${scenario.seed}: ${error.message}`)).toEqual([])
}, 60_000)
