/** `npm run natlab`: the kernel lab of e2e/natlab from the command line. Vite loads the TypeScript, as it does for tests. */
import { join } from 'node:path'
import { runnerImport } from 'vite'

const { module } = await runnerImport(join(import.meta.dirname, '..', 'e2e', 'natlab', 'main.ts'), {
  configFile: false,
  logLevel: 'error',
  oxc: { target: 'node20' },
  // Bundled for the moment, not taken from dist/, which may be older or missing.
  environments: { inline: { resolve: { conditions: ['floe:source', 'import', 'default'], noExternal: [/^@floe\//] } } },
})
try {
  process.exitCode = await module.main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof RangeError ? error.message : error)
  process.exitCode = 2
}
process.exit()
