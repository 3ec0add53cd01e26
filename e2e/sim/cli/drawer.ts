import type { Scenario } from '../../topology/scenario.ts'
import { drawScenario } from '../draw.ts'
import { drawPathFaults } from '../draw-path-faults.ts'

/** What kind of scenarios is wanted. */
export interface Draws {
  readonly plain: boolean
  readonly faults: boolean
}

/** How scenarios are drawn, and the flag that says so. */
export function drawerOf({ plain, faults }: Draws): {
  readonly draw: (seed: number) => Scenario
  readonly flag: string
} {
  if (faults) return { draw: drawPathFaults, flag: ' --faults' }
  return { draw: (seed) => drawScenario(seed, plain), flag: plain ? ' --plain' : '' }
}
