import { parseArgs } from 'node:util'

/** What to run, and what to do with what fails. */
export type Options = {
  readonly trace: boolean
  readonly shrink: boolean
  readonly keep: boolean
  readonly plain: boolean
  readonly faults: boolean
} & (
  | { readonly mode: 'help' }
  | { readonly mode: 'explore'; readonly from: number; readonly count: number }
  | { readonly mode: 'seed'; readonly seed: number }
  | { readonly mode: 'replay'; readonly file: string }
)

/** The command line is wrong. The message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'ERR_SIM_USAGE'
  readonly hint = 'See: npm run sim -- --help'
}

const DEFAULT_SEEDS = 1_000
/** Seeds are 32-bit numbers to whom randomness is concerned. */
const HIGHEST = 2 ** 32 - 1

/** Throws `UsageError`. */
export function parseOptions(args: readonly string[]): Options {
  const { seeds, from, seed, replay, help, ...flags } = parse(args)
  if (help) return { mode: 'help', ...flags }
  const exploring = seeds !== undefined || from !== undefined
  if ([seed !== undefined, replay !== undefined, exploring].filter(Boolean).length > 1) {
    throw new UsageError('Either --seeds and --from, or --seed, or --replay: one of the three')
  }
  if (flags.plain && flags.faults) throw new UsageError('--plain is without faults: either that or --faults')
  if (replay !== undefined) {
    for (const flag of ['plain', 'faults'] as const)
      if (flags[flag]) throw new UsageError(`--${flag} is about what is drawn by seed, and --replay draws nothing`)
    return { mode: 'replay', file: replay, ...flags }
  }
  if (seed !== undefined) return { mode: 'seed', seed: integer('seed', seed), ...flags }
  if (flags.trace) throw new UsageError('--trace is for one scenario: name it by --seed or --replay')
  const count = integer('seeds', seeds ?? String(DEFAULT_SEEDS))
  return { mode: 'explore', from: integer('from', from ?? '1'), count, ...flags }
}

function parse(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  const value = { type: 'string' } as const
  const options = {
    ...{ seeds: value, from: value, seed: value, replay: value },
    ...{ plain: flag, faults: flag, trace: flag, shrink: flag, keep: flag, help: { ...flag, short: 'h' } },
  } as const
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message.replace(/\. To specify.*/s, ''))
  }
}

function integer(name: string, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= 1 && value <= HIGHEST) return value
  throw new UsageError(`--${name} wants a whole number from 1 to ${HIGHEST}, not '${text}'`)
}
