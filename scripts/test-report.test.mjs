import { expect, test } from 'vitest'
import { parseSelection, secondsOf, summarize } from './test-report.mjs'

test('no arguments select everything', () => {
  expect(parseSelection([])).toEqual({ partial: false, vitestArguments: [] })
})

test('a project name, a path and --only select; what starts with a dash is vitest’s', () => {
  expect(parseSelection(['sim']).vitestArguments).toEqual(['--project', 'sim'])
  expect(parseSelection(['--only', 'e2e/browser', '-t', 'unit']).vitestArguments).toEqual(['e2e/browser', '-t', 'unit'])
  expect(parseSelection(['-t', 'reload'])).toEqual({ partial: true, vitestArguments: ['-t', 'reload'] })
})

test('a file that cannot be loaded counts as a failure, and so does a missing report', () => {
  const file = (status, ...tests) => ({ status, assertionResults: tests.map((each) => ({ status: each })) })
  const totals = { numPassedTests: 1, numFailedTests: 1, numPendingTests: 2, numTodoTests: 0 }
  const testResults = [file('passed', 'passed'), file('failed', 'failed'), file('failed')]
  expect(summarize(JSON.stringify({ ...totals, testResults }))).toEqual({ passed: 1, failed: 2, skipped: 2 })
  expect(summarize(undefined)).toEqual({ passed: 0, failed: 1, skipped: 0 })
})

test('a folder takes from its first file’s begin to its last one’s end; the others do not count', () => {
  const file = (name, startTime, endTime) => ({ name: `/floe/${name}`, startTime, endTime })
  const testResults = [
    file('e2e/natlab/a.test.ts', 2_000, 3_000),
    file('e2e/natlab/b.test.ts', 2_500, 9_000),
    file('e2e/sim/a.test.ts', 0, 20_000),
  ]
  const json = JSON.stringify({ testResults })
  expect(secondsOf(json, 'e2e/natlab')).toBe(7)
  expect(secondsOf(json, 'e2e/browser')).toBeUndefined()
  expect(secondsOf(undefined, 'e2e/natlab')).toBeUndefined()
})
