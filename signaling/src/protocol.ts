/**
 * What goes over the wire between a signaling client and its server: schemas, and the types inferred from them.
 * Both ends check what they receive against these; neither trusts the other. See `RoomEvent` for the delivery contract.
 */
import { parseStunUri, parseTurnUri } from '@floe/stun'
import * as v from 'valibot'
import type { RelayClientEvents, RelayServerEvents } from './relay.ts'

/** Raised when an old client and a new server (or the reverse) would misunderstand each other. */
export const PROTOCOL_VERSION = 1

/** Longest strings that the schema lets through, in UTF-16 units. Generous: a session description has 1–10 thousand. */
export const LENGTHS = {
  room: 64,
  secret: 256,
  token: 4_096, // JSON Web Tokens of identity providers have one or two thousand
  resumeToken: { min: 22, max: 128 }, // 22 characters of base64 hold 128 bits: not to be guessed
  sdp: 65_536,
  candidate: 1_024,
  hello: 2_048, // with the fingerprints of a dozen certificates
  short: 256, // ids, ufrags (RFC 8839 §5.4 allows 256), reasons
  url: 512,
  credential: 512,
} as const

/** Longest TURN user name in bytes of UTF-8, RFC 8489 §14.3. */
const MAX_USERNAME = 508

/** Most ICE servers that a peer is offered, and URLs of each: a fleet in a few regions, over every transport. */
const ICE_SERVERS = { servers: 8, urls: 8 } as const

/** A floe agent has no more candidates than this. */
const MAX_REMOVED = 64

const short = v.pipe(v.string(), v.maxLength(LENGTHS.short))
const positive = v.pipe(v.number(), v.integer(), v.minValue(1))

const candidateInit = v.object({
  candidate: v.exactOptional(v.pipe(v.string(), v.maxLength(LENGTHS.candidate))),
  sdpMid: v.exactOptional(v.nullable(short)),
  sdpMLineIndex: v.exactOptional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)))),
  usernameFragment: v.exactOptional(v.nullable(short)),
})

/**
 * Candidates that are gone, of which the message's `candidate` is one. Servers and peers older than this word drop it, and
 * what is left is a candidate that the peer knows.
 */
const removed = v.pipe(v.array(candidateInit), v.minLength(1), v.maxLength(MAX_REMOVED))

/** What one peer says to another. Unknown members are dropped, so that a newer client may add some. */
export const SignalingMessageSchema = v.union([
  v.object({
    description: v.object({
      type: v.picklist(['offer', 'answer', 'pranswer', 'rollback']),
      sdp: v.exactOptional(v.pipe(v.string(), v.maxLength(LENGTHS.sdp))),
    }),
  }),
  v.object({ candidate: v.nullable(candidateInit), removed: v.exactOptional(removed) }),
  v.object({ bye: short }),
  /** What `connect()` agrees on keys by, see `docs/connect.md`. `proof`: that a shared secret is known. */
  v.object({ hello: v.pipe(v.string(), v.maxLength(LENGTHS.hello)), proof: v.exactOptional(short) }),
])
/** The same shape as `SignalingMessage` of `@floe/webrtc`: a `Peer` fits its `connect()`. */
export type SignalingMessage = v.InferOutput<typeof SignalingMessageSchema>

const iceUrl = v.pipe(v.string(), v.maxLength(LENGTHS.url), v.check(isIceUrl, 'It is no STUN or TURN URL'))
const credential = v.pipe(v.string(), v.maxLength(LENGTHS.credential))

/** W3C RTCIceServer, of which no RTCPeerConnection complains. */
export const IceServerSchema = v.pipe(
  v.object({
    urls: v.union([iceUrl, v.pipe(v.array(iceUrl), v.minLength(1), v.maxLength(ICE_SERVERS.urls))]),
    username: v.exactOptional(v.pipe(v.string(), v.maxBytes(MAX_USERNAME))),
    credential: v.exactOptional(credential),
  }),
  v.check(hasCredentials, 'A TURN server needs a username and a credential'),
)
export type IceServer = v.InferOutput<typeof IceServerSchema>

export const IceServersSchema = v.pipe(v.array(IceServerSchema), v.maxLength(ICE_SERVERS.servers))

function isIceUrl(url: string): boolean {
  return (parseStunUri(url) ?? parseTurnUri(url)) !== undefined
}

