/**
 * `npm test`: everything that must hold before a change lands. Uses nothing but Node, so it runs in a fresh clone.
 *
 *   npm test                      dependencies, packages, types, lint, build, all tests
 *   npm test -- sim               one vitest project (unit, sim, browser, interop, natlab)
 *   npm test -- e2e/browser -t x  one path; what starts with a dash and all after it goes to vitest
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isInstalled } from './prepare.mjs'
import { inNamespace, makeNamespace, processesIn, removeNamespace } from './test-namespace.mjs'
import { parseSelection, secondsOf, summarize } from './test-report.mjs'

const root = join(import.meta.dirname, '..')
const report = join(root, 'test-results', 'vitest.json')
/** A run that hangs must say so itself, well before a CI machine ends it without a word. */
const DEADLINE_MS = 25 * 60_000
/** How long a browser that was told to close may take to be gone. */
const GRACE_MS = 3_000
/** Of real time, on an otherwise idle two-core machine. */
const NATLAB_BUDGET_SECONDS = 240

const started = Date.now()
const failures = []
let running
let namespace

process.chdir(root)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(signal))
setTimeout(() => end(`deadline of ${DEADLINE_MS / 60_000} minutes`), DEADLINE_MS).unref()
process.on('exit', cleanUp)

try {
  await main(parseSelection(process.argv.slice(2)))
} catch (error) {
  end(error.stack)
}

async function main({ partial, vitestArguments }) {
  if (!isInstalled()) await step('dependencies', ['npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error'])
  if (failures.length > 0) return finish({ passed: 0, failed: 0, skipped: 0 })
  if (!partial) {
    await step('system packages', ['bash', 'scripts/system-packages.sh'])
    await step('check', ['npm', 'run', '--silent', 'check'])
  }
  await step('build', ['npx', 'tsc', '-b', 'tsconfig.build.json'])
  const demo = existsSync('apps/demo/vite.config.ts')
  if (demo && !partial)
    await step('build demo', [
      'npx',
      'vite',
      'build',
      'apps/demo',
      '--config',
      'apps/demo/vite.config.ts',
      '--logLevel',
      'warn',
    ])
  finish(await vitest(vitestArguments))
}

async function vitest(vitestArguments) {
  mkdirSync(join(root, 'test-results'), { recursive: true })
  rmSync(report, { force: true })
  const command = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json']
  command.push(`--outputFile.json=${report}`, ...vitestArguments)
  namespace = makeNamespace()
  if (namespace) {
    await step('tests', inNamespace(namespace, command), { FLOE_TEST_NETNS: '1' })
    await nothingLeftBehind()
  } else {
    say(
      "no private network namespace (that takes root on Linux): tests run on this host's loopback; left out are those that need multicast (mDNS between a browser and Node)",
    )
    await step('tests', command)
  }
  const json = existsSync(report) ? readFileSync(report, 'utf8') : undefined
  const natlab = secondsOf(json, 'e2e/natlab')
  if (natlab !== undefined)
    say(`kernel lab: ${natlab.toFixed(0)} s of the ${NATLAB_BUDGET_SECONDS} s that its spread may take`)
  return summarize(json)
}

/** A browser or server that outlives its test would be some other test's trouble: it is a failure of this run. */
async function nothingLeftBehind() {
  const patience = Date.now() + GRACE_MS
  while (processesIn(namespace).length > 0 && Date.now() < patience) await new Promise((wake) => setTimeout(wake, 100))
  for (const left of processesIn(namespace)) fail(`left running after the tests: ${left}`)
}

/** Runs a command to its end; a failing one is remembered, and the run goes on to find what else fails. */
async function step(name, [command, ...args], environment = {}) {
  const from = Date.now()
  // A process group of its own, so that ending the run ends the whole tree.
  running = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
    env: { ...process.env, ...environment },
  })
  const code = await new Promise((resolve) => {
    running.on('error', (error) => resolve(error.message))
    running.on('exit', (exitCode, signal) => resolve(exitCode ?? signal))
  })
  running = undefined
  if (code !== 0) fail(`${name} (${code})`)
  say(`${name}: ${code === 0 ? 'ok' : 'FAILED'}, ${((Date.now() - from) / 1000).toFixed(1)} s`)
}

function finish({ passed, failed, skipped }) {
  // Vitest's own failing exit code stands for the failed tests that are counted already.
  const others = failures.filter((failure) => !(failed > 0 && failure.startsWith('tests (')))
  for (const failure of others) say(`FAILED: ${failure}`)
  const failedInAll = failed + others.length
  if (passed === 0 && failedInAll === 0) say('FAILED: no test ran')
  cleanUp()
  say(`${((Date.now() - started) / 1000).toFixed(0)} s in all`)
  console.log(`${passed} passed, ${failedInAll} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exit(failedInAll > 0 || passed === 0 ? 1 : 0)
}

function end(reason) {
  fail(`the run ended by ${reason}`)
  finish({ passed: 0, failed: 0, skipped: 0 })
}

function cleanUp() {
  if (running?.pid) {
    try {
      process.kill(-running.pid, 'SIGKILL')
    } catch {} // Gone already.
  }
  if (namespace) removeNamespace(namespace)
  running = namespace = undefined
}

function fail(reason) {
  failures.push(reason)
}

function say(line) {
  console.log(`npm test: ${line}`)
}
