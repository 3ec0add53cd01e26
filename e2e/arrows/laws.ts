/** What may know what. Each law names its reason, so that a failing one explains itself. */
import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import type { Repository, SourceFile } from './source.ts'

export interface Law {
  readonly name: string
  readonly reason: string
  check(repository: Repository): Violation[]
}

export interface Violation {
  /** The file that breaks the law. */
  readonly path: string
  readonly detail: string
}

/** Who may import whom, by workspace folder. What is not listed (e2e, bench) stands above everything. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  'packages/stun': [],
  'packages/turn': ['packages/stun'],
  'packages/ice': ['packages/stun', 'packages/turn'],
  'packages/nat': ['packages/stun'],
  'packages/webrtc': ['packages/stun', 'packages/ice', 'packages/nat'],
  signaling: ['packages/stun', 'packages/webrtc'],
  'apps/exchange': ['packages/webrtc'],
  'apps/demo': ['packages/webrtc', 'signaling', 'apps/exchange'],
  'apps/cli': ['packages/stun', 'packages/ice', 'packages/nat', 'packages/webrtc', 'signaling', 'apps/exchange'],
}

export const LAWS: readonly Law[] = [
  {
    name: 'node: only under node/',
    reason:
      'the core runs in virtual time and in browsers; sockets, clocks and files come in through the driver in node/',
    check: each(
      (file) => portable(file),
      (file) =>
        file.imports.filter(({ specifier }) => isBuiltin(specifier)).map(({ specifier }) => `imports ${specifier}`),
    ),
  },
  {
    name: 'the core does not know its driver',
    reason: 'node/ drives the core; an import the other way would drag sockets into simulation and browser',
    check: each(isCore, (file) =>
      file.imports.filter(({ path }) => path?.includes('/node/')).map(({ specifier }) => `imports ${specifier}`),
    ),
  },
  {
    name: 'time and randomness are injected',
    reason: 'a run of the simulator must replay from its seed alone',
    check: each(isCore, (file) => [...file.globals].map((name) => `uses ${name}`)),
  },
  {
    name: 'imports are declared',
    reason: 'what works only because npm hoists it breaks for whoever installs the package alone',
    check: ({ files, manifests }) =>
      files.flatMap((file) => {
        const declared = declaredFor(file, manifests)
        return file.imports
          .filter(({ specifier }) => !/^[.#]/.test(specifier) && !isBuiltin(specifier) && !/^virtual:/.test(specifier))
          .filter(({ specifier }) => !declared.has(packageName(specifier)))
          .map(({ specifier }) => ({
            path: file.path,
            detail: `imports ${specifier}, which its package.json does not declare`,
          }))
      }),
  },
  {
    name: 'arrows between workspaces',
    reason:
      'stun ← turn ← ice, stun ← nat, ice and nat ← webrtc, and applications on top: a lower room never knows a higher one',
    check: (repository) =>
      repository.files.flatMap((file) => {
        const allowed = ARROWS[file.workspace]
        return allowed === undefined
          ? []
          : crossings(file, repository)
              .filter(({ to }) => !allowed.includes(to))
              .map(({ to, specifier }) => ({
                path: file.path,
                detail: `imports ${specifier}: ${file.workspace} may not know ${to}`,
              }))
      }),
  },
  {
    name: 'workspaces meet at their front doors',
    reason: 'a relative import into another workspace goes around its exports, so nothing inside can change safely',
    check: each(
      () => true,
      (file, { manifests }) =>
        file.imports
          .filter(({ path }) => path !== undefined && workspaceOf(path, manifests) !== file.workspace)
          .filter(({ path }) => workspaceOf(path!, manifests) !== '')
          .map(({ specifier }) => `imports ${specifier}`),
    ),
  },
  {
    name: 'no cycles',
    reason: 'files that import each other can only be understood, loaded and tested as one; types count too',
    check: ({ files }) => cycles(files).map((cycle) => ({ path: cycle[0]!, detail: [...cycle, cycle[0]].join(' → ') })),
  },
  {
    name: 'no drawers',
    reason: 'utils, common and helpers say nothing about what is inside, so everything ends up in there',
    check: each(
      (file) => /(^|\/)(utils?|common|helpers?|misc)(\/|\.[a-z.]+$)/i.test(file.path),
      () => ['is named like a drawer'],
    ),
  },
  {
    name: 'files of at most 400 lines',
    reason: 'a file should be read in one sitting; what outgrows it has a second subject in it',
    check: each(
      (file) => /^(packages|apps|signaling)\b.*\/src\//.test(file.path) && file.lines > 400,
      (file) => [`has ${file.lines} lines`],
    ),
  },
  {
    name: 'the lock file names no registry',
    reason: 'everybody installs from the registry that their own npm is set to',
    check: ({ lockFile }) => {
      const address = /"resolved":\s*"(?!(?:file:|packages\/|apps\/|signaling"|e2e"|bench"))[^"]*"/.exec(lockFile)
      return address ? [{ path: 'package-lock.json', detail: address[0] }] : []
    },
  },
]

/** Sources of stun and ice outside node/: what the simulator runs. */
function isCore(file: SourceFile): boolean {
  return /^packages\/(stun|turn|ice|nat)\/src\//.test(file.path) && !file.path.includes('/src/node/')
}

/** Sources that a browser loads too. */
function portable(file: SourceFile): boolean {
  if (/^(packages\/[^/]+|apps\/(demo|exchange))\/src\//.test(file.path)) return !file.path.includes('/src/node/')
  return /^signaling\/src\/(client|protocol)/.test(file.path)
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(specifier)
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function declaredFor(file: SourceFile, manifests: Repository['manifests']): Set<string> {
  const own = manifests.get(file.workspace)
  const declared = new Set([own?.name ?? '', ...(own?.dependencies ?? [])])
  if (/\/src\//.test(file.path)) return declared
  // Tests and build settings may also use what the whole house develops with.
  for (const name of [...(own?.devDependencies ?? []), ...(manifests.get('')?.devDependencies ?? [])])
    declared.add(name)
  return declared
}

function crossings(file: SourceFile, { manifests }: Repository): { to: string; specifier: string }[] {
  const byName = new Map([...manifests].map(([folder, { name }]) => [name, folder]))
  return file.imports.flatMap(({ specifier, path }) => {
    const to = path === undefined ? byName.get(packageName(specifier)) : workspaceOf(path, manifests)
    return to === undefined || to === '' || to === file.workspace ? [] : [{ to, specifier }]
  })
}

function workspaceOf(path: string, manifests: Repository['manifests']): string {
  for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) {
    if (manifests.has(folder)) return folder
  }
  return ''
}

/** Depth-first; each cycle once, from the file where the walk met it. */
function cycles(files: readonly SourceFile[]): string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const found: string[][] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push(trail.slice(at))
    if (at >= 0 || done.has(path)) return
    for (const next of byPath.get(path)?.imports ?? []) if (next.path) visit(next.path, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return found
}

function each(
  applies: (file: SourceFile) => boolean,
  details: (file: SourceFile, repository: Repository) => string[],
): Law['check'] {
  return (repository) =>
    repository.files
      .filter(applies)
      .flatMap((file) => details(file, repository).map((detail) => ({ path: file.path, detail })))
}
