/** `floe connect --json` in a process of its own, for tests that sit at the other end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { FLOE } from './product.ts'

export type TerminalEvent = { readonly event: string } & Readonly<Record<string, unknown>>

export class Terminal implements AsyncDisposable {
  /** What it has said so far. */
  readonly events: TerminalEvent[] = []
  readonly #process: ChildProcess
  readonly #heard = new EventTarget()
  #ended = false

  constructor(room: string, options: readonly string[]) {
    // The router of the machine that tests run on is nobody's business.
    const line = [FLOE, 'connect', room, '--json', '--no-port-mapping', ...options]
    this.#process = spawn(process.execPath, line, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: this.#process.stdout! })
    lines.on('line', (text) => {
      this.events.push(JSON.parse(text))
      this.#heard.dispatchEvent(new Event('change'))
    })
    lines.on('close', () => {
      this.#ended = true
      this.#heard.dispatchEvent(new Event('change'))
    })
  }

  type(text: string): void {
    this.#process.stdin!.write(text)
  }

  /** The `nth` of this name, as soon as it has happened. */
  async event(name: string, nth = 1): Promise<TerminalEvent> {
    for (;;) {
      const found = this.events.filter(({ event }) => event === name)[nth - 1]
      if (found) return found
      if (this.#ended) throw new Error(`no ${name} among ${JSON.stringify(this.events)}`)
      await new Promise((resolve) => this.#heard.addEventListener('change', resolve, { once: true }))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }
}
