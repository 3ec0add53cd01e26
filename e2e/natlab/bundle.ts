/** Programs for the namespaces: what runs there is a process of its own, and Node 20 runs no TypeScript. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build, type InlineConfig } from 'vite'

/** Inside the repository, so that what is not bundled is found in its node_modules. */
const FOLDER = join(import.meta.dirname, '..', '..', 'test-results', `natlab-${process.pid}`)

const made = new Map<string, Promise<string>>()

/** The path of a module for Node made from `peer/<name>.ts`, workspaces included. Made once, and gone with this process. */
export function program(name: string): Promise<string> {
  return once(name, {
    ssr: { resolve: { conditions: ['floe:source', 'node'], externalConditions: ['node', 'import', 'default'] } },
    build: { ssr: source(name), target: 'node20' },
  })
}

/** The same for a browser, everything included. */
export function pageScript(name: string): Promise<string> {
  return once(name, {
    resolve: { conditions: ['floe:source', 'browser', 'module', 'import', 'default'] },
    build: { target: 'esnext', rolldownOptions: { input: source(name) } },
  })
}

function source(name: string): string {
  return join(import.meta.dirname, 'peer', `${name}.ts`)
}

function once(name: string, config: InlineConfig): Promise<string> {
  const path = made.get(name) ?? bundle(name, config)
  made.set(name, path)
  return path
}

/** What processes have left here that were killed. */
function sweep() {
  const parent = join(FOLDER, '..')
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const [, pid] = /^natlab-(\d+)$/.exec(name) ?? []
    if (pid && !existsSync(`/proc/${pid}`)) rmSync(join(parent, name), { recursive: true, force: true })
  }
}

async function bundle(name: string, { build: options, ...config }: InlineConfig): Promise<string> {
  if (made.size === 0) {
    sweep()
    mkdirSync(FOLDER, { recursive: true })
    process.once('exit', () => rmSync(FOLDER, { recursive: true, force: true }))
  }
  const output = { codeSplitting: false, entryFileNames: `${name}.mjs` }
  await build({
    ...config,
    configFile: false,
    root: import.meta.dirname,
    logLevel: 'warn',
    build: {
      ...options,
      outDir: FOLDER,
      emptyOutDir: false,
      minify: false,
      rolldownOptions: { ...options?.rolldownOptions, output },
    },
  })
  return join(FOLDER, `${name}.mjs`)
}
