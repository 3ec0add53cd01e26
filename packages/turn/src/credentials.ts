import type { Attributes, IntegrityKey } from '@floe/stun'
import { longTermKey, userhash } from '@floe/stun'
import { LIMITS } from './defaults.ts'

/** What makes a request authentic. */
export interface Signature {
  readonly attributes: Attributes
  readonly key: IntegrityKey
  readonly integrity: 'sha1' | 'sha256'
}

/** A user and what the server wants signed: the client's side of the long-term credential mechanism, RFC 8489 §9.2. */
export class Credentials {
  readonly #username: string
  readonly #password: string
  #challenge: Challenge | undefined
  #key: { readonly key: IntegrityKey; readonly realm: string; readonly algorithm: Algorithm } | undefined

  constructor(username: string, password: string) {
    this.#username = username
    this.#password = password
  }

  /** There was a challenge, so that requests are signed. */
  get known(): boolean {
    return this.#challenge !== undefined
  }

  /** Takes a 401 or 438. Returns why not to answer it, `undefined` when `sign()` has what it asks for. */
  learn({ realm = this.#challenge?.realm, nonce, passwordAlgorithms }: Attributes): string | undefined {
    if (realm === undefined || nonce === undefined) return 'the server asks for credentials without REALM or NONCE'
    if (utf8Length(realm) > LIMITS.challengeText || utf8Length(nonce) > LIMITS.challengeText) {
      return 'REALM or NONCE is longer than RFC 8489 allows'
    }
    const features = securityFeatures(nonce)
    const challenge = { realm, nonce, algorithms: undefined, algorithm: 'md5', anonymous: features.anonymous } as const
    if (passwordAlgorithms === undefined) return this.#take(challenge, features.algorithms)
    const algorithm = firstKnown(passwordAlgorithms)
    if (algorithm === undefined) return 'the server knows none of our password algorithms (MD5, SHA-256)'
    if (tooLarge(passwordAlgorithms)) return 'PASSWORD-ALGORITHMS is too long to be sent back'
    // Its parameters are views into a packet that is only borrowed.
    const algorithms = passwordAlgorithms.map((one) => ({ ...one, parameters: one.parameters.slice() }))
    return this.#take({ ...challenge, algorithms, algorithm }, false)
  }

  /** Takes the nonce that an authenticated answer brings for the next request. */
  renew(nonce: string | undefined): void {
    if (nonce === undefined || this.#challenge === undefined || utf8Length(nonce) > LIMITS.challengeText) return
    this.#challenge = { ...this.#challenge, nonce }
  }

  /** `undefined` before the first challenge: RFC 8489 §9.2.3.1 sends the first request bare. */
  sign(): Signature | undefined {
    if (this.#challenge === undefined) return undefined
    const { realm, nonce, algorithms, algorithm, anonymous } = this.#challenge
    if (this.#key?.realm !== realm || this.#key.algorithm !== algorithm) {
      this.#key = { key: longTermKey(this.#username, realm, this.#password, algorithm), realm, algorithm }
    }
    return {
      key: this.#key.key,
      // RFC 8489 §9.2.5: a server that offers password algorithms knows MESSAGE-INTEGRITY-SHA256, and wants nothing else.
      integrity: algorithms ? 'sha256' : 'sha1',
      attributes: {
        ...(anonymous ? { userhash: userhash(this.#username, realm) } : { username: this.#username }),
        realm,
        nonce,
        ...(algorithms && {
          passwordAlgorithms: algorithms,
          passwordAlgorithm: { algorithm: ALGORITHM_NUMBER[algorithm], parameters: NO_PARAMETERS },
        }),
      },
    }
  }

  /** RFC 8489 §9.2.1: somebody on the path may have taken the better algorithms away. */
  #take(challenge: Challenge, algorithmsAreMissing: boolean): string | undefined {
    if (algorithmsAreMissing) return 'bid-down attack: the nonce announces PASSWORD-ALGORITHMS, and there are none'
    const before = this.#challenge
    if (before?.algorithms && !challenge.algorithms) return 'bid-down attack: PASSWORD-ALGORITHMS are gone'
    if (before?.anonymous && !challenge.anonymous) return 'bid-down attack: the user name would no longer be hidden'
    this.#challenge = challenge
    return undefined
  }
}

type Algorithm = 'md5' | 'sha256'

interface Challenge {
  readonly realm: string
  readonly nonce: string
  readonly algorithms: Attributes['passwordAlgorithms']
  readonly algorithm: Algorithm
  readonly anonymous: boolean
}

/** RFC 8489 §18.5. */
const ALGORITHM_NUMBER = { md5: 1, sha256: 2 } as const
const NO_PARAMETERS = new Uint8Array(0)
/** RFC 8489 §9.2: the nonce cookie is this and four characters of base64. */
const NONCE_COOKIE = 'obMatJos2'
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/**
 * The security features that a nonce announces (RFC 8489 §18.1). The RFC counts bits from the left, its own test vector
 * (§B.1) and its erratum from the right, and there are servers of both minds: the other end of the 24 bits is unassigned,
 * so both are heard.
 */
function securityFeatures(nonce: string): { readonly algorithms: boolean; readonly anonymous: boolean } {
  let bits = 0
  if (nonce.startsWith(NONCE_COOKIE)) {
    for (let i = 0; i < 4; i++) bits = bits * 64 + Math.max(0, BASE64.indexOf(nonce.charAt(NONCE_COOKIE.length + i)))
  }
  return { algorithms: (bits & 0x800001) !== 0, anonymous: (bits & 0x400002) !== 0 }
}

/** RFC 8489 §9.2.5: the first one on the server's list that we know. */
function firstKnown(list: NonNullable<Attributes['passwordAlgorithms']>): Algorithm | undefined {
  for (const { algorithm } of list) {
    if (algorithm === ALGORITHM_NUMBER.md5) return 'md5'
    if (algorithm === ALGORITHM_NUMBER.sha256) return 'sha256'
  }
  return undefined
}

function tooLarge(list: NonNullable<Attributes['passwordAlgorithms']>): boolean {
  return (
    list.length > LIMITS.passwordAlgorithms ||
    list.some(({ parameters }) => parameters.length > LIMITS.algorithmParameters)
  )
}

/** Why these are no credentials of a TURN server; `undefined` when they are. RFC 8489 §14.3 has less than 509 bytes of name. */
export function credentialsFault(username: unknown, credential: unknown): string | undefined {
  if (typeof username !== 'string' || utf8Length(username) > LIMITS.username) {
    return `a TURN user name is text of at most ${LIMITS.username} bytes`
  }
  return typeof credential === 'string' ? undefined : 'a TURN credential is text'
}

/** Bytes of `text` in UTF-8. */
export function utf8Length(text: string): number {
  let length = 0
  for (const char of text) {
    const code = char.codePointAt(0)!
    length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return length
}
