/** Time-limited TURN credentials, as coturn's `use-auth-secret` checks them (draft-uberti-behave-turn-rest-00 §2.2). */
import { createHmac } from 'node:crypto'
import * as v from 'valibot'
import { describeIssues, IceServerSchema, signalingError } from './protocol.ts'

/** Half a day: whoever was offline for a night's sleep still has some, and what leaks is worthless tomorrow. */
export const DEFAULT_CREDENTIAL_LIFETIME = 43_200_000

export interface TurnCredentialOptions {
  /** What the TURN servers share with you: coturn's `static-auth-secret`. It never leaves this process. */
  readonly secret: string
  /** `turn:` and `turns:` URLs of the servers that know the secret. */
  readonly urls: string | readonly string[]
  /** For whom: TURN servers log this name and count quotas by it. Default: nobody in particular. */
  readonly user?: string
  /** Milliseconds, rounded up to whole seconds. Default `DEFAULT_CREDENTIAL_LIFETIME`. */
  readonly lifetime?: number
  /** Milliseconds since 1970. Default: now. */
  readonly now?: number
}

/** An RTCIceServer, and when it ceases to be of use. */
export interface TurnCredentials {
  readonly urls: string[]
  /** `seconds since 1970 at which it expires:user`. */
  readonly username: string
  readonly credential: string
  /** Milliseconds since 1970. Allocations that were made before live on. */
  readonly expires: number
}

/**
 * Makes credentials that every TURN server with this secret accepts until they expire, without asking any of them.
 * @throws {SignalingError} `ERR_SIGNALING_ARGUMENT`
 */
export function issueTurnCredentials(options: TurnCredentialOptions): TurnCredentials {
  const { secret, urls, user = '', lifetime = DEFAULT_CREDENTIAL_LIFETIME, now = Date.now() } = options
  if (secret === '') throw signalingError('ERR_SIGNALING_ARGUMENT', "'secret' must not be empty.")
  if (!(lifetime > 0 && Number.isFinite(lifetime))) {
    throw signalingError('ERR_SIGNALING_ARGUMENT', `'lifetime' must be milliseconds above 0, not ${lifetime}.`)
  }
  const expirySeconds = Math.ceil((now + lifetime) / 1000)
  const username = user === '' ? `${expirySeconds}` : `${expirySeconds}:${user}`
  const credential = createHmac('sha1', secret).update(username).digest('base64')
  const server = { urls: typeof urls === 'string' ? [urls] : [...urls], username, credential }
  const parsed = v.safeParse(IceServerSchema, server)
  if (parsed.success) return { ...server, expires: expirySeconds * 1000 }
  throw signalingError('ERR_SIGNALING_ARGUMENT', `No server to give credentials for: ${describeIssues(parsed.issues)}.`)
}
