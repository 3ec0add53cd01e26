/** The tests' coturn for a benchmark: Vite loads the TypeScript, as it does for tests. */
import { join } from 'node:path'
import { runnerImport } from 'vite'

/** Options and result as in e2e/coturn/coturn.ts. */
export async function startCoturn(options) {
  const { module } = await runnerImport(join(import.meta.dirname, '..', '..', 'e2e', 'coturn', 'coturn.ts'), {
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['floe:source'] },
    ssr: { resolve: { conditions: ['floe:source', 'node'] } },
  })
  return await module.startCoturn(options)
}
