import type { Attributes } from '@floe/stun'
import type { IceRole, Random } from './parameters.ts'

/** Who nominates, and the tie-breaker that settles a dispute. RFC 8445 §6.1.1, §7.3.1.1. */
export class Role {
  readonly #random: Random
  current: IceRole
  tieBreaker: bigint

  constructor(random: Random, role: IceRole) {
    this.#random = random
    this.current = role
    this.tieBreaker = this.#draw()
  }

  /** What our requests say of it. RFC 8445 §7.1.3. */
  get claim(): Pick<Attributes, 'iceControlling' | 'iceControlled'> {
    const { current, tieBreaker } = this
    return current === 'controlling' ? { iceControlling: tieBreaker } : { iceControlled: tieBreaker }
  }

  /** An authenticated request says which role its sender holds. `reject`: we keep ours and answer 487. */
  receive({ iceControlling, iceControlled }: Attributes): 'agree' | 'switch' | 'reject' {
    if (this.current === 'controlling' && iceControlling !== undefined) {
      return this.#settle(this.tieBreaker >= iceControlling, 'controlled')
    }
    if (this.current === 'controlled' && iceControlled !== undefined) {
      return this.#settle(this.tieBreaker < iceControlled, 'controlling')
    }
    return 'agree'
  }

  /**
   * Our request was answered with 487. `stale`: the request still carried a role that we have left since, so that another
   * switch would lead back into the conflict. RFC 8445 §7.2.5.1; §16.1 asks for a new tie-breaker.
   */
  rejected(sentAs: IceRole): 'switch' | 'stale' {
    if (sentAs !== this.current) return 'stale'
    this.current = opposite(sentAs)
    this.tieBreaker = this.#draw()
    return 'switch'
  }

  #settle(keep: boolean, other: IceRole): 'switch' | 'reject' {
    if (keep) return 'reject'
    this.current = other
    return 'switch'
  }

  #draw(): bigint {
    let value = 0n
    for (const byte of this.#random(8)) value = (value << 8n) | BigInt(byte)
    return value
  }
}

function opposite(role: IceRole): IceRole {
  return role === 'controlling' ? 'controlled' : 'controlling'
}

/** RFC 8445 §6.1.1: a full agent controls a lite one, whatever was asked for. */
export function settledRole(lite: boolean, remoteLite: boolean, asked: IceRole): IceRole {
  if (lite === remoteLite) return asked
  return lite ? 'controlled' : 'controlling'
}
