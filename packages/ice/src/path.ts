import { Backups } from './backups.ts'
import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import { Consent } from './consent.ts'
import { Liveness } from './liveness.ts'
import { Nomination } from './nomination.ts'
import type { Context } from './outputs.ts'
import { isBetter } from './preference.ts'

/** Which pair carries data, whether it is alive, and what takes its place. */
export class Path {
  readonly nomination = new Nomination()
  readonly backups = new Backups()
  readonly #context: Context
  readonly #consent: Consent
  readonly #liveness: Liveness
  readonly #lite: boolean
  #selected: Pair | undefined
  /** The selected pair belongs to the generation before an ICE restart. */
  #outlived = false
  #silent = false
  #movedAt = Number.NEGATIVE_INFINITY
  #twin: Pair | undefined
  #twinUntil = Number.NEGATIVE_INFINITY
  #why = ''
  #hasLost = false

  constructor(context: Context, lite: boolean) {
    this.#context = context
    this.#lite = lite
    this.#consent = new Consent(context.timing, context.random, !lite)
    this.#liveness = new Liveness(context.timing)
  }

  /** The pair that data is sent on. RFC 8445 §12.1: a valid one until one is nominated. */
  get selected(): Pair | undefined {
    return this.#selected
  }

  /** The selected pair is the one of the generation before an ICE restart: it serves until the new one has its own. */
  get outlived(): boolean {
    return this.#outlived
  }

  /**
   * A second pair that data goes over while the selected one is under suspicion: what arrives twice is told apart above
   * (DTLS by its record numbers, RFC 6347 §4.1.2.6), what does not arrive at all is lost.
   */
  twin(now: number): Pair | undefined {
    return this.#twin && this.#liveness.suspects && now < this.#twinUntil ? this.#twin : undefined
  }

