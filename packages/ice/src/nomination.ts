import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import { FirstNomination } from './first-nomination.ts'

/** Which pair the two sides agree on. RFC 8445 §8.1, and renomination (draft-thatcher-ice-renomination). */
export class Nomination {
  readonly first = new FirstNomination()
  /** The pair that holds the nomination; on the controlling side once the peer has answered it. */
  nominee: Pair | undefined
  #sent = 0
  #received = 0
  /** Until then the peer has the choice of what takes the place of a dead pair. */
  #awaitedUntil = Number.POSITIVE_INFINITY

  /** Controlled: the peer numbers its nominations, and so thinks of more than one. */
  get isNumbered(): boolean {
    return this.#received > 0
  }

  /** Controlled, and a pair has died: such a peer is about to name another. */
  awaitFrom(now: number, { wordPatience }: Timing): void {
    if (this.isNumbered) this.#awaitedUntil = now + wordPatience
  }

  isAwaited(now: number): boolean {
    return now < this.#awaitedUntil && this.#awaitedUntil < Number.POSITIVE_INFINITY
  }

  awaitNoMore(): void {
    this.#awaitedUntil = Number.POSITIVE_INFINITY
  }

  /** Time passes. `true` once when something has been waited for that has not come. */
  step(now: number): boolean {
    const isOver = now >= this.#awaitedUntil
    if (isOver) this.awaitNoMore()
    return this.first.take(now) || isOver
  }

  timeout(): number {
    return Math.min(this.#awaitedUntil, this.first.timeout())
  }

  /** An ICE restart: what the peer counts from is its own business; ours goes on rising. */
  restart(): void {
    this.nominee = undefined
    this.#received = 0
    this.first.restart()
  }

  /** Controlling: the value of the next nomination, higher than every earlier one. */
  next(): number {
    return ++this.#sent
  }

  /** Controlling: the peer follows this pair, as far as anybody can know: a later nomination may have reached it unanswered. */
  holds(pair: Pair): boolean {
    return pair.nominated && pair.nomination === this.#sent
  }

  /** Those first that the peer has been told to use and has not confirmed. */
  toldFirst(pairs: readonly Pair[]): readonly Pair[] {
    return pairs.toSorted((a, b) => Number(this.isUnderWay(b)) - Number(this.isUnderWay(a)))
  }

  /** The peer has been told to use it, or tells us to. */
  isTold(pair: Pair): boolean {
    return pair === this.nominee || this.isUnderWay(pair)
  }

  /** Controlling: it has been nominated last, and the peer has not answered yet. */
  isUnderWay(pair: Pair): boolean {
    return this.#sent > 0 && pair.nomination === this.#sent && pair !== this.nominee
  }

  /** Controlling: the peer has answered. Only the latest nomination counts: an earlier one has been thought better of. */
  confirmed(pair: Pair, value: number): boolean {
    if (value < this.#sent) return false
    pair.nomination = value
    if (this.nominee) this.nominee.nominated = false
    this.#appoint(pair)
    return true
  }

  /**
   * Controlled: the peer has nominated a valid pair. The reason when it is followed, `undefined` when not.
   * Aggressive nominators (RFC 5245 §8.1.1.2) nominate every pair, and the highest priority counts; a regular or
   * renominating peer that names a lower one means it.
   */
  receive(pair: Pair, value: number | undefined, nomineeIsSilent: boolean): string | undefined {
    const reason = this.#reasonToFollow(pair, value, nomineeIsSilent)
    if (reason) this.#appoint(pair)
    return reason
  }

  /** Controlled: the peer has moved its data to this pair, which says as much as a nomination. */
  follow(pair: Pair): void {
    this.#appoint(pair)
  }

  /** Controlled: an answer on this pair would make us follow there. */
  awaits(pair: Pair): boolean {
    return pair === this.nominee || pair.doubtedAt !== undefined
  }

  /** The pair is gone or failed. */
  withdraw(pair: Pair): void {
    pair.nominated = false
    if (this.nominee === pair) this.nominee = undefined
  }

  #reasonToFollow(pair: Pair, value: number | undefined, nomineeIsSilent: boolean): string | undefined {
    if (value !== undefined) {
      if (value < this.#received) return undefined
      // It was left since our questions have no answer there: the same word once more, unheard as it is, changes nothing.
      const isLeft = value === this.#received && pair.doubtedAt !== undefined
      this.#received = value
      return pair === this.nominee || isLeft ? undefined : 'renominated by the peer'
    }
    const { nominee } = this
    if (pair === nominee) return undefined
    if (!nominee) return 'nominated by the peer'
    if (pair.priority > nominee.priority) return 'nominated by the peer with a higher priority'
    if (nomineeIsSilent) return 'nominated by the peer, and the nominated pair before is silent'
    return pair.checkedPlain && !pair.nominated ? 'the peer moved its nomination here' : undefined
  }

  #appoint(pair: Pair): void {
    this.nominee = pair
    pair.nominated = true
  }
}
