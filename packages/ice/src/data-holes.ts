import type { Pair } from './candidate-pair.ts'
import { Carriage } from './carriage.ts'
import { DataWatch } from './data-watch.ts'
import { LargePackets } from './large-packets.ts'
import type { Context } from './outputs.ts'

/** Whether data passes on the pair in use, as checks do: all of it, and large packets. Bars the pair where it does not. */
export class DataHoles {
  readonly #context: Context
  readonly #watch: DataWatch
  readonly #large: LargePackets

  constructor(context: Context) {
    this.#context = context
    this.#watch = new DataWatch(context.timing)
    this.#large = new LargePackets(context.timing)
  }

  /** Data goes over a second pair too. */
  isShared(now: number): boolean {
    return this.#watch.isShared(now)
  }

  /** The peer's data comes over another pair alone, beyond what loss explains. */
  get isElsewhere(): boolean {
    return this.#watch.isElsewhere
  }

  /** The layer above gets no answers. `largest`: bytes of the largest packet it has sent. */
  noProgress(now: number, selected: Pair, largest: number): void {
    if (!this.#watch.isShared(now)) this.#context.log(now, 'no-progress', () => selected.id, 'data goes over two pairs')
    this.#watch.share(now)
    this.#large.ask(now, selected, largest)
  }

  /** Asks whether large packets pass. */
  askLarge(now: number, selected: Pair, largest: number): void {
    this.#large.ask(now, selected, largest)
  }

  /** Pairs to probe now. `isSuspected`: small packets do not pass either, as it seems. */
  takeProbes(now: number, selected: Pair, backups: readonly Pair[], isSuspected: boolean): readonly Pair[] {
    const asked = this.#large.step(now, selected, backups)
    if (asked !== 'narrow') return asked
    if (!isSuspected) this.#bar(now, selected, 'large packets do not pass', this.#large.size)
    return []
  }

  /** The peer's data has come over the pair in use. */
  heardHere(now: number): void {
    this.#watch.heardHere(now)
  }

  /** It has come over another one. `movedAt`: since when the pair is in use. */
  heardElsewhere(now: number, selected: Pair, movedAt: number): void {
    const isHole = this.#watch.heardElsewhere(now, selected, movedAt)
    if (isHole && selected.isFit(now)) this.#bar(now, selected, 'the peer’s data comes over another pair alone')
  }

  /** Another pair is in use. */
  reset(now: number): void {
    this.#watch.reset(now)
    this.#large.reset()
  }

  timeout(): number {
    return this.#large.timeout()
  }

  #bar(now: number, pair: Pair, reason: string, tooLarge = 0): void {
    pair.carriage ??= new Carriage()
    pair.carriage.bar(now, this.#context.timing, tooLarge)
    this.#context.log(now, 'hole', () => pair.id, reason)
  }
}
