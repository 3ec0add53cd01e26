import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import { LIMITS, UPGRADE_SCHEDULE } from './defaults.ts'
import { DIRECT, tierOf } from './preference.ts'

/** What is asked beside the pair in use: pairs to fall back to, and better ones that did not work before. */
export class Backups {
  #round = 0
  #attempts = 0
  #attemptAt = Number.NEGATIVE_INFINITY

  /** The best valid pair of each way out of here and of each address of the peer's, beside the selected one. */
  of(checklist: Checklist, selected: Pair | undefined): Pair[] {
    const seen = new Set(selected ? waysOf(selected) : [])
    const backups: Pair[] = []
    for (const pair of checklist.pairs) {
      if (pair === selected || pair.state !== 'succeeded' || pair.revoked) continue
      const ways = waysOf(pair)
      if (ways.every((way) => seen.has(way)) && backups.length > 0) continue
      for (const way of ways) seen.add(way)
      backups.push(pair)
      if (backups.length === LIMITS.backups) break
    }
    return backups
  }

  /** One backup for each consent tick, in turn: each keeps its consent (RFC 7675) and its round-trip time. */
  next(checklist: Checklist, selected: Pair | undefined): Pair | undefined {
    const backups = this.of(checklist, selected)
    return backups.length > 0 ? backups[this.#round++ % backups.length] : undefined
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

function waysOf({ base, local, destination }: Pair): string[] {
  return [`out ${local.relayProtocol ?? ''} ${base.ip}`, `in ${destination.ip}`]
}
