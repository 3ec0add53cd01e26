import { type Address, sameAddress } from '@floe/stun'
import { Aging } from './aging.ts'
import { Backups, likeliest, successor } from './backups.ts'
import { bestPair } from './best-pair.ts'
import type { Candidate } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import type { ConnectivityOptions } from './connectivity-options.ts'
import { Consent } from './consent.ts'
import { DataHoles } from './data-holes.ts'
import { LIMITS } from './defaults.ts'
import { Liveness } from './liveness.ts'
import { Nomination } from './nomination.ts'
import type { Context } from './outputs.ts'
import { DIRECT, tierOf } from './preference.ts'
import { SwitchHistory, whyMoved } from './switch-history.ts'

/** Which pair carries data, whether it is alive, and what takes its place. */
export class Path {
  readonly nomination = new Nomination()
  readonly backups: Backups
  readonly history = new SwitchHistory()
  readonly consent: Consent
  /** Bytes of the largest packet of the layer above. */
  largestSent = 0
  readonly #context: Context
  readonly #liveness: Liveness
  readonly #lite: boolean
  #selected: Pair | undefined
  /** The selected pair belongs to the generation before an ICE restart. */
  #outlived = false
  #silent = false
  /** The selected pair, since data should move. */
  #leaving: Pair | undefined
  #movedAt = Number.NEGATIVE_INFINITY
  #doubtedAt = Number.NEGATIVE_INFINITY
  #twin: Pair | undefined
  #suspectedAt = Number.NEGATIVE_INFINITY
  #why = ''
  #hasLost = false
  /** Made when there is reason to doubt that data gets through. */
  #holes: DataHoles | undefined
  /** Made at the first death of a pair in use. */
  #aging: Aging | undefined

