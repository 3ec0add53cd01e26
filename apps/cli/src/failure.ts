/** What the process ends with; `floe --help` explains them. Stable: scripts rely on these. */
export const EXIT = {
  done: 0,
  failure: 1,
  usage: 2,
  signaling: 3,
  noPeer: 4,
  connection: 5,
  transfer: 6,
  turn: 7,
  relayed: 8,
  interrupted: 130, // 128 + SIGINT, as shells have it
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A failure of the command itself: what is wrong, and what to do about it. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: string
  readonly exitCode: ExitCode
  readonly hint: string

  constructor(code: string, exitCode: ExitCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.exitCode = exitCode
    this.hint = hint
  }
}

export function usageError(message: string, command = ''): CliError {
  const help = ['floe', command, '--help'].filter(Boolean).join(' ')
  return new CliError('ERR_CLI_USAGE', EXIT.usage, message, `See: ${help}`)
}

export interface Failure {
  readonly code: string
  readonly exitCode: ExitCode
  readonly message: string
  readonly hint?: string
}

/** By the family of its code, so that `--help` does not wait for the modules that these errors come from. */
const EXIT_CODES: readonly (readonly [code: RegExp, exitCode: ExitCode])[] = [
  [/^ERR_SIGNALING_ARGUMENT$/, EXIT.usage],
  [/^ERR_SIGNALING_/, EXIT.signaling],
  [/^ERR_CONNECT_/, EXIT.connection],
  [/^ERR_EXCHANGE_/, EXIT.transfer],
]

/** Whatever was thrown, in the form in which it is reported. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CliError) return error
  if (!(error instanceof Error)) return describeFailure(new Error(String(error)))
  const { code = 'ERR_CLI_UNEXPECTED', message, hint } = error as NodeJS.ErrnoException & { hint?: string }
  const exitCode = EXIT_CODES.find(([family]) => family.test(code))?.[1] ?? EXIT.failure
  return { code, message, exitCode, ...(hint === undefined ? {} : { hint }) }
}
