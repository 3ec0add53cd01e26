import type { Aging } from './aging.ts'
import type { Pair } from './candidate-pair.ts'
import type { Consent } from './consent.ts'
import type { Nomination } from './nomination.ts'
import type { Context } from './outputs.ts'
import { isBetter } from './preference.ts'

/** What counts beside the pairs themselves. */
export interface Standing {
  readonly context: Context
  readonly consent: Consent
  readonly nomination: Nomination
  readonly aging: Aging | undefined
  readonly selected: Pair | undefined
  readonly twin: Pair | undefined
  /** When data moved to the selected pair. */
  readonly movedAt: number
}

/** The best of these pairs to send on. The one in use stays unless another is better by more than chance. */
export function bestPair(now: number, pairs: readonly Pair[], standing: Standing): Pair | undefined {
  const { context, consent, nomination, aging, selected, twin, movedAt } = standing
  const { timing, verdicts } = context
  const isUsable = (pair: Pair) => pair.state === 'succeeded' && consent.isFresh(pair, now)
  const usable = pairs.filter((pair) => isUsable(pair) && verdicts?.of(pair) !== 'exclude')
  const alive = usable.filter((pair) => pair.isFit(now))
  const responsive = alive.filter((pair) => pair.speaks(now, timing))
  const heard = aging?.lasting(now, responsive) ?? responsive
  // What the two sides have agreed on stays, and without an agreement that lives what is in use: what data has moved to
  // a moment ago owes an answer, and the other backups would get their turns one after the other.
  const settled = [nomination.nominee, selected]
  let best = [heard.find((pair) => now < pair.courtedUntil), ...settled].find((pair) => pair && heard.includes(pair))
  if (best && verdicts?.of(best) === 'hold') return best
  // What has been nominated in place of an old one is waited for: there is time.
  if (heard !== responsive) best ??= heard.find((pair) => nomination.isUnderWay(pair))
  // In its place comes what has answered the last question: at the death of a path all backups are asked.
  const answered = best ? heard : heard.filter(({ askedAt }) => askedAt === undefined)
  // A hole for data, or what has been taken for one, is better than what says nothing at all.
  const answering = usable.filter((pair) => pair.worth(now, timing) > 0)
  const [pool = []] = [answered, heard, answering, alive, usable].filter(({ length }) => length > 0)
  const incumbent = best
  // What has just been moved to is not left for another that has not answered either; and data goes over the twin already.
  best ??= pool.find((pair) => pair === selected) ?? pool.find((pair) => pair === twin)
  const isBeaten = (by: Pair, since: number) =>
    !best || (isBetter(now, by, best, context, since) && !by.isOnProbation(now))
  // What the peer has been told already comes first: another that is no better would make it move twice.
  for (const pair of nomination.toldFirst(pool)) {
    const isTold = best !== undefined && best !== selected && nomination.isTold(best)
    if (isBeaten(pair, incumbent && !isTold ? movedAt : now)) best = pair
  }
  if (!incumbent || !best || best === incumbent || nomination.isTold(best)) return best
  // Where data leaves what it was on in any case, it goes to the best of all.
  for (const pair of pool) if (isBeaten(pair, pair.validAt)) best = pair
  return best
}