  constructor(context: Context, { lite, sources }: Pick<ConnectivityOptions, 'lite' | 'sources'>) {
    this.#context = context
    this.backups = new Backups(sources)
    this.#lite = lite
    this.consent = new Consent(context.timing, context.random, !lite)
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
    if (!this.#twin) return undefined
    const isDoubted = this.#liveness.suspects && now < this.#suspectedAt + this.#context.timing.twinFor
    return isDoubted || this.#holes?.isShared(now) ? this.#twin : undefined
  }

  /** The best pair of the checklist to send on. */
  best(now: number, { pairs }: Checklist): Pair | undefined {
    const { nomination, consent } = this
    return bestPair(now, pairs, {
      context: this.#context,
      consent,
      nomination,
      aging: this.#aging,
      selected: this.#selected,
      twin: this.#twin,
      movedAt: this.#movedAt,
    })
  }

  /** Follows the nomination; until there is one, `best` of a new session, or the old pair of a restarted one. */
  select(now: number, best: Pair | undefined, isControlled: boolean): void {
    const { nominee } = this.nomination
    const { timing } = this.#context
    const isOld = nominee && best && this.#aging?.isOld(now, nominee) && !this.#aging.isOld(now, best)
    if (isOld && isControlled && best !== nominee) return this.#leaveOld(now, best)
    if (nominee && (!best || nominee.worth(now, timing) >= best.worth(now, timing)))
      this.#set(now, nominee, this.#why || 'nominated')
    else if (best && isControlled && this.#awaitsWord(now)) this.#twin = best === this.#selected ? undefined : best
    else if (best && !this.#outlived && !this.#lite) {
      if (isControlled && !best.dead && this.#selected?.dead && !this.nomination.isNumbered) best.court(now, timing)
      this.#set(now, best, whyMoved(now, this.#selected, this.#hasLost, this.#aging))
    }
  }

  /** Data should move, if there is anywhere to go: it is dead, lets no data through, or is about to die of its age. */
  isToBeLeft(now: number): boolean {
    const selected = this.#selected
    return selected !== undefined && (!selected.isFit(now) || this.#aging?.isOld(now, selected) === true)
  }

  /**
   * `true` once when data should move, or nobody is waited for any longer. No pair gets better by time alone: from then on
   * data moves when somebody is heard.
   */
  takeDecision(now: number): boolean {
    const before = this.#leaving
    this.#leaving = this.isToBeLeft(now) ? this.#selected : undefined
    return this.nomination.step(now) || (this.#leaving !== undefined && this.#leaving !== before)
  }

  /** Data goes the best kind of way. */
  get isDirect(): boolean {
    return this.#selected?.dead === false && !this.#outlived && tierOf(this.#selected) === DIRECT
  }

  /** The peer sees the pair's packets come from this candidate: another one means that its NAT has made a new mapping. */
  appears(now: number, pair: Pair, local: Candidate): void {
    if (pair.state === 'succeeded' && !sameAddress(local.address, pair.local.address)) {
      if (pair === this.#selected) this.#died(pair, now - pair.bornAt)
      pair.bornAt = now
    }
    pair.local = local
  }

  /** Where another socket is needed soon, since the mapping of the one in use is about to end. */
  takeAgingBase(now: number, { pairs }: Checklist): Address | undefined {
    return this.#aging?.takeNeed(now, pairs, (pair) => this.isAlive(pair, now) && this.hasConsent(pair, now))
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
   * controlled side moves there where its own is dead: nomination before data, but life before both.
   */
  heardElsewhere(now: number, pair: Pair, isControlled: boolean, { pairs }: Checklist): void {
    const selected = this.#selected
    if (!selected || this.#outlived || pair.state !== 'succeeded' || !this.consent.isFresh(pair, now)) return
    // It sends where it has been told to: its answer, which got lost, is not waited for.
    if (!isControlled && this.nomination.isUnderWay(pair)) {
      this.nomination.confirmed(pair, pair.nomination)
      return this.#set(now, pair, 'the peer’s data follows the nomination')
    }
    // Told to use it, this side does so as soon as it answers: it is asked.
    if (isControlled && pair === this.nomination.nominee) return
    // What comes over an old pair that this side has just left shows that the other one has not followed yet.
    if (pairs.includes(pair) && pair.isFit(now) && !this.#aging?.isOld(now, pair)) {
      this.#twin = pair
      this.#dataHoles.heardElsewhere(now, selected, this.#movedAt)
    }
    this.#doubtSelected(now, selected)
    // Where our own questions go unanswered, its data alone is no reason to go: nothing of ours would arrive there.
    if (!isControlled || !pair.isFit(now)) return
    if (selected.isFit(now) || this.#awaitsWord(now)) return
    this.nomination.follow(pair)
    this.#set(now, pair, 'the peer’s data has moved here')
  }

  /** The peer's data has come over the pair in use. */
  heardHere(now: number): void {
    this.#holes?.heardHere(now)
  }

  /** The layer above gets no answers, though checks do: its packets take a second pair too, and their size is asked about. */
  noProgress(now: number, checklist: Checklist): void {
    const selected = this.#selected
    if (!selected || this.#outlived || this.#lite) return
    const backups = this.#backupsOf(now, checklist, selected)
    if (backups.length === 0) return
    this.#twin = successor(backups, this.twin(now), now - this.#context.timing.shareFor)
    this.#dataHoles.noProgress(now, selected, this.largestSent)
  }

  /** RFC 7675 §5.1: the peer has agreed to be sent to, and not too long ago. */
  hasConsent(pair: Pair, now: number): boolean {
    return this.consent.isFresh(pair, now)
  }

  /** The peer checks a pair whose consent we have let run out while another was in use: it has to agree again first. */
  reconsider(now: number, pair: Pair): void {
    if (this.#lite || pair.state !== 'succeeded' || pair === this.#selected) return
    if (!this.hasConsent(pair, now)) pair.state = 'waiting'
  }

  /** It has been found neither dead nor a hole for data, and something has come over it within `disconnectedTimeout`. */
  isAlive(pair: Pair, now: number): boolean {
    return pair.worth(now, this.#context.timing) === 2
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
    this.consent.watch(0, undefined)
    this.#liveness.watch(undefined)
  }

  /** The selected pair when its consent has just run out (RFC 7675 §5.1): no byte may leave on it any more. */
  takeExpired(now: number): Pair | undefined {
    return this.#selected && !this.consent.isFresh(this.#selected, now) ? this.#selected : undefined
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
      const isTrusted = !this.isSilent(pair, now) && this.consent.isFresh(pair, now)
      if (pair.state === 'succeeded' && pair !== this.#selected && !isTrusted) pair.state = 'waiting'
    }
  }

  /** Pairs to probe now: the selected one when its silence is odd, and all backups as soon as it is suspected. */
  takeProbes(now: number, checklist: Checklist): readonly Pair[] {
    const selected = this.#selected
    const wasSuspected = this.#liveness.suspects
    this.#aging?.step(now)
    const step = this.#lite ? undefined : this.#liveness.step(now)
    if (!selected) return []
    if (!step) return this.#takeLargeProbes(now, selected, checklist)
    if (step === 'dead') {
      this.#bury(now, selected)
      return []
    }
    if (!this.#liveness.suspects) return [selected]
    const backups = this.#backupsOf(now, checklist, selected, this.#liveness.probes)
    this.#twin = likeliest(backups)
    if (!wasSuspected) {
      this.#suspectedAt = now
      this.#context.log(now, 'suspect', () => selected.id, 'no answer on the selected pair')
      this.#context.emit({ type: 'suspicion' })
    }
    // As long as none of them answers, more are asked each time.
    return [selected, ...backups.filter(({ stats }) => stats.lastPacketSent < this.#suspectedAt)]
  }

  /** What goes with a consent check: a backup, and better pairs that have failed before. */
  takeCompany(now: number, checklist: Checklist): readonly Pair[] {
    const selected = this.#selected
    if (!selected || this.#outlived) return []
    if (now < selected.lastDataAt + this.#context.timing.activeFor) this.#askLarge(now, selected)
    const backup = this.backups.next(now, checklist, selected)
    const upgrades = this.backups.upgrades(now, checklist, selected)
    const others = new Set([this.nomination.nominee, backup, ...upgrades])
    return [...others].filter((pair): pair is Pair => pair !== undefined && pair !== selected)
  }

  timeout(): number {
    const { timing } = this.#context
    const selected = this.#selected
    if (!selected) return Number.POSITIVE_INFINITY
    const silence = this.#silent
      ? Number.POSITIVE_INFINITY
      : selected.stats.lastPacketReceived + timing.disconnectedTimeout
    const liveness = this.#lite ? Number.POSITIVE_INFINITY : this.#liveness.timeout()
    const large = this.#holes?.timeout() ?? Number.POSITIVE_INFINITY
    const aging = this.#aging?.timeout() ?? Number.POSITIVE_INFINITY
    return Math.min(this.consent.timeout(), silence, liveness, large, aging, this.nomination.timeout())
  }

  #backupsOf(now: number, checklist: Checklist, selected: Pair, rounds = 1): readonly Pair[] {
    return this.backups.of(now, checklist, selected, rounds * LIMITS.backups).filter(({ dead }) => !dead)
  }

  #doubtSelected(now: number, selected: Pair): void {
    const { doubtInterval, doubtPause } = this.#context.timing
    const pause = this.#holes?.isElsewhere ? doubtInterval : doubtPause
    if (now < Math.max(this.#doubtedAt + pause, this.#movedAt + doubtInterval)) return
    this.#doubtedAt = now
    selected.doubtedAt = now
  }

  /** Made when there is first reason to ask. */
  get #dataHoles(): DataHoles {
    return (this.#holes ??= new DataHoles(this.#context))
  }

  #askLarge(now: number, selected: Pair): void {
    const { largeFloor } = this.#context.timing
    if (this.largestSent < largeFloor) return
    this.#dataHoles.askLarge(now, selected, this.largestSent)
  }

  #takeLargeProbes(now: number, selected: Pair, checklist: Checklist): readonly Pair[] {
    if (!this.#holes || now < this.#holes.timeout()) return []
    const backups = this.#backupsOf(now, checklist, selected).filter((pair) => pair.isFit(now))
    return this.#holes.takeProbes(now, selected, backups, this.#liveness.suspects)
  }

  #bury(now: number, pair: Pair): void {
    if (pair.die(now, this.#context.timing)) {
      this.#died(pair, pair.stats.lastPacketReceived - pair.bornAt)
      this.nomination.awaitFrom(now, this.#context.timing)
    }
    this.#context.log(now, 'dead', () => pair.id, 'no answer to several probes')
  }

  #died(pair: Pair, age: number): void {
    this.#aging ??= new Aging()
    this.#aging.died(pair, age)
    this.#aging.watch(this.#selected)
  }

  /** Controlled: the peer cannot know that our NAT is about to end the mapping. Its data will follow ours. */
  #leaveOld(now: number, pair: Pair): void {
    this.nomination.follow(pair)
    this.#set(now, pair, 'the pair before is about to die of its age')
  }

  /** The peer is about to find the same, and chooses for both: until then data takes both paths, and not two steps. */
  #awaitsWord(now: number): boolean {
    return this.nomination.isAwaited(now) && this.#selected?.dead === true
  }

  #set(now: number, pair: Pair, reason: string): void {
    const before = this.#selected
    if (pair === before) return
    if (before || this.#hasLost) this.history.note(now, before, pair, reason)
    if (before) before.selected = false
    pair.selected = true
    this.#selected = pair
    if (this.#context.verdicts) this.#context.verdicts.selected = pair
    this.#outlived = false
    this.#silent = false
    this.nomination.awaitNoMore()
    this.#movedAt = now
    this.#twin = undefined
    this.#holes?.reset(now)
    this.#aging?.watch(pair)
    this.consent.watch(now, pair)
    this.#liveness.watch(pair)
    this.#context.log(now, 'selected', () => pair.id, reason)
    this.#context.emit({ type: 'selectedpair', pair, reason })
  }

  #clear(now: number): void {
    this.#hasLost = true
    if (this.#selected) this.#selected.selected = false
    this.#selected = undefined
    if (this.#context.verdicts) this.#context.verdicts.selected = undefined
    this.#outlived = false
    this.#aging?.watch(undefined)
    this.consent.watch(now, undefined)
    this.#liveness.watch(undefined)
  }
}