  /** The best pair of the checklist to send on. The one in use stays unless another is better by more than chance. */
  best(now: number, checklist: Checklist): Pair | undefined {
    const { timing } = this.#context
    const usable = checklist.pairs.filter((pair) => pair.state === 'succeeded' && this.#consent.isFresh(pair, now))
    const alive = usable.filter((pair) => !pair.dead)
    const heard = alive.filter((pair) => !this.isSilent(pair, now))
    // What the two sides have agreed on stays, and without an agreement what is in use.
    const incumbent = this.nomination.nominee ?? this.#selected
    let best = heard.find((pair) => pair === incumbent)
    // Moved to at this instant, and asked: it has not had the time to answer, and all backups would get their turn at once.
    if (this.#movedAt === now) best ??= heard.find((pair) => pair === this.#selected)
    // In its place comes what has answered the last question: at the death of a path all backups are asked.
    const answered = best ? heard : heard.filter(({ askedAt }) => askedAt === undefined)
    const [pool = []] = [answered, heard, alive, usable].filter(({ length }) => length > 0)
    const since = best ? this.#movedAt : now
    // What has just been moved to is not left for another that has not answered either; and data goes over the twin already.
    best ??= pool.find((pair) => pair === this.#selected) ?? pool.find((pair) => pair === this.#twin)
    // What the peer has been told already comes first: another that is no better would make it move twice.
    for (const pair of pool.toSorted(
      (a, b) => Number(this.nomination.isUnderWay(b)) - Number(this.nomination.isUnderWay(a)),
    )) {
      if (!best || (isBetter(now, pair, best, timing, since) && !isOnProbation(pair, now))) best = pair
    }
    return best
  }

  /** Follows the nomination; until there is one, `best` of a new session, or the old pair of a restarted one. */
  select(now: number, best: Pair | undefined): void {
    const { nominee } = this.nomination
    if (nominee && (this.isAlive(nominee, now) || !best || !this.isAlive(best, now)))
      this.#set(now, nominee, this.#why || 'nominated')
    else if (best && !this.#outlived && !this.#lite) this.#set(now, best, this.#whyMove())
  }

  /** Controlling: the peer has answered our nomination. */
  confirmed(now: number, pair: Pair, value: number): void {
    if (!this.nomination.confirmed(pair, value)) return
    this.#why = 'nominated'
    this.#context.log(now, 'nominated', () => pair.id, 'the peer answered the nomination')
  }

  /** Controlled: whether the peer's nomination of this valid pair is followed. */
  nominatedByPeer(now: number, pair: Pair, value: number | undefined): boolean {
    const { nominee } = this.nomination
    const reason = this.nomination.receive(pair, value, nominee !== undefined && !this.isAlive(nominee, now))
    if (!reason) return false
    this.#why = reason
    this.#context.log(now, 'nominated', () => pair.id, reason)
    return true
  }

  /**
   * The peer's data has come over another pair: perhaps it does not hear us over the selected one, so that is asked. The
   * controlled side moves there where it has doubts of its own: nomination before data, but life before both.
   */
  heardElsewhere(now: number, pair: Pair, isControlled: boolean): void {
    const selected = this.#selected
    if (!selected || this.#outlived || pair.state !== 'succeeded' || !this.#consent.isFresh(pair, now)) return
    // It sends where it has been told to: its answer, which got lost, is not waited for.
    if (!isControlled && this.nomination.isUnderWay(pair)) {
      this.nomination.confirmed(pair, pair.nomination)
      return this.#set(now, pair, 'the peer’s data follows the nomination')
    }
    if (now >= (selected.doubtedAt ?? this.#movedAt) + this.#context.timing.doubtInterval) selected.doubtedAt = now
    // Where our own questions go unanswered, its data alone is no reason to go: nothing of ours would arrive there.
    if (!isControlled || pair.dead || (!selected.dead && !this.#liveness.suspects)) return
    this.nomination.follow(pair)
    this.#set(now, pair, 'the peer’s data has moved here')
  }

  /** RFC 7675 §5.1: the peer has agreed to be sent to, and not too long ago. */
  hasConsent(pair: Pair, now: number): boolean {
    return this.#consent.isFresh(pair, now)
  }

  /** It has not been found dead, and something has come over it within `disconnectedTimeout`. */
  isAlive(pair: Pair, now: number): boolean {
    return !pair.dead && !this.isSilent(pair, now)
  }

  isSilent(pair: Pair, now: number): boolean {
    return now >= pair.stats.lastPacketReceived + this.#context.timing.disconnectedTimeout
  }

  /** The pair failed or is gone. */
  drop(now: number, pair: Pair): void {
    this.nomination.withdraw(pair)
    if (this.#twin === pair) this.#twin = undefined
    if (this.#selected === pair) this.#clear(now)
  }

  /** The network has changed: the selected pair is asked at once, and what has failed before is tried again. */
  doubt(now: number): void {
    if (this.#selected) this.#selected.doubtedAt ??= now
    this.backups.encourage()
  }

  restart(): void {
    this.#outlived = this.#selected !== undefined
    // Nobody looks after the other pairs of before, such as when a relay is lost that they lead through.
    this.#twin = undefined
    this.nomination.restart()
    this.backups.encourage()
  }

  close(): void {
    this.#selected = undefined
    this.nomination.nominee = undefined
    this.#consent.watch(0, undefined)
    this.#liveness.watch(undefined)
  }

  /** The selected pair when its consent has just run out (RFC 7675 §5.1): no byte may leave on it any more. */
  takeExpired(now: number): Pair | undefined {
    return this.#selected && !this.#consent.isFresh(this.#selected, now) ? this.#selected : undefined
  }

  /** `true` once when the selected pair has fallen silent. */
  takeSilent(now: number): boolean {
    const before = this.#silent
    this.#silent = this.#selected !== undefined && this.isSilent(this.#selected, now)
    return this.#silent && !before
  }

  /** The selected pair is silent or lost: every other path is tried again, in the usual order and pace. */
  revalidate(now: number, checklist: Checklist): void {
    for (const pair of checklist.pairs) {
      const isTrusted = !this.isSilent(pair, now) && this.#consent.isFresh(pair, now)
      if (pair.state === 'succeeded' && pair !== this.#selected && !isTrusted) pair.state = 'waiting'
    }
  }

  /** Pairs to probe now: the selected one when its silence is odd, and all backups as soon as it is suspected. */
  takeProbes(now: number, checklist: Checklist): readonly Pair[] {
    const selected = this.#selected
    const wasSuspected = this.#liveness.suspects
    const step = this.#lite ? undefined : this.#liveness.step(now)
    if (!step || !selected) return []
    if (step === 'dead') {
      this.#bury(now, selected)
      return []
    }
    if (!this.#liveness.suspects) return [selected]
    const backups = this.backups.of(checklist, selected).filter(({ dead }) => !dead)
    this.#twin = backups.find(({ askedAt }) => askedAt === undefined) ?? backups[0]
    if (wasSuspected) return [selected]
    this.#twinUntil = now + this.#context.timing.twinFor
    this.#context.log(now, 'suspect', () => selected.id, 'no answer on the selected pair')
    return [selected, ...backups]
  }

  takeConsentUrgent(now: number): Pair | undefined {
    return this.#consent.takeUrgent(now)
  }

  takeConsentDue(now: number): Pair | undefined {
    return this.#consent.take(now)
  }

  /** What goes with a consent check: a backup, and better pairs that have failed before. */
  takeCompany(now: number, checklist: Checklist): readonly Pair[] {
    const selected = this.#selected
    if (!selected || this.#outlived) return []
    const backup = this.backups.next(checklist, selected)
    const upgrades = this.backups.upgrades(now, checklist, selected)
    return backup ? [backup, ...upgrades] : upgrades
  }

  timeout(): number {
    const { timing } = this.#context
    const selected = this.#selected
    if (!selected) return Number.POSITIVE_INFINITY
    const silence = this.#silent
      ? Number.POSITIVE_INFINITY
      : selected.stats.lastPacketReceived + timing.disconnectedTimeout
    const liveness = this.#lite ? Number.POSITIVE_INFINITY : this.#liveness.timeout()
    return Math.min(this.#consent.timeout(), silence, liveness)
  }

  #bury(now: number, pair: Pair): void {
    const { probation, maxProbation } = this.#context.timing
    pair.dead = true
    pair.probationUntil = now + Math.min(maxProbation, probation * 2 ** pair.deaths++)
    this.#context.log(now, 'dead', () => pair.id, 'no answer to several probes')
  }

  #whyMove(): string {
    const selected = this.#selected
    if (!selected) return this.#hasLost ? 'the pair before is gone' : 'first valid pair'
    return selected.dead ? 'the pair before is dead' : 'better than the pair before'
  }

  #set(now: number, pair: Pair, reason: string): void {
    const before = this.#selected
    if (pair === before) return
    if (before) before.selected = false
    pair.selected = true
    this.#selected = pair
    this.#outlived = false
    this.#silent = false
    this.#movedAt = now
    this.#twin = undefined
    this.#consent.watch(now, pair)
    this.#liveness.watch(pair)
    this.#context.log(now, 'selected', () => pair.id, reason)
    this.#context.emit({ type: 'selectedpair', pair, reason })
  }

  #clear(now: number): void {
    this.#hasLost = true
    if (this.#selected) this.#selected.selected = false
    this.#selected = undefined
    this.#outlived = false
    this.#consent.watch(now, undefined)
    this.#liveness.watch(undefined)
  }
}

/** It died not long ago: a path that comes and goes must not take the data with it. */
function isOnProbation(pair: Pair, now: number): boolean {
  return now < pair.probationUntil
}
