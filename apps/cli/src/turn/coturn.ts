import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CliError, EXIT } from '../failure.ts'
import { type Output, printable } from '../output.ts'
import { claimPort } from './addresses.ts'
import { answersBinding } from './answers.ts'
import { type CoturnSettings, coturnConfig } from './config.ts'

/** How long coturn may take until it answers, in ms. It needs about 200. */
const READY_TIMEOUT = 10_000
/** Between two questions whether it does, in ms. */
const READY_INTERVAL = 50

/** Before it is started again after an unforeseen end, in ms: twice as long each time, until it has run for a while. */
const RESTART = { first: 500, longest: 30_000, forgottenAfter: 60_000 } as const

/** Its last words, for when it ends. */
const LOG_LINES = 12

/**
 * Debian's (Fedora's, Homebrew's …) coturn as a child of this process: configured, started again when it ends, and gone
 * when we are, however we end.
 */
export class Coturn implements AsyncDisposable {
  readonly port: number
  /** Of TLS, if there is a certificate. */
  readonly tlsPort: number | undefined
  readonly #settings: CoturnSettings
  readonly #output: Output
  #child: ChildProcess | undefined
  #log: string[] = []
  #failures = 0
  #restart: ReturnType<typeof setTimeout> | undefined
  #launching: Promise<void> = Promise.resolve()
  #stopping = false

  /**
   * Resolves when it answers at every address.
   * @throws CliError `ERR_CLI_TURN_MISSING` when it is not installed, `ERR_CLI_TURN` when it does not run
   */
  static async start(settings: Omit<CoturnSettings, 'folder'>, output: Output): Promise<Coturn> {
    const port = await claimPort(settings.ips, settings.port)
    const tls = settings.tls && { ...settings.tls, port: await claimPort(settings.ips, settings.tls.port) }
    const folder = await mkdtemp(join(tmpdir(), 'floe-turn-')) // for its owner's eyes only: the secret is in there
    const coturn = new Coturn({ ...settings, port, tls, folder }, output)
    try {
      await coturn.#launch()
    } catch (error) {
      await coturn.stop()
      throw error
    }
    return coturn
  }

  private constructor(settings: CoturnSettings, output: Output) {
    this.port = settings.port
    this.tlsPort = settings.tls?.port
    this.#settings = settings
    this.#output = output
  }

  /** With SIGKILL: it has nothing to lose, and takes a second to think about anything more polite. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restart)
    const child = this.#child
    if (child !== undefined && isRunning(child)) {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
    await this.#launching
    await rm(this.#settings.folder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Resolves when it answers; from then on it is started again when it ends. */
  async #launch(): Promise<void> {
    const { folder, ips, port } = this.#settings
    const file = join(folder, 'turnserver.conf')
    await writeFile(file, coturnConfig(this.#settings), { mode: 0o600 })
    if (this.#stopping) return
    // In a process group of its own: a Ctrl-C in the terminal is for us, and we end it in order.
    const child = spawn('turnserver', ['-c', file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#child = child
    this.#log = []
    for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', (line) => this.#note(line))
    await started(child)
    const watchdog = watch(child, folder)
    let answeredAt: number | undefined
    child.once('exit', () => watchdog.stdin?.end('done\n'))
    // Not at its exit: its last words come after that.
    child.once('close', (code, signal) => {
      if (answeredAt !== undefined) this.#ended(code, signal, performance.now() - answeredAt)
    })
    try {
      await answering(child, ips, port)
      answeredAt = performance.now()
    } catch (cause) {
      child.kill('SIGKILL')
      throw this.#failure(cause)
    }
    this.#output.event('turn-started', { ips, port, pid: child.pid })
    await rm(file, { force: true }) // it has read it
  }

  #note(line: string): void {
    if (line.trim() === '') return
    this.#log.push(line)
    if (this.#log.length > LOG_LINES) this.#log.shift()
    this.#output.event('turn-log', { line })
  }

  #ended(code: number | null, signal: NodeJS.Signals | null, after: number): void {
    if (this.#stopping) return
    if (after > RESTART.forgottenAfter) this.#failures = 0
    const restartIn = this.#launchLater()
    const how = code === null ? `by ${signal}` : `with exit code ${code}`
    const words = `The TURN server has ended ${how}; it is started again in ${restartIn / 1000} s. It said last:`
    const log = this.#log.map(printable)
    this.#output.event('turn-ended', { code, signal, restartIn, log: this.#log }, [words, ...log].join('\n  '))
  }

  /** @returns the delay, in ms */
  #launchLater(): number {
    const delay = Math.min(RESTART.first * 2 ** this.#failures++, RESTART.longest)
    this.#restart = setTimeout(() => {
      this.#launching = this.#launch().catch((error) => {
        if (this.#stopping) return
        this.#output.fail(error)
        this.#launchLater()
      })
    }, delay)
    return delay
  }

  #failure(cause: unknown): CliError {
    const { ips, port } = this.#settings
    const message = `coturn was started, but does not answer at ${ips.join(' and ')}, port ${port}.`
    const hint = ['What it said last:', ...this.#log].map(printable).join('\n    ')
    return new CliError('ERR_CLI_TURN', EXIT.turn, message, hint, { cause })
  }
}

async function started(child: ChildProcess): Promise<void> {
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? missing(error) : notStarted(error as Error)
  }
}

function missing(cause: unknown): CliError {
  const message = 'coturn, the TURN server, is not installed: there is no program turnserver in PATH.'
  const hint = [
    'Install it, or name one that runs elsewhere with --turn-server and --turn-secret.',
    'Debian, Ubuntu:  sudo apt install coturn && sudo systemctl disable --now coturn',
    'Fedora, RHEL:    sudo dnf install coturn',
    'macOS:           brew install coturn',
  ]
  return new CliError('ERR_CLI_TURN_MISSING', EXIT.turn, message, hint.join('\n  '), { cause })
}

function notStarted(cause: Error): CliError {
  return new CliError('ERR_CLI_TURN', EXIT.turn, `coturn cannot be started: ${cause.message}.`, 'Try: turnserver -h', {
    cause,
  })
}

/**
 * A shell that ends `child` and takes its folder away when our end of the pipe closes without a word. That happens also
 * when this process is killed.
 */
function watch(child: ChildProcess, folder: string): ChildProcess {
  const script = 'read -r word || { kill -KILL "$1"; rm -rf "$2"; }'
  const watchdog = spawn('/bin/sh', ['-c', script, 'floe-watchdog', String(child.pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watchdog.on('error', () => {}) // no such shell: then coturn outlives a killed floe, and nothing else is lost
  watchdog.stdin.on('error', () => {})
  return watchdog
}

/** Rejects when it has ended or taken too long. */
async function answering(child: ChildProcess, ips: readonly string[], port: number): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT
  for (const ip of ips) {
    while (!(await answersBinding(ip, port, READY_INTERVAL))) {
      if (!isRunning(child)) throw new Error('it has ended')
      if (performance.now() > deadline) throw new Error(`no answer in ${READY_TIMEOUT} ms`)
    }
  }
}

function isRunning({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null
}
