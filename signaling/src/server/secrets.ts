import { timingSafeEqual } from 'node:crypto'
import { type ErrorBody, errorBody, type Handshake } from '../protocol.ts'
import { Recent } from '../recent.ts'
import { hashSecret } from './member.ts'
import { TokenBucket } from './token-bucket.ts'

/** Guesses of a secret per address: 20 at once, then one in 10 s. Makes even a four-digit secret last for a day. */
const WRONG_SECRETS = { perSecond: 0.1, burst: 20, addresses: 10_000 } as const

/** Compares secrets in constant time, and makes who guesses wait. */
export class SecretCheck {
  readonly #wrong = new Recent<string, TokenBucket>(WRONG_SECRETS.addresses)

  refuse(address: string, handshake: Handshake, secretHash: Buffer): ErrorBody | undefined {
    const now = performance.now()
    const guesses = this.#wrong.get(address)
    if (guesses !== undefined && !guesses.has(now)) {
      return errorBody('ERR_SIGNALING_RATE', 'Too many wrong secrets have come from this address.')
    }
    if (timingSafeEqual(secretHash, hashSecret(handshake.secret ?? ''))) return undefined
    this.#count(address, now)
    return errorBody('ERR_SIGNALING_SECRET', `The secret is not that of room ${handshake.room}.`)
  }

  #count(address: string, now: number): void {
    const guesses = this.#wrong.get(address) ?? new TokenBucket(WRONG_SECRETS.perSecond, WRONG_SECRETS.burst, now)
    guesses.take(now)
    this.#wrong.set(address, guesses)
  }
}
