import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why no proxy can be run here, or `undefined`. */
export const whyNoProxies = ['tinyproxy', 'microsocks'].every(isInstalled)
  ? undefined
  : '(left out: takes the packages tinyproxy and microsocks)'

export interface ProxyAccount {
  readonly username: string
  readonly password: string
}

/** A proxy of Debian's on a free port of 127.0.0.1. */
export class ProxyProcess implements AsyncDisposable {
  readonly port: number
  readonly #process: ChildProcess
  readonly #folder: string | undefined

  private constructor(port: number, process: ChildProcess, folder?: string) {
    this.port = port
    this.#process = process
    this.#folder = folder
  }

  /** tinyproxy: HTTP CONNECT, to these ports only if they are given. */
  static async http(account?: ProxyAccount, connectPorts: readonly number[] = []): Promise<ProxyProcess> {
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), 'floe-proxy-'))
    const lines = [`Port ${port}`, 'Listen 127.0.0.1', 'Timeout 60', 'MaxClients 50', 'LogLevel Critical']
    if (account) lines.push(`BasicAuth ${account.username} ${account.password}`)
    lines.push(...connectPorts.map((allowed) => `ConnectPort ${allowed}`))
    const config = join(folder, 'tinyproxy.conf')
    writeFileSync(config, `${lines.join('\n')}\n`)
    return ProxyProcess.#start(port, 'tinyproxy', ['-d', '-c', config], folder)
  }

  /** microsocks: SOCKS5, RFC 1928 and RFC 1929. */
  static async socks(account?: ProxyAccount): Promise<ProxyProcess> {
    const port = await freePort()
    const user = account ? ['-u', account.username, '-P', account.password] : []
    return ProxyProcess.#start(port, 'microsocks', ['-i', '127.0.0.1', '-p', `${port}`, ...user])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGKILL')
      await once(this.#process, 'exit')
    }
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true })
  }

  static async #start(port: number, command: string, args: string[], folder?: string): Promise<ProxyProcess> {
    const child = spawn(command, args, { stdio: 'ignore' })
    const proxy = new ProxyProcess(port, child, folder)
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await answers(port)) return proxy
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    await proxy[Symbol.asyncDispose]()
    throw new Error(`${command} does not listen on port ${port}`)
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (open: boolean) => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}

function isInstalled(command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
