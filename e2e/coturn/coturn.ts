/** Debian's coturn: a real TURN server for a test, on free ports, with everything it needs in a directory of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificate, makeCertificate } from './certificate.ts'
import { answersBinding, freePort } from './probe.ts'

export interface CoturnOptions {
  /** Where clients reach it; `['127.0.0.1']` unless told. */
  readonly ips?: readonly string[]
  /** Where it relays; the same unless told. */
  readonly relayIps?: readonly string[]
  /** A free one unless told. */
  readonly port?: number
  readonly minPort?: number
  readonly maxPort?: number
  /** Passwords by user name; `{ user: 'secret' }` unless told. */
  readonly users?: Readonly<Record<string, string>>
  /** Time-limited credentials from this shared secret in place of `users` (`use-auth-secret`). */
  readonly secret?: string
  /** Listens for TLS and DTLS on a port of its own, with a certificate for these names beside its IPs, or another's. */
  readonly tls?: boolean | { readonly names?: readonly string[]; readonly port?: number; readonly of?: Coturn }
  readonly udp?: boolean
  readonly tcp?: boolean
  /** Seconds that a nonce is good for. */
  readonly staleNonce?: number
  /** Lines for the configuration file that nothing else here writes. */
  readonly config?: readonly string[]
  /** A command that runs another in a place of its own, such as `ip netns exec name`; readiness is then seen in its log. */
  readonly within?: readonly string[]
}

export const REALM = 'floe.test'
/** How long coturn may take until it answers. It needs about 100 ms. */
const READY_MS = 10_000
/** How long it may take to end once told to. */
const STOP_MS = 5_000

export async function startCoturn(options: CoturnOptions = {}): Promise<Coturn> {
  const ips = options.ips ?? ['127.0.0.1']
  const tls = options.tls === true ? {} : options.tls || undefined
  const port = options.port ?? (await freePort(ips))
  const tlsPort = tls && (tls.port ?? (await freePort(ips)))
  const coturn = new Coturn(options, ips, port, tlsPort)
  try {
    await coturn.start()
  } catch (error) {
    await coturn.stop()
    throw error
  }
  return coturn
}

export class Coturn {
  readonly ips: readonly string[]
  readonly ip: string
  readonly port: number
  /** TLS and DTLS. */
  readonly tlsPort: number | undefined
  readonly username: string
  readonly credential: string
  readonly #options: CoturnOptions
  readonly #directory = mkdtempSync(join(tmpdir(), 'floe-coturn-'))
  readonly #certificate: Certificate | undefined
  #process: ChildProcess | undefined
  #log = ''

