/** The wires of the internet core, all in one process: delay/line.py says what it does to packets. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LinkQuality } from '../topology/behavior.ts'
import { inNamespace } from './namespaces.ts'
import type { Leg } from './plan.ts'

/** Each direction of a leg, seen from the host. */
export interface LegQuality {
  readonly up: LinkQuality
  readonly down: LinkQuality
}

/** Of the TUN device in the core's namespace. */
export const LINE_DEVICE = 'line'

export class Line {
  readonly #process: ChildProcess
  readonly #answers: AsyncIterator<string>
  #last: Promise<unknown> = Promise.resolve()
  #errors = ''

  /** The seed decides about jitter and losses; what comes when decides the rest. */
  constructor(core: string, seed: number) {
    const script = join(import.meta.dirname, 'delay', 'line.py')
    const [command, ...args] = inNamespace(core, ['/usr/bin/python3', '-S', script, LINE_DEVICE, String(seed)])
    this.#process = spawn(command!, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.stderr!.on('data', (text) => {
      this.#errors += text
    })
    this.#process.stdin!.on('error', () => {}) // It has died: the missing answer says so.
    this.#answers = createInterface(this.#process.stdout!)[Symbol.asyncIterator]()
  }

  /** Resolves when it holds, for packets that enter from now on. */
  set(leg: Pick<Leg, 'name'> & Partial<Leg>, { up, down }: Partial<LegQuality>): Promise<void> {
    const order = { leg: leg.name, networks: leg.networks, up, down }
    const done = this.#last.then(async () => {
      this.#process.stdin!.write(`${JSON.stringify(order)}\n`)
      const { done: ended } = await this.#answers.next()
      if (ended) throw new Error(`the delay line has ended: ${this.#errors}`)
    })
    this.#last = done.catch(() => {})
    return done
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exit = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exit
  }
}
