/** The `floe` command. */
import { readFile } from 'node:fs/promises'
import { EXIT, type ExitCode, usageError } from './failure.ts'
import { CONNECT_HELP, DOCTOR_HELP, HELP, SERVE_HELP } from './help.ts'
import { Output } from './output.ts'

type Command = (args: string[], output: Output, interrupted: AbortSignal) => Promise<ExitCode>

/** Loaded when asked for: help and version come at once. */
const COMMANDS: Readonly<Record<string, { load: () => Promise<Command>; help: string }>> = {
  serve: { load: async () => (await import('./serve.ts')).serveCommand, help: SERVE_HELP },
  connect: { load: async () => (await import('./connect.ts')).connectCommand, help: CONNECT_HELP },
  doctor: { load: async () => (await import('./doctor.ts')).doctorCommand, help: DOCTOR_HELP },
}

/** A second Ctrl-C counts from then on, in ms: npm passes on the signal that the terminal has sent us already. */
const IMPATIENT_AFTER = 500

/** Runs the command line `args` (without node and script) and returns the exit code. Never throws. */
export async function main(args: readonly string[]): Promise<ExitCode> {
  const [name = '--help', ...rest] = args
  const output = new Output(rest.includes('--json'))
  const interrupted = watchInterrupts()
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) return runWithoutCommand(name, output)
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(command.help)
    return EXIT.done
  }
  try {
    const run = await command.load()
    return await run(rest, output, interrupted)
  } catch (error) {
    return interrupted.aborted ? EXIT.interrupted : output.fail(error)
  }
}

async function runWithoutCommand(name: string, output: Output): Promise<ExitCode> {
  switch (name) {
    case '--help':
    case '-h':
    case 'help':
      process.stdout.write(HELP)
      return EXIT.done
    case '--version':
    case '-v':
      process.stdout.write(`${await version()}\n`)
      return EXIT.done
    default:
      return output.fail(usageError(`There is no command '${name}'.`))
  }
}

async function version(): Promise<string> {
  const manifest = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

/** The first Ctrl-C ends things in order, an impatient second one at once. */
function watchInterrupts(): AbortSignal {
  const interruption = new AbortController()
  let first: number | undefined
  const interrupt = () => {
    first ??= performance.now()
    if (performance.now() - first > IMPATIENT_AFTER) process.exit(EXIT.interrupted)
    interruption.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt)
  // Whoever read our output has gone (`floe connect … | head -1`): nobody is left to work for.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') interruption.abort()
  })
  return interruption.signal
}
