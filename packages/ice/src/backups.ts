import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import { LIMITS, UPGRADE_SCHEDULE } from './defaults.ts'
import { DIRECT, tierOf } from './preference.ts'

/** What is asked beside the pair in use: pairs to fall back to, and better ones that did not work before. */
export class Backups {
  #attempts = 0
  #attemptAt = Number.NEGATIVE_INFINITY

  /**
   * The best valid pairs beside the selected one: first those that share neither network nor address with it, then those
   * that share one, so that whatever dies leaves a path.
   */
  of(checklist: Checklist, selected: Pair | undefined): Pair[] {
    const valid = checklist.pairs.filter((pair) => pair !== selected && pair.state === 'succeeded' && !pair.revoked)
    if (valid.length < 2) return valid
    const answering = valid.filter((pair) => !isMute(pair))
    const seen = new Set(selected ? waysOf(selected) : [])
    const backups: Pair[] = []
    for (const fresh of [2, 1, 0]) {
      for (const pair of answering) {
        if (backups.length === LIMITS.backups) return backups
        if (backups.includes(pair)) continue
        const [out, into] = waysOf(pair)
        if (Number(!seen.has(out)) + Number(!seen.has(into)) < fresh) continue
        seen.add(out).add(into)
        backups.push(pair)
      }
    }
    return [...backups, ...valid.filter(isMute)].slice(0, LIMITS.backups)
  }

  /** One backup for each consent tick, the one that has waited longest: each keeps its consent (RFC 7675). */
  next(checklist: Checklist, selected: Pair | undefined): Pair | undefined {
    return this.of(checklist, selected).toSorted((a, b) => a.stats.lastPacketSent - b.stats.lastPacketSent)[0]
  }

  /** Failed pairs that would be better than the selected one: both ends try again, often at first, then less. */
  upgrades(now: number, checklist: Checklist, selected: Pair): Pair[] {
    const tier = tierOf(selected)
    if (tier >= DIRECT || now < this.#attemptAt) return []
    const step = UPGRADE_SCHEDULE.find(({ until }) => this.#attempts < until) ?? UPGRADE_SCHEDULE.at(-1)!
    this.#attempts++
    this.#attemptAt = now + step.every
    const isWorthIt = (pair: Pair) => pair.state === 'failed' && !pair.revoked && tierOf(pair) > tier
    return checklist.pairs.filter((pair) => isWorthIt(pair) && pair.local.protocol === 'udp').slice(0, LIMITS.upgrades)
  }

  /** Candidates or networks have changed: what failed may work now. */
  encourage(): void {
    this.#attempts = 0
    this.#attemptAt = Number.NEGATIVE_INFINITY
  }
}

/** Of some backups the one to send on at once: the first that owes no answer, or the first of all where each does. */
export function likeliest(backups: readonly Pair[]): Pair | undefined {
  return backups.find(({ askedAt }) => askedAt === undefined) ?? backups[0]
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

function waysOf({ base, local, destination }: Pair): readonly [out: string, into: string] {
  return [`out ${local.relayProtocol ?? ''} ${base.ip}`, `in ${destination.ip}`]
}
