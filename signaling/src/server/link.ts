/** One client connection as the rooms see it, over Socket.IO. */
import type { DefaultEventsMap, Server, Socket } from 'socket.io'
import type * as v from 'valibot'
import {
  type ClientEvents,
  describeIssues,
  type ErrorBody,
  errorBody,
  PROTOCOL_VERSION,
  type ServerEvents,
} from '../protocol.ts'
import type { Link, Member } from './member.ts'

export type FloeServer = Server<ClientEvents, ServerEvents, DefaultEventsMap, { member?: Member }>
export type FloeSocket = Socket<ClientEvents, ServerEvents, DefaultEventsMap, { member?: Member }>

export function linkTo(socket: FloeSocket, address: string): Link {
  return {
    address,
    welcome: (welcome) => socket.emit('welcome', welcome),
    renew: (iceServers) => socket.emit('iceServers', iceServers),
    deliver: ({ number, item }, acknowledged) => socket.emit('event', number, item, acknowledged),
    end: (error) => {
      socket.emit('goodbye', error)
      // Not socket.disconnect(): a Socket.IO client takes that for final, yet after a stop it is to come back.
      socket.conn.close()
    },
  }
}

export function handshakeError(auth: Record<string, unknown>, issues: readonly v.BaseIssue<unknown>[]): ErrorBody {
  if (auth.version === PROTOCOL_VERSION) {
    return errorBody('ERR_SIGNALING_ARGUMENT', `The server cannot let you in: ${describeIssues(issues)}.`)
  }
  const theirs = typeof auth.version === 'number' ? `version ${auth.version}` : 'no version'
  return errorBody('ERR_SIGNALING_VERSION', `The server speaks version ${PROTOCOL_VERSION}, the client ${theirs}.`)
}
