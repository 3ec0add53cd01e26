import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import type { ConnectivityOptions } from './connectivity-options.ts'
import { DIRECT_UPGRADE, LIMITS, UPGRADE_SCHEDULE } from './defaults.ts'
import { DIRECT, tierOf } from './preference.ts'
import { sharedWays, type Ways, waysOf } from './ways.ts'

/** What is asked beside the pair in use: pairs to fall back to, and better ones that did not work before. */
export class Backups {
  readonly #sources: ConnectivityOptions['sources']
  #attempts = 0
  #attemptAt = Number.NEGATIVE_INFINITY
  /** As of the last time. */
  #wasDirect = false
  #pairCount = 0

  constructor(sources: ConnectivityOptions['sources']) {
    this.#sources = sources
  }

  /**
   * The best valid pairs beside the selected one, so that whatever dies leaves a path: the best over another network of
   * ours, the best to another one of the peer's, the best over a relay, and the best over each further network.
   */
  of(now: number, { pairs }: Checklist, selected: Pair, count: number = LIMITS.backups): Pair[] {
    const valid = pairs.filter((pair) => pair !== selected && pair.state === 'succeeded' && !pair.revoked)
    if (valid.length < 2) return valid
    const usable = valid.filter((pair) => pair.isFit(now) && !isMute(pair))
    const sources = this.#sources()
    const used = waysOf(selected, sources)
    const choices = usable.map((pair): Choice => ({ pair, ways: waysOf(pair, sources) }))
    const ranked = rank(choices, used).map(({ pair }) => pair)
    return [...ranked, ...valid.filter((pair) => !ranked.includes(pair))].slice(0, count)
  }

  /** One backup for each consent tick, the one that has waited longest: each keeps its consent (RFC 7675). */
  next(now: number, checklist: Checklist, selected: Pair): Pair | undefined {
    return this.of(now, checklist, selected).toSorted((a, b) => a.stats.lastPacketSent - b.stats.lastPacketSent)[0]
  }

  /**
   * Pairs that would be better than the selected one, and have failed or not been heard for long: both ends try again,
   * often at first, then less.
   */
  upgrades(now: number, { pairs }: Checklist, selected: Pair): Pair[] {
    const isDirect = tierOf(selected) >= DIRECT
    if (isDirect !== this.#wasDirect || pairs.length > this.#pairCount) this.encourage()
    this.#wasDirect = isDirect
    this.#pairCount = pairs.length
    if (now < this.#attemptAt) return []
    this.#attemptAt = now + this.#pause(isDirect)
    this.#attempts++
    return pairs.filter((pair) => isUpgrade(now, pair, selected)).slice(0, LIMITS.upgrades)
  }

  /** Candidates or networks have changed, or data takes a relay again: what failed may work now. */
  encourage(): void {
    this.#attempts = 0
    this.#attemptAt = Number.NEGATIVE_INFINITY
  }

  #pause(isDirect: boolean): number {
    if (isDirect) return DIRECT_UPGRADE.every
    const step = UPGRADE_SCHEDULE.find(({ until }) => this.#attempts < until) ?? UPGRADE_SCHEDULE.at(-1)!
    return step.every
  }
}

/** Of some backups the one to send on at once: the first that owes no answer, or the first of all where each does. */
export function likeliest(backups: readonly Pair[]): Pair | undefined {
  return backups.find(({ askedAt }) => askedAt === undefined) ?? backups[0]
}

/** The one to send on when nothing has come of it over `tried`: that, as long as data of the peer's has come there `since`. */
export function successor(backups: readonly Pair[], tried: Pair | undefined, since: number): Pair | undefined {
  if (!tried) return likeliest(backups)
  return tried.lastDataAt > since ? tried : backups[(backups.indexOf(tried) + 1) % backups.length]
}

/** Of direct pairs those that ICE would rather have, unless there is little to be gained. */
function isUpgrade(now: number, pair: Pair, selected: Pair): boolean {
  if (pair.local.protocol !== 'udp' || pair.revoked) return false
  const isStale = pair.state === 'succeeded' && now >= pair.stats.lastPacketReceived + STALE_AFTER
  if (pair.state !== 'failed' && !isStale) return false
  const gain = tierOf(pair) - tierOf(selected)
  const isSlow = (selected.smoothedRoundTripTime ?? 0) > DIRECT_UPGRADE.goodEnough
  return gain > 0 || (gain === 0 && tierOf(pair) === DIRECT && isSlow && pair.priority > selected.priority)
}

interface Choice {
  readonly pair: Pair
  readonly ways: Ways
}

/** In the order in which they are wanted. */
function rank(choices: readonly Choice[], used: Ways): readonly Choice[] {
  const byDistance = (a: Choice, b: Choice) => sharedWays(a.ways, used) - sharedWays(b.ways, used)
  const distant = choices.toSorted(byDistance)
  const wanted = [
    choices.find(({ ways }) => ways.ours !== used.ours),
    choices.find(({ ways }) => isElsewhere(ways, used)),
    distant.find(({ ways }) => ways.relays.length > 0),
  ]
  // What has least in common with the pair in use is the likeliest to outlive it.
  const chosen = new Set(wanted.filter((choice) => choice !== undefined).toSorted(byDistance))
  for (const choice of choices) {
    const isFurther = ({ ours, peers }: Ways) => ours !== choice.ways.ours || isElsewhere({ peers }, choice.ways)
    if ([used, ...[...chosen].map(({ ways }) => ways)].every(isFurther)) chosen.add(choice)
  }
  for (const choice of distant) chosen.add(choice)
  return [...chosen]
}

function isElsewhere(a: Pick<Ways, 'peers'>, b: Pick<Ways, 'peers'>): boolean {
  return a.peers !== undefined && b.peers !== undefined && a.peers !== b.peers
}

/**
 * It has not answered two questions in a row, like what led through a mapping that is gone: it takes no room from those
 * that do.
 */
function isMute({ askedAt, stats }: Pair): boolean {
  return askedAt !== undefined && stats.lastPacketSent >= askedAt + MUTE_AFTER
}

/** Milliseconds between the first and the last of them. A suspicion asks several within less. */
const MUTE_AFTER = 4_000
/** Milliseconds of silence after which a valid pair counts as one that does not work. */
const STALE_AFTER = 10_000
