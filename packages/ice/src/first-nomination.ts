import type { Candidate } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import type { Timing } from './defaults.ts'
import { networkInfoOf } from './network-cost.ts'
import { DIRECT, tierOf } from './preference.ts'

/**
 * Controlling: a relayed pair that is valid first is not nominated at once while a direct one is being asked. Data takes it,
 * but at the first nomination Firefox cancels what it has not checked yet, and ignores that pair from then on, even when it
 * is nominated as well (nICEr's `nr_ice_component_nominated_pair`).
 */
export class FirstNomination {
  /** Infinity: there has been none to hold back yet; -Infinity: none is any more. */
  #heldUntil = Number.POSITIVE_INFINITY

  /** An ICE restart: the peer begins anew, too. */
  restart(): void {
    this.#heldUntil = Number.POSITIVE_INFINITY
  }

  /** Whether that of this pair, the best of all, waits. */
  isHeld(now: number, best: Pair, { checklist: { pairs }, remoteCandidates }: Peering, timing: Timing): boolean {
    const isReason = tierOf(best) < DIRECT && pairs.some(isAsked) && !tellsOfNetworks(pairs, remoteCandidates)
    const patience = timing.relayPatience + 2 * (best.smoothedRoundTripTime ?? 0)
    if (!isReason) this.#heldUntil = Number.NEGATIVE_INFINITY
    else if (this.#heldUntil === Number.POSITIVE_INFINITY) this.#heldUntil = now + patience
    return now < this.#heldUntil
  }

  /** `true` once when it has waited for long enough. */
  take(now: number): boolean {
    if (now < this.timeout()) return false
    this.#heldUntil = Number.NEGATIVE_INFINITY
    return true
  }

  timeout(): number {
    return this.#heldUntil === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : this.#heldUntil
  }
}

/** What an agent knows of the ways to its peer. */
interface Peering {
  readonly checklist: { readonly pairs: readonly Pair[] }
  readonly remoteCandidates: readonly Candidate[]
}

function isAsked(pair: Pair): boolean {
  return tierOf(pair) === DIRECT && pair.state !== 'succeeded' && pair.state !== 'failed'
}

/** Libwebrtc does, and floe: they take what is nominated last. */
function tellsOfNetworks(pairs: readonly Pair[], remote: readonly Candidate[]): boolean {
  return pairs.some(({ peersNetwork }) => peersNetwork !== undefined) || remote.some((it) => networkInfoOf(it))
}
