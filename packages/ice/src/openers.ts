import { addressFamily } from '@floe/stun'
import { addressScope } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'

/** How a new pair is to be opened; `undefined`: like any other. */
export interface OpeningRule {
  /** `ttl` in hops, `lead` in milliseconds. */
  openingOf(now: number, pair: Pair): { readonly ttl: number; readonly lead: number } | undefined
}

/**
 * Poison-safe opening. A router that takes unsolicited packets for its own keeps their port busy: a check of ours that
 * comes before the peer has sent one makes the peer's NAT choose another port for it, and no hole is punched. So each
 * side first sends a packet that dies on the way behind its own NAT, and the checks follow when the peer has had time to
 * do the same. The peer's first check ends the wait.
 */
export class Openers {
  /** Made when a pair has to wait: few agents ever meet one. */
  #waiting: Map<Pair, number> | undefined

  /** Translated at both ends: only there is a port to be taken. */
  static concern({ local, remote, base }: Pair): boolean {
    const isSocket = local.protocol === 'udp' && local.type !== 'relay'
    return isSocket && remote.type === 'srflx' && addressFamily(base.ip) === 4 && isTranslated(base.ip)
  }

  /** The TTL of the opener, if the pair has to begin with one: its check leaves later. */
  begin(now: number, pair: Pair, rule: OpeningRule | undefined): number | undefined {
    const isNew = pair.stats.requestsSent === 0 && !pair.authenticated
    const opening = isNew ? rule?.openingOf(now, pair) : undefined
    if (!opening) return undefined
    pair.state = 'in-progress'
    this.#waiting ??= new Map()
    this.#waiting.set(pair, now + opening.lead)
    return opening.ttl
  }

  forget(pair: Pair): void {
    this.#waiting?.delete(pair)
  }

  clear(): void {
    this.#waiting = undefined
  }

  /** Pairs whose checks may leave now. */
  takeDue(now: number): Pair[] {
    if (!this.#waiting) return []
    const due = [...this.#waiting].filter(([, at]) => now >= at).map(([pair]) => pair)
    for (const pair of due) this.#waiting.delete(pair)
    return due
  }

  timeout(): number {
    return this.#waiting ? Math.min(...this.#waiting.values()) : Number.POSITIVE_INFINITY
  }
}

function isTranslated(ip: string): boolean {
  const scope = addressScope(ip)
  return scope === 'private' || scope === 'shared'
}
