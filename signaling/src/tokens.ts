/**
 * Room tokens: who may join which room until when, signed by your service, checked by the signaling server without asking
 * anybody. They are JSON Web Tokens (RFC 7519) with HS256 and nothing else, so that any language can issue them; other
 * algorithms, and other questions, are for the option `authorize`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import * as v from 'valibot'
import { describeIssues, LENGTHS, RoomNameSchema, signalingError } from './protocol.ts'

/** Ten minutes: enough to load a page and join; who stays connected needs no other. */
export const DEFAULT_TOKEN_LIFETIME = 600_000

/** How far the clocks of issuer and server may differ, in ms. */
const CLOCK_SKEW = 5_000

export interface RoomTokenOptions {
  /** What the signaling servers share with you: 32 random bytes or more, see `openssl rand -base64 32`. */
  readonly secret: string
  /** The room that it opens. */
  readonly room: string
  /** Who gets it, for your hook and the logs. */
  readonly user?: string
  /** Milliseconds, rounded up to whole seconds. Default `DEFAULT_TOKEN_LIFETIME`. */
  readonly lifetime?: number
  /** Milliseconds since 1970. Default: now. */
  readonly now?: number
}

export interface RoomTokenClaims {
  readonly room: string
  readonly user: string | undefined
  /** Milliseconds since 1970. */
  readonly expires: number
}

const HeaderSchema = v.object({ alg: v.literal('HS256') })
const ClaimsSchema = v.object({
  room: RoomNameSchema,
  exp: v.number(),
  nbf: v.exactOptional(v.number()),
  sub: v.exactOptional(v.pipe(v.string(), v.maxLength(LENGTHS.short))),
})

/** Shorter keys can be found by trying (RFC 7518 §3.2 demands the size of the hash). */
const SECRET_BYTES = 32

/**
 * Makes a token for one room.
 * @throws {SignalingError} `ERR_SIGNALING_ARGUMENT`
 */
export function issueRoomToken(options: RoomTokenOptions): string {
  const { room, user, lifetime = DEFAULT_TOKEN_LIFETIME, now = Date.now() } = options
  checkTokenSecret(options.secret)
  if (!(lifetime > 0 && Number.isFinite(lifetime))) {
    throw signalingError('ERR_SIGNALING_ARGUMENT', `'lifetime' must be milliseconds above 0, not ${lifetime}.`)
  }
  const claims = { room, exp: Math.ceil((now + lifetime) / 1000), ...(user === undefined ? {} : { sub: user }) }
  const parsed = v.safeParse(ClaimsSchema, claims)
  if (!parsed.success) {
    throw signalingError('ERR_SIGNALING_ARGUMENT', `Cannot issue this token: ${describeIssues(parsed.issues)}.`)
  }
  const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${content}.${sign(content, options.secret).toString('base64url')}`
}

/** @throws {SignalingError} `ERR_SIGNALING_ARGUMENT` when it is too short to be safe */
export function checkTokenSecret(secret: string): void {
  if (Buffer.byteLength(secret) >= SECRET_BYTES) return
  const problem = `A token secret needs ${SECRET_BYTES} bytes or more, such as from: openssl rand -base64 32.`
  throw signalingError('ERR_SIGNALING_ARGUMENT', problem)
}

/** What a token says; a string: why it counts for nothing. `secrets`: any of them may have signed it, as in a rotation. */
export function verifyRoomToken(token: string, secrets: readonly string[], now: number): RoomTokenClaims | string {
  const parts = token.split('.')
  if (parts.length !== 3) return 'it is no token'
  const [header = '', payload = '', signature = ''] = parts
  if (!v.is(HeaderSchema, decode(header))) return 'it is not signed with HS256'
  const given = Buffer.from(signature, 'base64url')
  const genuine = secrets.some((secret) => {
    const expected = sign(`${header}.${payload}`, secret)
    return given.length === expected.length && timingSafeEqual(given, expected)
  })
  if (!genuine) return 'its signature is wrong'
  const claims = v.safeParse(ClaimsSchema, decode(payload))
  if (!claims.success) return `its claims are malformed (${describeIssues(claims.issues)})`
  const { room, exp, nbf = 0, sub } = claims.output
  if (exp * 1000 + CLOCK_SKEW <= now) return 'it has expired'
  if (nbf * 1000 - CLOCK_SKEW > now) return 'it is not valid yet'
  return { room, user: sub, expires: exp * 1000 }
}

function sign(content: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(content).digest()
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}
