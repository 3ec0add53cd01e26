import { type Explored, explore, type Failure } from '../explore.ts'
import { type Draws, drawerOf } from './drawer.ts'
import { headOf, type Lessons, learn } from './lesson.ts'
import type { Surroundings } from './surroundings.ts'

export interface Search extends Lessons, Draws {
  readonly from: number
  readonly count: number
}

/** Milliseconds between two words about how far it is. */
const PROGRESS = 10_000
/** Failures after which more have nothing to teach. */
const ENOUGH = 50

/** Judges one scenario per seed, tells of each failure at once and of all in the end. True when there was none. */
export function exploreSeeds(search: Search, surroundings: Surroundings): boolean {
  const { from, count } = search
  const { draw, flag } = drawerOf(search)
  const seeds = new Map<string, number[]>()
  let failures = 0
  const explored = explore({
    from,
    count,
    draw,
    onseed: progress(count, surroundings),
    onfailure: (failure) => {
      const { invariant, scenario } = failure
      surroundings.print(`FAILED seed ${scenario.seed}: ${headOf(failure)}\n  ${replayCommand(failure, flag)}`)
      const alike = seeds.get(invariant) ?? []
      seeds.set(invariant, [...alike, scenario.seed])
      // One of each kind is enough to begin with, and to make it small takes its time.
      if (alike.length === 0) learn(failure, search, surroundings)
      return ++failures >= ENOUGH
    },
  })
  surroundings.print(summary(search, explored, seeds))
  return explored.failures.length === 0
}

function progress(count: number, { complain }: Surroundings): (done: number) => void {
  const start = performance.now()
  let said = start
  return (done) => {
    const now = performance.now()
    if (now - said < PROGRESS) return
    said = now
    complain(`${done} of ${count}, ${((1_000 * done) / (now - start)).toFixed(0)} scenarios/s`)
  }
}

function replayCommand({ scenario }: Failure, flag: string): string {
  return `npm run sim -- --seed ${scenario.seed}${flag} --trace`
}

function summary(
  { from }: Search,
  { failures, count, verdicts, searches, rate, cpuRate, slowestTenth }: Explored,
  seeds: ReadonlyMap<string, readonly number[]>,
): string {
  const { must, cannot, perhaps } = verdicts
  return [
    `seeds ${from} to ${from + count - 1}: ${failures.length} failed, ${rate.toFixed(0)} scenarios/s`,
    `${cpuRate.toFixed(0)} per second of CPU time; the slowest tenth took ${(100 * slowestTenth).toFixed(0)} % of the time`,
    `${must} pairs had to meet, ${cannot} could not, ${perhaps} might; ${searches} searched`,
    ...[...seeds].map(([invariant, some]) => `${invariant} (${some.length}): seeds ${some.join(' ')}`),
  ].join('\n')
}