  constructor(options: CoturnOptions, ips: readonly string[], port: number, tlsPort: number | undefined) {
    this.#options = options
    this.ips = ips
    this.ip = ips[0]!
    this.port = port
    this.tlsPort = tlsPort
    if (tlsPort !== undefined) {
      const { names = ['turn.floe.test', 'localhost'], of } = typeof options.tls === 'object' ? options.tls : {}
      this.#certificate = of?.certificate ?? makeCertificate(this.#directory, [...names, ...ips])
    }
    const [[username, password]] = Object.entries(options.users ?? { user: 'secret' }) as [[string, string]]
    const limited = options.secret === undefined ? undefined : timeLimited(options.secret, username)
    this.username = limited?.username ?? username
    this.credential = limited?.credential ?? password
    writeFileSync(this.#configFile, this.#config().join('\n'))
  }

  /** PEM of the authority behind its certificate. */
  get ca(): string | undefined {
    return this.#certificate?.ca
  }

  get certificate(): Certificate | undefined {
    return this.#certificate
  }

  /** All it has written since the first start. */
  get log(): string {
    return this.#log
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** `turn:` or `turns:` for `iceServers`, at the first IP unless told. */
  url(scheme: 'turn' | 'turns' = 'turn', transport: 'udp' | 'tcp' = 'udp', host = this.ip): string {
    const bracketed = isIPv6(host) ? `[${host}]` : host
    return `${scheme}:${bracketed}:${scheme === 'turn' ? this.port : this.tlsPort}?transport=${transport}`
  }

  /** Starts it (again, on the same ports and with no memory) and waits until it answers. */
  async start(): Promise<void> {
    const [command, ...args] = [...(this.#options.within ?? []), 'turnserver', '-c', this.#configFile]
    const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.#directory })
    this.#process = child
    const from = this.#log.length
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#log += text))
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => reject(new Error(`coturn ended with ${code ?? signal}:\n${this.#log}`)))
    })
    failed.catch(() => {})
    process.once('exit', this.#killNow)
    await Promise.race([failed, this.#ready(from)])
  }

  /** Waits until its log says something. */
  async logged(pattern: RegExp, timeout = 5_000, from = 0): Promise<void> {
    const end = Date.now() + timeout
    while (!pattern.test(this.#log.slice(from))) {
      if (Date.now() > end) throw new Error(`coturn has not logged ${pattern} in ${timeout} ms:\n${this.#log}`)
      await sleep(20)
    }
  }

  /** Ends the process and waits until it is gone; `start` brings it back. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    process.off('exit', this.#killNow)
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exited
    clearTimeout(timer)
  }

  /** Ends it and takes its directory away. */
  async stop(): Promise<void> {
    // It has nothing to lose, and on SIGTERM takes a second to think about it.
    await this.kill()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  readonly #killNow = () => this.#process?.kill('SIGKILL')

  get #configFile(): string {
    return join(this.#directory, 'turnserver.conf')
  }

  #config(): string[] {
    const { relayIps = this.ips, minPort, maxPort, users = { user: 'secret' }, secret } = this.#options
    const { udp = true, tcp = true, staleNonce, config = [] } = this.#options
    const certificate = this.#certificate
    return [
      `listening-port=${this.port}`,
      ...this.ips.map((ip) => `listening-ip=${ip}`),
      ...relayIps.map((ip) => `relay-ip=${ip}`),
      ...(minPort === undefined ? [] : [`min-port=${minPort}`]),
      ...(maxPort === undefined ? [] : [`max-port=${maxPort}`]),
      `realm=${REALM}`,
      ...(secret === undefined
        ? ['lt-cred-mech', ...Object.entries(users).map(([name, password]) => `user=${name}:${password}`)]
        : ['use-auth-secret', `static-auth-secret=${secret}`]),
      ...(certificate
        ? [`tls-listening-port=${this.tlsPort}`, `cert=${certificate.certFile}`, `pkey=${certificate.keyFile}`]
        : ['no-tls', 'no-dtls']),
      ...(udp ? [] : ['no-udp', 'no-dtls']),
      ...(tcp ? [] : ['no-tcp']),
      ...(staleNonce === undefined ? [] : [`stale-nonce=${staleNonce}`]),
      ...(relayIps.some(isLoopback) ? ['allow-loopback-peers'] : []),
      // Nothing of it may leave the directory or open a port that was not asked for.
      `userdb=${join(this.#directory, 'turndb')}`,
      `pidfile=${join(this.#directory, 'pid')}`,
      'no-cli',
      'no-rfc5780',
      'relay-threads=1',
      'log-file=stdout',
      'verbose',
      ...config,
    ]
  }

  /** Every listener answers; or says that it is open, where we can't reach it. */
  async #ready(from: number): Promise<void> {
    const { udp = true, tcp = true, within } = this.#options
    const transports = [...(udp ? ['udp' as const] : []), ...(tcp ? ['tcp' as const] : [])]
    for (const ip of this.ips) {
      const host = isIPv6(ip) ? `\\[?${ip}\\]?` : ip.replaceAll('.', '\\.')
      if (within) await this.logged(new RegExp(`listener opened on ?: ${host}:${this.port}`), READY_MS, from)
      else for (const transport of transports) await this.#untilAnswer(ip, transport)
    }
  }

  async #untilAnswer(ip: string, transport: 'udp' | 'tcp'): Promise<void> {
    const end = Date.now() + READY_MS
    while (!(await answersBinding(ip, this.port, transport, 250))) {
      if (!this.#process) return
      if (Date.now() > end) throw new Error(`coturn does not answer at ${ip}:${this.port}/${transport}:\n${this.#log}`)
      await sleep(20)
    }
  }
}

/** As coturn's `use-auth-secret` wants it: the user name begins with the second in which it ends. */
export function timeLimited(secret: string, name: string, seconds = 3_600): { username: string; credential: string } {
  const username = `${Math.floor(Date.now() / 1_000) + seconds}:${name}`
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') }
}

function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.')
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
