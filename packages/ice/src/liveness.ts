import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'

/**
 * Whether the pair in use still works, judged by what comes over it: any authenticated packet is proof of life. Silence
 * that the traffic before does not explain leads to a question, a question without an answer to suspicion, and several
 * of them to the verdict. An idle pair is asked by consent alone, so it costs no wake-ups of its own.
 */
export class Liveness {
  readonly #timing: Timing
  #pair: Pair | undefined
  /** The unanswered question that the probes below follow up. */
  #askedAt: number | undefined
  #probes = 0
  #lastProbeAt = 0

  constructor(timing: Timing) {
    this.#timing = timing
  }

  watch(pair: Pair | undefined): void {
    this.#pair = pair
    this.#askedAt = undefined
    this.#probes = 0
  }

  /** How many have followed up the question. */
  get probes(): number {
    return this.#probes
  }

  /** A question has gone unanswered for longer than an answer takes. */
  get suspects(): boolean {
    return this.#isFollowing && this.#probes > 0
  }

  /** What the time asks for: a probe on the pair, or the verdict that it is dead. */
  step(now: number): 'probe' | 'dead' | undefined {
    const pair = this.#pair
    if (!pair || now < this.timeout()) return undefined
    if (pair.askedAt === undefined) return 'probe'
    if (!this.#isFollowing) {
      this.#askedAt = pair.askedAt
      this.#probes = 0
    }
    this.#lastProbeAt = now
    return ++this.#probes > this.#deadlyProbesOf(pair) && !pair.dead ? 'dead' : 'probe'
  }

  /**
   * How long a pair may be silent with the traffic it has: eight of its usual gaps, in steps of a factor of two, so that
   * it seldom changes.
   */
  static patienceOf({ meanGap }: Pair, { quietFloor, quietCeiling }: Timing): number {
    let patience = quietFloor
    while (patience < 8 * meanGap && patience < quietCeiling) patience *= 2
    return Math.min(patience, quietCeiling)
  }

  timeout(): number {
    const pair = this.#pair
    if (!pair) return Number.POSITIVE_INFINITY
    if (pair.askedAt === undefined) return pair.doubtedAt ?? this.#quietUntil(pair)
    const { probeInterval, deadInterval, disconnectedTimeout } = this.#timing
    const deadlyProbes = this.#deadlyProbesOf(pair)
    const rtt = pair.smoothedRoundTripTime ?? this.#timing.rto
    const patience = Math.max(this.#timing.answerPatience, 2 * rtt)
    if (!this.#isFollowing || this.#probes === 0) return pair.askedAt + patience
    if (this.#probes < deadlyProbes) return this.#lastProbeAt + Math.max(probeInterval, rtt)
    // Not sooner than its traffic would have told: answers may be lost where data is not.
    const usual = Math.min(this.#timing.quietCeiling, 3 * pair.meanGap)
    if (this.#probes === deadlyProbes)
      return Math.max(this.#lastProbeAt + patience, pair.stats.lastPacketReceived + usual)
    const next = this.#lastProbeAt + deadInterval
    // From then on only consent asks: the pair may come back, and nobody waits for it by the second any more.
    return next < pair.stats.lastPacketReceived + disconnectedTimeout ? next : Number.POSITIVE_INFINITY
  }

  /** More where checks are lost on the way anyway, and where the peer is heard, so that only answers are missing. */
  #deadlyProbesOf({ askedAt = 0, stats, loss }: Pair): number {
    const { deadlyProbes, mostProbes, probesPerLoss } = this.#timing
    const probes = Math.min(mostProbes, Math.floor(deadlyProbes + probesPerLoss * loss))
    return stats.lastPacketReceived > askedAt ? Math.max(probes, 2 * deadlyProbes) : probes
  }

  get #isFollowing(): boolean {
    return this.#askedAt !== undefined && this.#askedAt === this.#pair?.askedAt
  }

  /** A pair without traffic may be silent: consent asks. */
  #quietUntil({ stats, patience, activeSince, lastDataAt, smoothedRoundTripTime = 0 }: Pair): number {
    const { activeFor } = this.#timing
    const since = Math.max(stats.lastPacketReceived, activeSince)
    const until = since + Math.max(patience, 3 * smoothedRoundTripTime)
    return until < lastDataAt + activeFor ? until : Number.POSITIVE_INFINITY
  }
}
