/** The wires of the internet core, all in one process: delay/line.py says what it does to packets. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LinkQuality } from '../topology/behavior.ts'
import { inNamespace } from './namespaces.ts'
import type { Leg } from './plan.ts'

/** Of the TUN device in the core's namespace. */
export const LINE_DEVICE = 'line'

/** What changes on a leg, seen from the host; both directions where none is named. */
export interface LegChange {
  readonly direction?: 'up' | 'down'
  readonly quality: LinkQuality
}

export class Line {
  readonly #process: ChildProcess
  readonly #answers: AsyncIterator<string>
  readonly #legs = new Map<string, Readonly<Record<'up' | 'down', LinkQuality[]>>>()
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

  /** What is behind the leg, and its quality in both directions. A leg that is known gets other networks. */
  attach({ name, networks }: Leg, quality: LinkQuality = {}): Promise<void> {
    if (!this.#legs.has(name)) this.#legs.set(name, { up: [quality], down: [quality] })
    return this.#send(name, networks)
  }

  /** Changes what `quality` names, for packets that enter once this has resolved; with the result it ends again. */
  async change(name: string, { direction, quality }: LegChange): Promise<() => Promise<void>> {
    const overlay = { ...quality }
    const leg = this.#legs.get(name)
    if (!leg) throw new Error(`there is no leg ${name}: there are ${[...this.#legs.keys()].join(', ')}`)
    // Changes that overlap in time lie upon each other, so that each can end by itself.
    const stacks = direction ? [leg[direction]] : [leg.up, leg.down]
    for (const stack of stacks) stack.push(overlay)
    await this.#send(name)
    return () => {
      for (const stack of stacks) stack.splice(stack.indexOf(overlay), 1)
      return this.#send(name)
    }
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exit = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exit
  }

  #send(name: string, networks?: readonly string[]): Promise<void> {
    const { up, down } = this.#legs.get(name)!
    const order = { leg: name, networks, up: Object.assign({}, ...up), down: Object.assign({}, ...down) }
    const sent = this.#last.then(async () => {
      this.#process.stdin!.write(`${JSON.stringify(order)}\n`)
      const { done: ended } = await this.#answers.next()
      if (ended) throw new Error(`the delay line has ended: ${this.#errors}`)
    })
    this.#last = sent.catch(() => {})
    return sent
  }
}