function hasCredentials({ urls, username, credential }: RTCIceServer): boolean {
  if (username !== undefined && credential !== undefined) return true
  return [urls].flat().every((url) => parseTurnUri(url) === undefined)
}

const agent = v.picklist(['node', 'browser'])
export type AgentKind = v.InferOutput<typeof agent>

/** Letters, digits and `. _ ~ -`: what needs no escaping in a URL. */
export const RoomNameSchema = v.pipe(v.string(), v.maxLength(LENGTHS.room), v.regex(/^[\w.~-]+$/))

/** Who comes, and where to: the `auth` of Socket.IO's handshake, sent on every connection and reconnection. */
export const HandshakeSchema = v.object({
  version: v.literal(PROTOCOL_VERSION),
  room: RoomNameSchema,
  agent,
  secret: v.exactOptional(v.pipe(v.string(), v.maxLength(LENGTHS.secret))),
  /** How many connections this client has made for this room, this one included: the highest is the one that counts. */
  connection: v.exactOptional(positive),
  /** Of the last welcome: `PeerInfo.joined`, so that the order of arrival survives the server that knew it. */
  joined: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  /** Of the last welcome: which numbering of events the client is in. */
  numbering: v.exactOptional(short),
  /** For servers that let in only whom somebody has vouched for. */
  token: v.exactOptional(v.pipe(v.string(), v.maxLength(LENGTHS.token))),
  /** Made up by the client and shown to nobody else. Its hash is the peer's id: the same token is the same peer. */
  resumeToken: v.pipe(
    v.string(),
    v.minLength(LENGTHS.resumeToken.min),
    v.maxLength(LENGTHS.resumeToken.max),
    v.regex(/^[\w-]+$/),
  ),
})
export type Handshake = v.InferOutput<typeof HandshakeSchema>

const PeerInfoSchema = v.object({ id: short, agent, joined: v.number() })
/** `joined` orders the peers of a room by arrival; it has no other meaning. */
export type PeerInfo = v.InferOutput<typeof PeerInfoSchema>

const leaveReason = v.picklist(['left', 'vanished'])

/** `0`: none. */
const after = v.pipe(v.number(), v.integer(), v.minValue(0))

/**
 * What a room tells its members. Events to one member are numbered from 1, kept until acknowledged and sent again after
 * a reconnection; the receiver ignores numbers that it has seen. So each arrives once, in order, whatever the network
 * does, as long as the server remembers the member.
 *
 * Servers die, and what they remember with them. So a `signal` is the sender's affair from end to end: it is numbered by the
 * sender, acknowledged to it when the **receiver** has it, and sent again until then. `after` is the number of the sender's
 * last signal to the same receiver of which that is not known yet: who has not seen that one leaves this one (`acknowledge`
 * with `false`), who has seen this one acknowledges it and does nothing. Each arrives once, in order, or the sender is told.
 *
 * `joined` for a peer that is known already: it is on another server now, and what it may have missed is due again.
 */
export const RoomEventSchema = v.variant('type', [
  v.object({ type: v.literal('joined'), peer: PeerInfoSchema }),
  v.object({ type: v.literal('left'), id: short, reason: leaveReason }),
  v.object({
    type: v.literal('signal'),
    from: short,
    message: SignalingMessageSchema,
    number: v.exactOptional(positive),
    after: v.exactOptional(after),
  }),
])
export type RoomEvent = v.InferOutput<typeof RoomEventSchema>

/** The first thing that a member hears on each connection. */
export const WelcomeSchema = v.object({
  self: PeerInfoSchema,
  peers: v.array(PeerInfoSchema),
  /** `true`: the server still knew this member, numbering goes on. `false`: a fresh start, numbering begins anew. */
  resumed: v.boolean(),
  /** To be repeated in the next handshake. */
  numbering: v.exactOptional(short),
  /** How long the server holds the place of a member whose connection broke, in milliseconds. */
  resumeGrace: v.number(),
  /** For connections with peers of this room. Absent, as from older servers: those that were known before, if any. */
  iceServers: v.exactOptional(IceServersSchema),
  /** Whether frames are relayed (`relay.ts`). Absent, as from older servers: no. */
  relay: v.exactOptional(v.boolean()),
})
export type Welcome = v.InferOutput<typeof WelcomeSchema>

/** `signal`, client to server: a number, the receiver's id, the message, `after` (see `RoomEvent`). */
export const SignalSchema = v.tuple([positive, short, SignalingMessageSchema, v.optional(after, 0)])
export type Signal = v.InferOutput<typeof SignalSchema>

