import { SEARCH } from '@floe/ice'
import type { Scenario } from '../topology/scenario.ts'
import { Violation } from './invariants.ts'
import type { Verdict } from './reachability.ts'
import { type Judged, type JudgeOptions, judge } from './runner.ts'
import { Trace } from './trace.ts'

export interface Failure {
  readonly scenario: Scenario
  /** Name of what did not hold; `throws` for anything else. */
  readonly invariant: string
  readonly error: Error
}

/** Why the scenario fails; `undefined` when all holds. Nothing is traced unless a trace is given. */
export function failureOf(scenario: Scenario, options: JudgeOptions = {}): Failure | undefined {
  const result = resultOf(scenario, options)
  return 'error' in result ? result : undefined
}

/** What has become of the scenario, or what did not hold. Nothing is traced unless a trace is given. */
export function resultOf(scenario: Scenario, options: JudgeOptions = {}): Judged | Failure {
  try {
    return judge(scenario, { trace: new Trace(false), ...options })
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { scenario, invariant: error instanceof Violation ? error.invariant : 'throws', error }
  }
}

export interface Exploration {
  readonly from: number
  readonly count: number
  readonly draw: (seed: number) => Scenario
  /** Called with each failure; `true` ends the search. Default: go on. */
  readonly onfailure?: (failure: Failure) => boolean
  readonly prepare?: JudgeOptions['prepare']
  /** Called after each seed with how many there have been. */
  readonly onseed?: (done: number) => void
}

export interface Explored {
  readonly failures: readonly Failure[]
  readonly count: number
  /** What was expected of those that did not fail. */
  readonly verdicts: Readonly<Record<Verdict, number>>
  /** Scenarios in which one opened many sockets to search for the other. */
  readonly searches: number
  /** Scenarios per second of real time. */
  readonly rate: number
  /** Scenarios per second of this process's CPU time, with what its compiler and garbage collector do beside it. */
  readonly cpuRate: number
  /** Share of the real time that the slowest tenth took, 0 to 1. */
  readonly slowestTenth: number
}

/** Judges one scenario per seed. */
export function explore({ from, count, draw, onfailure, onseed, prepare }: Exploration): Explored {
  const failures: Failure[] = []
  const start = performance.now()
  const cpu = process.cpuUsage()
  const times: number[] = []
  const verdicts = { must: 0, cannot: 0, perhaps: 0 }
  let searches = 0
  let done = 0
  while (done < count) {
    const result = resultOf(draw(from + done), { ...(prepare && { prepare }) })
    done++
    times.push(performance.now())
    onseed?.(done)
    if (!('error' in result)) {
      verdicts[result.expected]++
      if (Math.max(...result.sockets) > SEARCH.samples) searches++
    } else {
      failures.push(result)
      if (onfailure?.(result)) break
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  const rates = { rate: (1_000 * done) / (performance.now() - start), cpuRate: (1_000_000 * done) / (user + system) }
  return { failures, count: done, verdicts, searches, ...rates, slowestTenth: slowestTenth(start, times) }
}

/** `times`: when each scenario was over. */
function slowestTenth(start: number, times: readonly number[]): number {
  const durations = times.map((time, i) => time - (times[i - 1] ?? start)).sort((a, b) => b - a)
  const sum = (some: readonly number[]) => some.reduce((total, one) => total + one, 0)
  return sum(durations.slice(0, Math.ceil(durations.length / 10))) / sum(durations)
}
