import { readFileSync } from 'node:fs'
import type { Scenario } from '../../topology/scenario.ts'
import type { CorpusEntry } from '../corpus.ts'
import { resultOf } from '../explore.ts'
import { Trace } from '../trace.ts'
import { headOf, type Lessons, learn } from './lesson.ts'
import { UsageError } from './options.ts'
import type { Surroundings } from './surroundings.ts'

/** Steps of the trace that a failure shows without being asked for all of them. */
const LAST_STEPS = 40

/** Judges one scenario and tells all about it. True when all holds. */
export function playOne(
  scenario: Scenario,
  options: Lessons & { readonly trace: boolean },
  surroundings: Surroundings,
): boolean {
  const { print } = surroundings
  const trace = new Trace()
  const result = resultOf(scenario, { trace })
  print(JSON.stringify(scenario))
  const failed = 'error' in result
  if (options.trace || failed) print(trace.format(options.trace ? undefined : LAST_STEPS))
  if (failed) {
    print(`FAILED ${result.invariant === 'throws' ? result.error.stack : headOf(result)}`)
    learn(result, options, surroundings)
    return false
  }
  const { expected, connectedAfter, a, b, states, sent } = result
  const time =
    connectedAfter === Number.POSITIVE_INFINITY ? 'not connected' : `connected after ${connectedAfter.toFixed(0)} ms`
  print(`held: ${time} (${WHO[expected]}); a ${states[0]} ${a}, b ${states[1]} ${b}; ${sent[0] + sent[1]} packets`)
  return true
}

const WHO = { must: 'they must meet', cannot: 'they cannot meet', perhaps: 'they may meet' } as const

/** An entry of a corpus, or a bare scenario, as `--seed` and `--shrink` print it. Throws `UsageError`. */
export function readScenario(file: string): Scenario {
  const content = read(file)
  const scenario = 'scenario' in content ? content.scenario : content
  for (const field of ['seed', 'a', 'b', 'limit'] as const) {
    if (scenario[field] === undefined) throw new UsageError(`${file} is no scenario: it has no '${field}'`)
  }
  return scenario
}

function read(file: string): CorpusEntry | Scenario {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`${file} cannot be read as JSON: ${(error as Error).message}`)
  }
}