/** `event`, server to client: a number and the event. */
export const NumberedEventSchema = v.tuple([positive, RoomEventSchema])

/** Every way in which signaling fails, and what to do about it. */
const HINTS = {
  ERR_SIGNALING_ARGUMENT: 'See the documentation of the option that the message names.',
  ERR_SIGNALING_VERSION: 'Update the older of the two, or reload the page: client and server must speak one version.',
  ERR_SIGNALING_SECRET: 'Ask whoever opened the room for its secret, or choose another room name.',
  ERR_SIGNALING_TOKEN: 'Get a token for this room from the service that you use, and pass it as the option token.',
  ERR_SIGNALING_FORBIDDEN: 'Ask whoever runs the service why you may not join this room.',
  ERR_SIGNALING_ROOM_FULL: 'Choose another room, or wait until somebody leaves.',
  ERR_SIGNALING_SERVER_FULL: 'Try again later, or raise the limits of the server.',
  ERR_SIGNALING_RATE: 'Send less, or wait a moment and try again.',
  ERR_SIGNALING_MESSAGE: 'Send { description }, { candidate }, { hello } or { bye } of ordinary size.',
  ERR_SIGNALING_PEER: 'The peer has left the room: wait for it to come back.',
  ERR_SIGNALING_REPLACED: 'Close the other session that uses the same resume token.',
  ERR_SIGNALING_STOPPED: 'The client reconnects by itself when the server is back.',
  ERR_SIGNALING_OVERFLOW: 'A connection is too slow for what it has to carry: send less, or join again.',
  ERR_SIGNALING_UNREACHABLE: 'Check the address, that the server runs (floe serve), and that no firewall is between.',
  ERR_SIGNALING_TIMEOUT: 'Check that the address is that of a floe signaling server, or allow more time.',
  ERR_SIGNALING_ABORTED: 'The signal that was passed in has been aborted.',
  ERR_SIGNALING_CLOSED: 'Join the room again.',
} as const
export type SignalingErrorCode = keyof typeof HINTS

const errorCodes = Object.keys(HINTS) as SignalingErrorCode[]

/** An error as it crosses the wire. */
export const ErrorBodySchema = v.object({ code: v.picklist(errorCodes), message: v.string(), hint: v.string() })
export type ErrorBody = v.InferOutput<typeof ErrorBodySchema>

export function errorBody(code: SignalingErrorCode, message: string): ErrorBody {
  return { code, message, hint: HINTS[code] }
}

/** `message` says what is wrong, `hint` what to do about it. */
export class SignalingError extends Error {
  override readonly name = 'SignalingError'
  readonly code: SignalingErrorCode
  readonly hint: string

  constructor(body: ErrorBody, options?: ErrorOptions) {
    super(body.message, options)
    this.code = body.code
    this.hint = body.hint
  }
}

export function signalingError(code: SignalingErrorCode, message: string, cause?: unknown): SignalingError {
  return new SignalingError(errorBody(code, message), cause === undefined ? undefined : { cause })
}

/** Where a schema and a value disagree, in one line for an error message. */
export function describeIssues(issues: readonly v.BaseIssue<unknown>[]): string {
  const issue = issues[0]
  if (issue === undefined) return 'it is malformed'
  const path = v.getDotPath(issue)
  return path === null ? issue.message : `${path}: ${issue.message}`
}

/** What each side may emit, and with which acknowledgement. Arguments are unknown until a schema has seen them. */
export interface ClientEvents extends RelayClientEvents<ErrorBody> {
  signal: (
    number: number,
    to: string,
    message: SignalingMessage,
    after: number,
    acknowledge: (error: ErrorBody | null) => void,
  ) => void
  /** Leaves the room: the rest of the connection is for the acknowledgement only. */
  leave: (acknowledge: () => void) => void
}
export interface ServerEvents extends RelayServerEvents {
  welcome: (welcome: Welcome) => void
  event: (number: number, event: RoomEvent, acknowledge: (taken?: boolean) => void) => void
  /**
   * In place of those of `welcome`, whose credentials will expire. No `RoomEvent`: only the latest count, `welcome` brings
   * them after an interruption, and a client that has never heard of them need not acknowledge what it does not take.
   */
  iceServers: (servers: IceServer[]) => void
  /** The connection ends, and why. */
  goodbye: (error: ErrorBody) => void
}
