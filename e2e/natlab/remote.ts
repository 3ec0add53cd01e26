/** A program in a namespace, called like an object: Node's own channel between processes carries calls and events. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { program } from './bundle.ts'
import type { Internet } from './internet.ts'
import type { Answer, Call } from './peer/serve.ts'

export interface Remote {
  readonly pid: number
  /** SIGSTOP, and SIGCONT: the program stands still, and the kernel keeps what arrives for it. */
  suspend(): void
  resume(): void
  /** Calls a method of what the program serves. Rejects with its error, or when the program ends. */
  call(method: string, ...args: unknown[]): Promise<unknown>
  onevent: (event: unknown) => void
  close(): Promise<void>
}

/** Starts `peer/<name>.ts` where this host stands. */
export async function startRemote(
  internet: Internet,
  host: string,
  name: string,
  args: string[] = [],
): Promise<Remote> {
  const [execPath, ...execArgv] = internet.command(host, [process.execPath, '--enable-source-maps'])
  const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const
  const child = fork(await program(name), args, { execPath: execPath!, execArgv, stdio: [...stdio] })
  internet.adopt(child)
  const remote = connect(child, `${name} on ${host}`)
  await remote.call('ready')
  return remote
}

function connect(child: ChildProcess, title: string): Remote {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let calls = 0
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (text) => {
      said = (said + text).slice(-SAID)
    })
  }
  const remote: Remote = {
    pid: child.pid!,
    suspend: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    onevent: () => {},
    call: (method, ...args) =>
      new Promise((resolve, reject) => {
        if (!child.connected) return reject(new Error(`${title} has ended: ${said}`))
        const id = ++calls
        waiting.set(id, { resolve, reject })
        // It may have been killed a moment ago: its end, with what it said, is what the call is told.
        child.send({ id, method, args } satisfies Call, () => {})
      }),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
  child.on('message', (message: Answer) => {
    if ('event' in message) return remote.onevent(message.event)
    const { resolve, reject } = waiting.get(message.id)!
    waiting.delete(message.id)
    if ('error' in message) reject(new Error(`${title}: ${message.error}`))
    else resolve(message.result)
  })
  child.once('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${title} ended (${code ?? signal}): ${said}`))
    waiting.clear()
  })
  return remote
}

/** Characters of a program's output that are kept for the error that may come. */
const SAID = 4_000
