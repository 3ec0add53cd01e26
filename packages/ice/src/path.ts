import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import { Consent } from './consent.ts'
import { Nomination } from './nomination.ts'
import type { Context } from './outputs.ts'

/** Which pair carries data, whether it is alive, and what takes its place. */
export class Path {
  readonly nomination = new Nomination()
  readonly #context: Context
  readonly #consent: Consent
  readonly #lite: boolean
  #selected: Pair | undefined
  /** The selected pair belongs to the generation before an ICE restart. */
  #outlived = false
  #silent = false
  #why = ''

  constructor(context: Context, lite: boolean) {
    this.#context = context
    this.#lite = lite
    this.#consent = new Consent(context.timing, context.random)
  }

  /** The pair that data is sent on. RFC 8445 §12.1: a valid one until one is nominated. */
  get selected(): Pair | undefined {
    return this.#selected
  }

  /** The selected pair is the one of the generation before an ICE restart: it serves until the new one has its own. */
  get outlived(): boolean {
    return this.#outlived
  }

  /** The best pair of the checklist to send on: alive before silent, then by priority. */
  best(now: number, checklist: Checklist): Pair | undefined {
    const usable = (pair: Pair) => pair.state === 'succeeded' && this.hasConsent(pair, now)
    return checklist.best((pair) => usable(pair) && this.isAlive(pair, now)) ?? checklist.best(usable)
  }

  /** Follows the nomination; until there is one, `best` of a new session, or the old pair of a restarted one. */
  select(now: number, best: Pair | undefined): void {
    const { nominee } = this.nomination
    if (nominee && (this.isAlive(nominee, now) || !best || !this.isAlive(best, now)))
      this.#set(now, nominee, this.#why || 'nominated')
    else if (best && !this.#outlived && !this.#lite)
      this.#set(now, best, this.#selected ? 'the pair before is silent' : 'first valid pair')
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

  /** Anything has come over the pair within `disconnectedTimeout`. */
  isAlive(pair: Pair, now: number): boolean {
    return now < pair.stats.lastPacketReceived + this.#context.timing.disconnectedTimeout
  }

  /** RFC 7675: the peer has answered on it not too long ago, so that data may be sent. */
  hasConsent(pair: Pair, now: number): boolean {
    return this.#consent.isFresh(pair, now)
  }

  /** The pair failed or is gone. */
  drop(now: number, pair: Pair): void {
    this.nomination.withdraw(pair)
    if (this.#selected === pair) this.#clear(now)
  }

  restart(): void {
    this.#outlived = this.#selected !== undefined
    this.nomination.nominee = undefined
  }

  close(): void {
    this.#selected = undefined
    this.nomination.nominee = undefined
    this.#consent.watch(0, undefined)
  }

  /** The selected pair when its consent has just run out (RFC 7675 §5.1): no byte may leave on it any more. */
  takeExpired(now: number): Pair | undefined {
    return this.#selected && !this.#consent.isFresh(this.#selected, now) ? this.#selected : undefined
  }

  /** `true` once when the selected pair has fallen silent. */
  takeSilent(now: number): boolean {
    const before = this.#silent
    this.#silent = this.#selected !== undefined && !this.isAlive(this.#selected, now)
    return this.#silent && !before
  }

  takeConsentDue(now: number): Pair | undefined {
    return this.#consent.take(now)
  }

  timeout(): number {
    const { timing } = this.#context
    const selected = this.#selected
    if (!selected) return Number.POSITIVE_INFINITY
    const silence = this.#silent
      ? Number.POSITIVE_INFINITY
      : selected.stats.lastPacketReceived + timing.disconnectedTimeout
    return Math.min(this.#consent.timeout(), silence)
  }

  #set(now: number, pair: Pair, reason: string): void {
    if (pair === this.#selected) return
    if (this.#selected) this.#selected.selected = false
    pair.selected = true
    this.#selected = pair
    this.#outlived = false
    this.#silent = false
    this.#consent.watch(now, pair)
    this.#context.log(now, 'selected', () => pair.id, reason)
    this.#context.emit({ type: 'selectedpair', pair, reason })
  }

  #clear(now: number): void {
    if (this.#selected) this.#selected.selected = false
    this.#selected = undefined
    this.#outlived = false
    this.#consent.watch(now, undefined)
  }
}
