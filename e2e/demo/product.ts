/** The product as a user has it: `floe serve` in a process of its own, with the demo page. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'vite'

const root = join(import.meta.dirname, '..', '..')

/** The command, on what `tsc -b` has built: `npm test` does so first. */
export const FLOE = join(root, 'apps/cli/bin/floe.mjs')

export interface Product {
  readonly url: string
  stop(): Promise<void>
}

/** Before any product is started: a running one knows the files that were there. */
export async function buildPage(): Promise<void> {
  await build({ configFile: join(root, 'apps/demo/vite.config.ts'), logLevel: 'warn' })
}

export async function startProduct(options: readonly string[] = []): Promise<Product> {
  const server = spawn(process.execPath, [FLOE, 'serve', '--port', '0', '--json', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return { url: await listeningUrl(server), stop: () => stop(server) }
}

async function listeningUrl(server: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: server.stdout! })) {
    const { event, url } = JSON.parse(line) as { event: string; url?: string }
    if (event === 'listening' && url !== undefined) {
      server.stdout!.resume() // what else it has to say must not fill the pipe
      return url
    }
  }
  throw new Error(`floe serve ended with ${server.exitCode} before it was ready`)
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return
  const exited = once(server, 'exit')
  server.kill('SIGTERM')
  await exited
}
