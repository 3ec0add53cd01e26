import type { CandidatePair, Pair } from './candidate-pair.ts'
import { IceError } from './error.ts'

/**
 * What the application wants of a pair. `hold`: data that goes over it stays there as long as it works, whatever else
 * there is. `prefer`: it comes before all pairs that are not preferred, whatever they are made of. `exclude`: no data goes
 * over it, and it is neither checked nor answered, so that the peer leaves it too.
 */
export type PathVerdict = 'hold' | 'prefer' | 'exclude'

/**
 * Asked about a pair whenever it matters, and at least with each consent check (5 s): it may change its mind, and has to
 * be quick. `undefined`: no wish. Which pair is used is the controlling side's to say: on the controlled side `exclude`
 * counts at once, and the others only until the peer nominates.
 */
export type PathPolicy = (pair: CandidatePair, selected: CandidatePair | undefined) => PathVerdict | undefined

export interface PathPolicyOptions {
  /** Default: no wishes. */
  readonly pathPolicy?: PathPolicy
  /** Data goes over a relay while one works, and direct paths are kept for when none does. Default: false. */
  readonly preferRelay?: boolean
}

/** The application's wishes, at hand where pairs are formed, checked and chosen. */
export class PathVerdicts {
  /** Kept up to date by `Path`. */
  selected: Pair | undefined
  readonly #policy: PathPolicy | undefined
  readonly #preferRelay: boolean

  private constructor({ pathPolicy, preferRelay = false }: PathPolicyOptions) {
    this.#policy = pathPolicy
    this.#preferRelay = preferRelay
  }

  /** `undefined` where there are no wishes. Throws ERR_ICE_ARGUMENT. */
  static of(options: PathPolicyOptions): PathVerdicts | undefined {
    const { pathPolicy, preferRelay } = options
    if (pathPolicy !== undefined && typeof pathPolicy !== 'function')
      throw new IceError('ERR_ICE_ARGUMENT', 'pathPolicy has to be a function of a pair and the selected pair')
    return pathPolicy || preferRelay ? new PathVerdicts(options) : undefined
  }

  /** Throws ERR_ICE_ARGUMENT for a verdict that is none. */
  of(pair: Pair): PathVerdict | undefined {
    const verdict = this.#policy?.(pair, this.selected)
    if (verdict === undefined) return this.#preferRelay && isRelayed(pair) ? 'prefer' : undefined
    if (VERDICTS.has(verdict)) return verdict
    throw new IceError('ERR_ICE_ARGUMENT', `pathPolicy returned "${verdict}": use hold, prefer, exclude or undefined`)
  }
}

const VERDICTS: ReadonlySet<string> = new Set<PathVerdict>(['hold', 'prefer', 'exclude'])

function isRelayed({ local, remote }: CandidatePair): boolean {
  return local.type === 'relay' || remote.type === 'relay'
}
