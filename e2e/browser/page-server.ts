/** Serves test pages: each is one TypeScript entry in pages/, bundled as it would be for a user of the packages. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { build } from 'vite'

export interface PageServer {
  /** The address of the page made from `pages/<name>.ts`. */
  page(name: string): string
  close(): Promise<void>
}

export async function servePages(...names: string[]): Promise<PageServer> {
  const scripts = new Map<string, string>()
  for (const name of names) scripts.set(`/${name}.js`, await bundle(name))
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/[?#].*/, '')
    const script = scripts.get(path)
    if (script !== undefined) return response.setHeader('content-type', 'text/javascript').end(script)
    response.setHeader('content-type', 'text/html')
    // The empty icon keeps browsers from asking for one.
    response.end(`<!doctype html><link rel="icon" href="data:,"><script type="module" src="${path}.js"></script>`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    page: (name) => `http://127.0.0.1:${port}/${name}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function bundle(name: string): Promise<string> {
  const result = await build({
    configFile: false,
    root: join(import.meta.dirname, 'pages'),
    logLevel: 'warn',
    resolve: { conditions: ['floe:source', 'browser', 'module', 'import', 'default'] },
    build: {
      write: false,
      minify: false,
      target: 'esnext',
      rolldownOptions: { input: join(import.meta.dirname, 'pages', `${name}.ts`), output: { codeSplitting: false } },
    },
  })
  if (!('output' in result))
    throw new Error(`${name}: vite built ${Array.isArray(result) ? 'several bundles' : 'a watcher'}`)
  return result.output[0].code
}
