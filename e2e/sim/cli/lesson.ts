import { keepScenario } from '../corpus.ts'
import type { Failure } from '../explore.ts'
import { shrink } from '../shrink.ts'
import type { Surroundings } from './surroundings.ts'

/** What to make of a failure. */
export interface Lessons {
  /** Make it small, and print it. */
  readonly shrink: boolean
  /** Keep the small one in the corpus. */
  readonly keep: boolean
}

export function learn(failure: Failure, lessons: Lessons, { corpus, print }: Surroundings): void {
  if (!lessons.shrink && !lessons.keep) return
  const small = shrink(failure)
  print(`smallest that fails so: ${JSON.stringify(small.scenario)}\n  ${headOf(small)}`)
  if (!lessons.keep) return
  const name = `${small.invariant.replace(/\W+/g, '-')}-seed-${small.scenario.seed}`
  const { path, known } = keepScenario(corpus, name, { why: headOf(small), scenario: small.scenario })
  if (known) return print(`${path} is there already`)
  print(`kept: ${path}. Give it a name, say in its "why" what must hold, and run: npm run format`)
}

/** What did not hold, in one line. */
export function headOf({ error }: Failure): string {
  return error.message.split('\n', 1)[0]!
}
