import {
  type Attributes,
  type DecodedMessage,
  type IntegrityKey,
  longTermKey,
  type Packet,
  userhash,
  verifyIntegrity,
} from '@floe/stun'
import { textOf } from './endpoint.ts'
import type { Random } from './random.ts'

/** How a model server challenges; everything may change while it runs. */
export interface ChallengeBehavior {
  /** A nonce is good for this many requests. 1: one-time nonces. */
  readonly nonceUses?: number
  /** Every answer, good or bad, brings a fresh nonce, and the one before is no good any more. */
  readonly nonceInEveryAnswer?: boolean
  /** A nonce lasts this many ms. */
  readonly nonceLifetime?: number
  /** Answers 438 to everything, with a fresh nonce each time. */
  readonly alwaysStale?: boolean
  /** Offered in PASSWORD-ALGORITHMS, the best first: 1 is MD5, 2 is SHA-256 (RFC 8489 §18.5). Only these are accepted. */
  readonly passwordAlgorithms?: readonly number[]
  /** Wants USERHASH in place of USERNAME. */
  readonly anonymous?: boolean
  /**
   * Somebody on the path changes challenges: takes PASSWORD-ALGORITHMS away, takes the nonce cookie away with it, or
   * leaves only MD5 of it. The server checks what it gets as if nobody had.
   */
  readonly bidDown?: 'algorithms' | 'cookie' | 'weaker'
}

/** A request that may be served, and how to sign the answer. */
export interface Authentic {
  readonly username: string
  readonly key: IntegrityKey | undefined
  readonly integrity: 'sha1' | 'sha256'
}

/** A model server's side of the long-term credential mechanism, RFC 8489 §9.2.4. */
export class Challenge {
  behavior: ChallengeBehavior
  readonly realm: string
  /** Passwords by user name. */
  readonly users: Map<string, string>
  readonly #random: Random
  readonly #keys = new Map<string, IntegrityKey>()
  /** By client. */
  readonly #nonces = new Map<string, { readonly nonce: string; uses: number; readonly since: number }>()

  constructor(realm: string, users: Readonly<Record<string, string>>, random: Random, behavior: ChallengeBehavior) {
    this.realm = realm
    this.users = new Map(Object.entries(users))
    this.#random = random
    this.behavior = behavior
  }

  /** `refusal`: the attributes of the error response to a request that is not authentic. */
  check(now: number, request: DecodedMessage, { remote }: Packet): Authentic | { readonly refusal: Attributes } {
    const client = textOf(remote)
    const { attributes } = request
    if (request.integrityOffset === 0 && request.sha256Offset === 0)
      return { refusal: this.#challenge(now, client, 401, this.#goodNonce(now, client)) }
    if (this.#badAlgorithm(attributes)) return { refusal: { errorCode: { code: 400, reason: 'Bad Request' } } }
    const username = this.#username(attributes)
    const password = username === undefined ? undefined : this.users.get(username)
    if (username === undefined || password === undefined) return { refusal: this.#challenge(now, client, 401) }
    const algorithm = attributes.passwordAlgorithm?.algorithm === 2 ? 'sha256' : 'md5'
    const key = this.#keyOf(username, password, algorithm)
    if (!verifyIntegrity(request, key)) return { refusal: this.#challenge(now, client, 401) }
    if (!this.#isFresh(now, client, attributes.nonce)) return { refusal: this.#challenge(now, client, 438) }
    return { username, key, integrity: attributes.passwordAlgorithm ? 'sha256' : 'sha1' }
  }

  /** What a success response brings besides. */
  extras(now: number, { remote }: Packet): Attributes {
    return this.behavior.nonceInEveryAnswer ? { nonce: this.#freshNonce(now, textOf(remote)) } : {}
  }

  /** As a restart does. */
  forget() {
    this.#nonces.clear()
  }

  /** Made once for each password: every request of a session is signed with it. */
  #keyOf(username: string, password: string, algorithm: 'md5' | 'sha256'): IntegrityKey {
    const name = `${algorithm} ${username}:${password}`
    const key = this.#keys.get(name) ?? longTermKey(username, this.realm, password, algorithm)
    this.#keys.set(name, key)
    return key
  }

  #challenge(now: number, client: string, code: number, nonce = this.#freshNonce(now, client)): Attributes {
    const { passwordAlgorithms: numbers, bidDown } = this.behavior
    const reason = code === 401 ? 'Unauthorized' : 'Stale Nonce'
    const basic = { errorCode: { code, reason }, realm: this.realm, nonce }
    if (bidDown === 'cookie') return { ...basic, nonce: nonce.slice(COOKIE_LENGTH) }
    if (!numbers || bidDown === 'algorithms') return basic
    return { ...basic, passwordAlgorithms: toList(bidDown === 'weaker' ? [1] : numbers) }
  }

  #freshNonce(now: number, client: string): string {
    const { passwordAlgorithms, anonymous } = this.behavior
    const features = (passwordAlgorithms ? 1 : 0) + (anonymous ? 2 : 0)
    const cookie = features === 0 ? '' : `obMatJos2AAA${'ABCD'[features]}`
    const nonce = cookie + Array.from(this.#random.bytes(8), (byte) => byte.toString(16).padStart(2, '0')).join('')
    this.#nonces.set(client, { nonce, uses: 0, since: now })
    return nonce
  }

  /** As coturn: a request that comes twice is not challenged with two nonces, of which only the second is good. */
  #goodNonce(now: number, client: string): string | undefined {
    const issued = this.#nonces.get(client)
    const { nonceUses = Infinity, nonceLifetime = Infinity, alwaysStale = false } = this.behavior
    if (!issued || alwaysStale) return undefined
    return issued.uses < nonceUses && now < issued.since + nonceLifetime ? issued.nonce : undefined
  }

  #isFresh(now: number, client: string, nonce: string | undefined): boolean {
    if (nonce === undefined || nonce !== this.#goodNonce(now, client)) return false
    this.#nonces.get(client)!.uses++
    return true
  }

  #username({ username, userhash: hash, realm }: Attributes): string | undefined {
    if (realm !== this.realm || Boolean(this.behavior.anonymous) !== (hash !== undefined)) return undefined
    if (!hash) return username
    return [...this.users.keys()].find((user) => String(userhash(user, this.realm)) === String(hash))
  }

  /** RFC 8489 §9.2.4: the client must say back what was offered, and take one of it. */
  #badAlgorithm({ passwordAlgorithms, passwordAlgorithm }: Attributes): boolean {
    const offered = this.behavior.passwordAlgorithms
    if (!passwordAlgorithms && !passwordAlgorithm) return offered !== undefined && !offered.includes(1)
    const repeated = passwordAlgorithms?.map(({ algorithm }) => algorithm)
    return String(repeated) !== String(offered) || !offered?.includes(passwordAlgorithm?.algorithm ?? 0)
  }
}

const COOKIE_LENGTH = 13

function toList(numbers: readonly number[]) {
  return numbers.map((algorithm) => ({ algorithm, parameters: new Uint8Array(0) }))
}
