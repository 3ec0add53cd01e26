import { expect, test } from 'vitest'
import { drawScenario } from './draw.ts'
import { explore } from './explore.ts'
import { PLANTED_FAULTS } from './planted.ts'

/** Seeds within which the search must find any of them. */
const SEEDS = 2_000

test.each(PLANTED_FAULTS)('the search finds that $name', ({ plant, prepare }) => {
  const undo = plant?.()
  try {
    const { failures, count } = explore({
      from: 1,
      count: SEEDS,
      draw: drawScenario,
      onfailure: () => true,
      ...(prepare && { prepare }),
    })
    expect(failures).not.toEqual([])
    console.info(`sim: found with seed ${count}: ${failures[0]!.error.message}`)
  } finally {
    undo?.()
  }
})
