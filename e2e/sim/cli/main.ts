/** `npm run sim`. */
import { drawerOf } from './drawer.ts'
import { HELP } from './help.ts'
import { type Options, parseOptions, UsageError } from './options.ts'
import { playOne, readScenario } from './play.ts'
import { exploreSeeds } from './search.ts'
import type { Surroundings } from './surroundings.ts'

/** What the process ends with. Stable: scripts rely on it. */
export const EXIT = { held: 0, failed: 1, usage: 2 } as const

/** Runs the command line `args` and returns the exit code. */
export function main(args: readonly string[], surroundings: Surroundings): number {
  try {
    const options = parseOptions(args)
    if (options.mode === 'help') surroundings.print(HELP.trimEnd())
    else if (!holds(options, surroundings)) return EXIT.failed
    return EXIT.held
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    surroundings.complain(`${error.message}.\n${error.hint}`)
    return EXIT.usage
  }
}

function holds(options: Exclude<Options, { mode: 'help' }>, surroundings: Surroundings): boolean {
  switch (options.mode) {
    case 'explore':
      return exploreSeeds(options, surroundings)
    case 'seed':
      return playOne(drawerOf(options).draw(options.seed), options, surroundings)
    case 'replay':
      return playOne(readScenario(options.file), options, surroundings)
  }
}
