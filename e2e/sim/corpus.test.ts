import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readCorpus } from './corpus.ts'
import { failureOf } from './explore.ts'

const CORPUS = readCorpus(join(import.meta.dirname, 'corpus'))

test.each([...CORPUS])('%s', (name, { why, scenario }) => {
  const failure = failureOf(scenario)
  if (failure) {
    failure.error.message = `${why}\n${failure.error.message}\nnpm run sim -- --replay e2e/sim/corpus/${name} --trace`
    throw failure.error
  }
})

test('there is a corpus', () => expect(CORPUS.size).toBeGreaterThan(0))
