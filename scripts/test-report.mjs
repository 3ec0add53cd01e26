/** The pure parts of `npm test`: what its arguments select, and what a vitest report adds up to. */

const PROJECTS = ['unit', 'sim', 'browser', 'interop', 'natlab']

/**
 * @param {string[]} args project names and paths, each may follow `--only`; from the first other dash on, vitest's own
 * @returns {{ partial: boolean, vitestArguments: string[] }}
 */
export function parseSelection(args) {
  const vitestArguments = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]
    if (arg === '--only') continue
    if (arg.startsWith('-')) {
      vitestArguments.push(...args.slice(i))
      break
    }
    vitestArguments.push(...(PROJECTS.includes(arg) ? ['--project', arg] : [arg]))
  }
  return { partial: vitestArguments.length > 0, vitestArguments }
}

/**
 * How long the files of a folder took from the first one's begin to the last one's end, in seconds; `undefined` when none ran.
 * @param {string | undefined} json
 * @param {string} folder as in `e2e/natlab`
 */
export function secondsOf(json, folder) {
  if (json === undefined) return undefined
  const files = JSON.parse(json).testResults.filter(({ name }) => name.includes(`/${folder}/`))
  if (files.length === 0) return undefined
  const [from, to] = [files.map(({ startTime }) => startTime), files.map(({ endTime }) => endTime)]
  return (Math.max(...to) - Math.min(...from)) / 1000
}

/**
 * Totals of vitest's JSON report. A file that could not even be loaded has no tests in it, and counts as one failure;
 * so does a report that is missing because the run died.
 * @param {string | undefined} json
 */
export function summarize(json) {
  if (json === undefined) return { passed: 0, failed: 1, skipped: 0 }
  const report = JSON.parse(json)
  const unloadable = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloadable.length,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}
