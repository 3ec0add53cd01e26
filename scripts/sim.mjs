/**
 * `npm run sim`: explores the internet in virtual time, one scenario per seed. `npm run sim -- --help` says more.
 * Bundled before it runs: Node's own speed, which a test runner's module loader does not have.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { build } from 'vite'

// A world lives for milliseconds. V8 puts the arrays of the first ones where only a full collection looks, and these
// keep whole worlds alive. With that, and the wider nursery that package.json asks for, collecting costs a third.
setFlagsFromString('--no-allocation-site-pretenuring')

const root = join(import.meta.dirname, '..')
process.chdir(root)
const outDir = join(root, 'node_modules', '.cache', 'floe-sim')

await build({
  configFile: false,
  root,
  logLevel: 'warn',
  build: { ssr: join(root, 'e2e', 'sim', 'cli', 'main.ts'), outDir, emptyOutDir: true, target: 'node20' },
  ssr: { noExternal: true, resolve: { conditions: ['floe:source', 'node', 'import', 'default'] } },
})
const { main } = await import(pathToFileURL(join(outDir, 'main.js')).href)
process.exitCode = main(process.argv.slice(2), {
  corpus: join('e2e', 'sim', 'corpus'),
  print: (text) => console.log(text),
  complain: (text) => console.error(text),
})
