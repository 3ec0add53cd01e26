import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { vi } from 'vitest'

// Real processes and real connections, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 40_000 })

const root = fileURLToPath(new URL('../../..', import.meta.url))
const command = fileURLToPath(new URL('../bin/floe.mjs', import.meta.url))

/** Builds what plain `node` runs. Nothing to do takes a moment only. */
export async function build(): Promise<void> {
  const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', `file://${root}`))
  await promisify(execFile)(process.execPath, [tsc, '-b', 'apps/cli/tsconfig.build.json'], { cwd: root })
}

export type Line = { event: string } & Record<string, unknown>

/** The real command in a process of its own. */
export class Floe implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #waiting = new Set<() => void>()
  /** What came on stdout, line by line. */
  readonly stdout: string[] = []
  stderr = ''
  /** The exit code, when it has ended. */
  readonly exit: Promise<number | null>

  constructor(args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}) {
    // The router of the machine that tests run on is nobody's business.
    const [name = '', ...rest] = args
    const line = name === 'connect' ? [name, '--no-port-mapping', ...rest] : args
    this.#process = spawn(process.execPath, [command, ...line], { stdio: 'pipe', env: { ...process.env, ...env } })
    this.#process.stderr!.setEncoding('utf8').on('data', (text) => {
      this.stderr += text
    })
    const lines = createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      this.stdout.push(line)
      for (const look of this.#waiting) look()
    })
    this.exit = Promise.all([once(this.#process, 'exit'), once(lines, 'close')]).then(([[code]]) => code)
    void this.exit.then(() => {
      for (const look of this.#waiting) look()
    })
    this.#process.stdin!.on('error', () => {}) // the process may end before it has read everything
    if (input !== 'open') this.#process.stdin!.end(input)
  }

  /** With `--json`: what has been printed so far. */
  get lines(): Line[] {
    return this.stdout.map((line) => JSON.parse(line))
  }

  /** With `--json`: the first line of this event, or the `nth`, as soon as it is there. */
  async event(name: string, nth = 1): Promise<Line> {
    let ended = false
    void this.exit.then(() => {
      ended = true
    })
    for (;;) {
      const found = this.lines.filter(({ event }) => event === name)[nth - 1]
      if (found !== undefined) return found
      if (ended) throw new Error(`no '${name}' among:\n${this.stdout.join('\n')}\n${this.stderr}`)
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look)
          setImmediate(resolve)
        }
        this.#waiting.add(look)
      })
    }
  }

  type(text: string): void {
    this.#process.stdin!.write(text)
  }

  interrupt(): void {
    this.#process.kill('SIGINT')
  }

  /** As if the machine's memory had run out. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.exit
  }
}

/** Runs the command to its end. */
export async function run(
  args: readonly string[],
  input = '',
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; floe: Floe }> {
  const floe = new Floe(args, input, env)
  return { code: await floe.exit, floe }
}
