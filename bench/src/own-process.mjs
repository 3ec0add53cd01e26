import { spawnSync } from 'node:child_process'

/**
 * Runs a benchmark's own file again in a new process, for one competitor: what one leaves behind in the heap or in the
 * compiler's memory is not the next one's result. The process prints its result as JSON.
 */
export function inOwnProcess(file, competitor, options = []) {
  const { status, stdout } = spawnSync(process.execPath, [...options, file, competitor], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the process of ${competitor} ended with ${status}`)
  return JSON.parse(stdout)
}
