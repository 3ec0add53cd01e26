import { addressFamily } from '@floe/stun'
import { addressScope } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'

/**
 * Poison-safe opening. A router that takes unsolicited packets for its own keeps their port busy: a check of ours that
 * comes before the peer has sent one makes the peer's NAT choose another port for it, and no hole is punched. So each
 * side first sends a packet that dies on the way behind its own NAT, and the checks follow when the peer has had time to
 * do the same. The peer's first check ends the wait.
 */
export class Openers {
  readonly #waiting = new Map<Pair, number>()

  /** Translated at both ends: only there is a port to be taken. */
  static concern({ local, remote, base }: Pair): boolean {
    const isSocket = local.protocol === 'udp' && local.type !== 'relay'
    return isSocket && remote.type === 'srflx' && addressFamily(base.ip) === 4 && isTranslated(base.ip)
  }

  /** The pair's opener is sent, its check leaves `lead` ms later. */
  open(now: number, pair: Pair, lead: number): void {
    this.#waiting.set(pair, now + lead)
  }

  forget(pair: Pair): void {
    this.#waiting.delete(pair)
  }

  clear(): void {
    this.#waiting.clear()
  }

  /** Pairs whose checks may leave now. */
  takeDue(now: number): Pair[] {
    const due = [...this.#waiting].filter(([, at]) => now >= at).map(([pair]) => pair)
    for (const pair of due) this.#waiting.delete(pair)
    return due
  }

  timeout(): number {
    return Math.min(...this.#waiting.values())
  }
}

function isTranslated(ip: string): boolean {
  const scope = addressScope(ip)
  return scope === 'private' || scope === 'shared'
}
