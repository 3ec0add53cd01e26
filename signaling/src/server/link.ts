/** One client connection as the rooms see it, over Socket.IO. */
import type { DefaultEventsMap, Server, Socket } from 'socket.io'
import * as v from 'valibot'
import {
  type ClientEvents,
  describeIssues,
  type ErrorBody,
  errorBody,
  PROTOCOL_VERSION,
  type ServerEvents,
} from '../protocol.ts'
import { RelaySchema } from '../relay.ts'
import type { SignalingLimits } from './limits.ts'
import type { Link, Member } from './member.ts'
import type { FrameRelay } from './relay.ts'
import { TokenBucket } from './token-bucket.ts'

export type FloeServer = Server<ClientEvents, ServerEvents, DefaultEventsMap, { member?: Member }>
export type FloeSocket = Socket<ClientEvents, ServerEvents, DefaultEventsMap, { member?: Member }>

export function linkTo(socket: FloeSocket, address: string): Link {
  return {
    address,
    welcome: (welcome) => socket.emit('welcome', welcome),
    renew: (iceServers) => socket.emit('iceServers', iceServers),
    deliver: ({ number, item }, acknowledged) => socket.emit('event', number, item, acknowledged),
    relay: (from, frame, acknowledged) => socket.emit('relay', from, frame, acknowledged),
    end: (error) => {
      socket.emit('goodbye', error)
      // Not socket.disconnect(): a Socket.IO client takes that for final, yet after a stop it is to come back.
      socket.conn.close()
    },
  }
}

/**
 * Takes the frames of a member. They are limited by their bytes (`relay.ts`); who goes on after having been refused is a
 * flood: `onflood`.
 */
export function relayFrames(
  socket: FloeSocket,
  member: Member,
  relay: FrameRelay,
  { messagesPerSecond, messageBurst }: SignalingLimits,
  onflood: (error: ErrorBody) => void,
): void {
  const refusals = new TokenBucket(messagesPerSecond, messageBurst, performance.now())
  socket.on('relay', (...raw: unknown[]) => {
    const answer = raw.pop()
    const parsed = v.safeParse(RelaySchema, raw)
    const refusal = parsed.success
      ? relay.relay(performance.now(), member, ...parsed.output, () => isCallable(answer) && answer(null))
      : errorBody('ERR_SIGNALING_MESSAGE', `This is no frame to relay: ${describeIssues(parsed.issues)}.`)
    if (refusal === undefined) return
    if (isCallable(answer)) answer(refusal)
    if (!refusals.take(performance.now())) onflood(refusal)
  })
}

function isCallable(answer: unknown): answer is (error: ErrorBody | null) => void {
  return typeof answer === 'function'
}

export function handshakeError(auth: Record<string, unknown>, issues: readonly v.BaseIssue<unknown>[]): ErrorBody {
  if (auth.version === PROTOCOL_VERSION) {
    return errorBody('ERR_SIGNALING_ARGUMENT', `The server cannot let you in: ${describeIssues(issues)}.`)
  }
  const theirs = typeof auth.version === 'number' ? `version ${auth.version}` : 'no version'
  return errorBody('ERR_SIGNALING_VERSION', `The server speaks version ${PROTOCOL_VERSION}, the client ${theirs}.`)
}
