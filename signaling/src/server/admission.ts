/** Whether somebody may join a room at all, before the room's own secret and limits are asked. */
import type { IncomingHttpHeaders } from 'node:http'
import { type AgentKind, type ErrorBody, errorBody, type Handshake, LENGTHS } from '../protocol.ts'
import { checkTokenSecret, verifyRoomToken } from '../tokens.ts'
import { within } from './within.ts'

/** What `authorize` is asked about. */
export interface JoinRequest {
  readonly room: string
  readonly agent: AgentKind
  /** As it is counted: IPv6 as its /64. */
  readonly address: string
  /** Of the HTTP request that opened the connection: cookies, `authorization`. */
  readonly headers: IncomingHttpHeaders
  /** What the client gave as `token`; with `tokenSecret` it has been verified. */
  readonly token: string | undefined
  /** `sub` of the verified token. */
  readonly user: string | undefined
}

/** `true`: welcome. `false`, or a reason that the client is told: not. A promise may take up to 5 s. */
export type Authorize = (request: JoinRequest) => boolean | string | Promise<boolean | string>

export interface AdmissionOptions {
  readonly tokenSecret?: string | readonly string[] | undefined
  readonly authorize?: Authorize | undefined
}

export type Applicant = Pick<JoinRequest, 'address' | 'headers'> & { readonly handshake: Handshake }

/** Time for a promise of `authorize`, in ms. */
const AUTHORIZE_TIMEOUT = 5_000

/**
 * Makes the check. It answers at once where it can, so that nobody waits a turn without need. A hook that throws or takes too
 * long lets nobody in, and the process is warned.
 * @throws {SignalingError} `ERR_SIGNALING_ARGUMENT` when a token secret is too short
 */
export function admission(
  options: AdmissionOptions,
): (applicant: Applicant) => ErrorBody | undefined | Promise<ErrorBody | undefined> {
  const { authorize, tokenSecret } = options
  const secrets = tokenSecret === undefined ? undefined : [tokenSecret].flat()
  for (const secret of secrets ?? []) checkTokenSecret(secret)
  return ({ handshake, address, headers }) => {
    const { room, agent, token } = handshake
    const claims = secrets && verifyRoomToken(token ?? '', secrets, Date.now())
    if (typeof claims === 'string') return refused(token === undefined ? 'there is none' : claims)
    if (claims !== undefined && claims.room !== room) return refused('it is for another room')
    if (authorize === undefined) return undefined
    return ask(authorize, { room, agent, address, headers, token, user: claims?.user })
  }
}

function refused(reason: string): ErrorBody {
  return errorBody('ERR_SIGNALING_TOKEN', `The token does not open this room: ${reason}.`)
}

async function ask(authorize: Authorize, request: JoinRequest): Promise<ErrorBody | undefined> {
  const late = () => new Error(`'authorize' has not answered within ${AUTHORIZE_TIMEOUT} ms`)
  try {
    const verdict = await within(AUTHORIZE_TIMEOUT, authorize(request), late)
    if (verdict === true) return undefined
    const reason = typeof verdict === 'string' ? verdict.slice(0, LENGTHS.short) : 'You may not join this room.'
    return errorBody('ERR_SIGNALING_FORBIDDEN', reason)
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error))
    return errorBody('ERR_SIGNALING_FORBIDDEN', 'The server could not find out whether you may join this room.')
  }
}
