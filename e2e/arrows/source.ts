/** The repository as the laws see it: every source file with its imports and the globals it touches. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { parseSync } from 'vite'

export interface Import {
  /** As written: `./checklist.ts`, `node:dgram`, `@floe/stun`. */
  readonly specifier: string
  /** Repository path of the imported file, when the specifier is relative. */
  readonly path: string | undefined
  /** Gone after compilation. */
  readonly typeOnly: boolean
}

export interface SourceFile {
  /** Relative to the repository, with forward slashes. */
  readonly path: string
  /** The workspace folder that it belongs to: `packages/ice`; '' for the root's own. */
  readonly workspace: string
  readonly lines: number
  readonly imports: readonly Import[]
  /** Ambient names in use: `setTimeout`, `Date`, `Math.random`. */
  readonly globals: ReadonlySet<string>
}

export interface Manifest {
  readonly name: string
  readonly dependencies: readonly string[]
  readonly devDependencies: readonly string[]
}

export interface Repository {
  readonly files: readonly SourceFile[]
  /** By workspace folder; the root's is ''. */
  readonly manifests: ReadonlyMap<string, Manifest>
  readonly lockFile: string
}

const SKIPPED = new Set(['node_modules', 'dist', '.git', 'test-results', 'results'])

export function readRepository(root: string): Repository {
  const paths = walk(root, '')
  const manifests = new Map<string, Manifest>()
  for (const path of paths.filter((each) => posix.basename(each) === 'package.json')) {
    const json = JSON.parse(readFileSync(join(root, path), 'utf8'))
    manifests.set(posix.dirname(path) === '.' ? '' : posix.dirname(path), {
      name: json.name,
      dependencies: Object.keys({ ...json.dependencies, ...json.optionalDependencies }),
      devDependencies: Object.keys(json.devDependencies ?? {}),
    })
  }
  const files = paths
    .filter((path) => /\.(ts|mts|mjs|js)$/.test(path))
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8'), [...manifests.keys()]))
  return { files, manifests, lockFile: readFileSync(join(root, 'package-lock.json'), 'utf8') }
}

export function parseSource(path: string, text: string, workspaces: readonly string[]): SourceFile {
  const parsed = parseSync(path, text)
  if (parsed.errors.length > 0) throw new SyntaxError(`${path}: ${parsed.errors[0]?.message}`)
  const workspace =
    workspaces.filter((each) => path.startsWith(`${each}/`)).sort((a, b) => b.length - a.length)[0] ?? ''
  const imports = [
    ...parsed.module.staticImports.map((found) => ({
      specifier: found.moduleRequest.value,
      typeOnly: found.entries.length > 0 && found.entries.every((entry) => entry.isType),
    })),
    ...parsed.module.staticExports.flatMap((found) =>
      found.entries.flatMap((entry) =>
        entry.moduleRequest ? [{ specifier: entry.moduleRequest.value, typeOnly: entry.isType }] : [],
      ),
    ),
    ...parsed.module.dynamicImports.flatMap((found) => {
      const literal = /^['"](.+)['"]$/.exec(text.slice(found.moduleRequest.start, found.moduleRequest.end))
      return literal ? [{ specifier: literal[1]!, typeOnly: false }] : []
    }),
  ].map((each) => ({ ...each, path: resolveRelative(path, each.specifier) }))
  return { path, workspace, lines: text.trimEnd().split('\n').length, imports, globals: globalsOf(parsed.program) }
}

function resolveRelative(from: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier.replace(/\?.*$/, '')) : undefined
}

const WATCHED = ['Date', 'performance', 'setTimeout', 'setInterval', 'setImmediate', 'process', 'Buffer', 'console']

type Node = { type: string } & Record<string, unknown>

/** Over-reports a local variable that carries a global's name, which the core had better not have either. */
function globalsOf(program: unknown): Set<string> {
  const found = new Set<string>()
  const visit = (value: unknown, key: string, parent: Node): void => {
    if (Array.isArray(value)) for (const each of value) visit(each, key, parent)
    if (typeof value !== 'object' || value === null || !('type' in value)) return
    const node = value as Node
    if (node.type === 'Identifier' && !isPlainName(key, parent) && WATCHED.includes(node.name as string)) {
      found.add(node.name as string)
    }
    if (node.type === 'MemberExpression') {
      const [object, property] = [node.object as Node, node.property as Node]
      if (object.name === 'Math' && (property.name ?? property.value) === 'random') found.add('Math.random')
      if (object.name === 'globalThis') found.add(`globalThis.${property.name ?? property.value}`)
    }
    for (const [childKey, child] of Object.entries(node)) visit(child, childKey, node)
  }
  visit(program, '', { type: 'File' })
  return found
}

/** Whether an identifier there only names a member, so that no global is read: `socket.process`, `{ performance: 1 }`. */
function isPlainName(key: string, parent: Node): boolean {
  if (parent.computed === true) return false
  return (key === 'property' && parent.type === 'MemberExpression') || (key === 'key' && parent.shorthand !== true)
}

function walk(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return []
    const path = posix.join(folder, entry.name)
    return entry.isDirectory() ? walk(root, path) : [path]
  })
}
