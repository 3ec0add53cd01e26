/**
 * What must be there before anything runs: dependencies, the packages' JavaScript, the demo page. Makes what is missing or
 * out of date, and says so. Needs nothing but Node itself, since on a fresh clone there is nothing else.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const at = (...path) => join(root, ...path)

/** `demo: false`: without the page. */
export function prepare({ demo = true } = {}) {
  if (!isInstalled()) {
    step('Installing dependencies', 'npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
  }
  const workspaces = JSON.parse(readFileSync(at('package.json'), 'utf8')).workspaces.flatMap(expand)
  const libraries = workspaces.filter((workspace) => existsSync(at(workspace, 'tsconfig.build.json')))
  if (libraries.some((workspace) => isOlder(at(workspace, 'dist', '.tsbuildinfo'), sourcesOf(workspace)))) {
    step('Building the packages', process.execPath, [bin('typescript', 'tsc'), '-b', 'tsconfig.build.json'])
  }
  if (demo && isOlder(at('apps/demo/dist/index.html'), ['apps/demo', ...libraries].flatMap(sourcesOf))) {
    step('Building the demo page', process.execPath, [bin('vite', 'vite'), 'build', 'apps/demo', '--logLevel', 'warn'])
  }
}

/** Whether node_modules holds what the lock file names. By content: the times of files say little after a git pull. */
export function isInstalled() {
  if (!existsSync(at('node_modules/.package-lock.json'))) return false
  const wanted = JSON.parse(readFileSync(at('package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(at('node_modules/.package-lock.json'), 'utf8')).packages
  return Object.entries(wanted)
    .filter(([path, { optional, devOptional }]) => path.includes('node_modules/') && !optional && !devOptional)
    .every(([path, { version }]) => path in installed && installed[path].version === version)
}

/** A workspace of package.json: a folder, or a folder of folders when it ends in `/*`. */
function expand(pattern) {
  if (!pattern.endsWith('/*')) return [pattern]
  const folder = pattern.slice(0, -2)
  return readdirSync(at(folder)).map((name) => `${folder}/${name}`)
}

/** Files whose change asks for a new build. */
function sourcesOf(workspace) {
  const own = ['package.json', 'tsconfig.build.json', 'vite.config.ts', 'index.html', 'src', 'public']
  return [...own.map((name) => at(workspace, name)), at('tsconfig.base.json'), at('tsconfig.package.json')]
}

function isOlder(result, sources) {
  if (!existsSync(result)) return true
  const built = statSync(result).mtimeMs
  return sources.some((source) => existsSync(source) && newest(source) > built)
}

/** A folder's own time counts as well: it tells of files that are gone. */
function newest(path) {
  const status = statSync(path)
  if (!status.isDirectory()) return status.mtimeMs
  return Math.max(status.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

function bin(packageName, name) {
  const manifest = JSON.parse(readFileSync(at('node_modules', packageName, 'package.json'), 'utf8'))
  return at('node_modules', packageName, typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[name])
}

function step(what, command, args) {
  console.error(`${what} …`)
  const shell = command === 'npm' && process.platform === 'win32' // npm is a script there
  try {
    execFileSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell })
  } catch (error) {
    const code = error.code ? ` (${error.code})` : ''
    console.error(`${what} failed${code}: what went wrong is above. Put it right and run the same command again.`)
    process.exit(1)
  }
}
