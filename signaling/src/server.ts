/** The signaling server: rooms of peers over Socket.IO, in memory, in one process or in several over Redis. */
import { createServer, type Server as HttpServer, type ServerResponse } from 'node:http'
import { signalingError } from './protocol.ts'
import type { SignalingServer, SignalingServerOptions } from './server/options.ts'
import { Redis } from './server/redis-bus.ts'
import { checkOptions, SocketSignalingServer } from './server/socket-server.ts'
import { boundConnections } from './server/tcp-connections.ts'

export {
  DEFAULT_CREDENTIAL_LIFETIME,
  issueTurnCredentials,
  type TurnCredentialOptions,
  type TurnCredentials,
} from './credentials.ts'
export { SignalingError, type SignalingErrorCode } from './protocol.ts'
export type { Authorize, JoinRequest } from './server/admission.ts'
export type { IceServerOffer, IceServersOption } from './server/ice-servers.ts'
export { DEFAULT_LIMITS, type SignalingLimits } from './server/limits.ts'
export type { Log, LogLevel, LogRecord } from './server/log.ts'
export {
  DEFAULT_RESUME_GRACE,
  type SignalingHealth,
  type SignalingServer,
  type SignalingServerOptions,
  type StopOptions,
} from './server/options.ts'
export type { RedisOptions } from './server/redis-bus.ts'
export { boundConnections, type ConnectionBounds } from './server/tcp-connections.ts'
export { DEFAULT_TOKEN_LIFETIME, issueRoomToken, type RoomTokenOptions } from './tokens.ts'

/**
 * Starts a signaling server.
 * @throws {SignalingError} `ERR_SIGNALING_UNREACHABLE` when the port cannot be had; `cause` is the system's error.
 *   The same when Redis cannot be reached. `ERR_SIGNALING_ARGUMENT` when `iceServers` is a list of something else, or a token secret too short.
 */
export async function createSignalingServer(options: SignalingServerOptions = {}): Promise<SignalingServer> {
  const httpServer = options.httpServer ?? createServer(answerNotFound)
  if (options.httpServer === undefined) boundConnections(httpServer, options)
  const checked = checkOptions(options) // first: nothing is open yet that would have to be closed
  const redis = options.redis && (await Redis.connect(options.redis))
  const server = new SocketSignalingServer(httpServer, checked, redis)
  await server.start()
  if (options.httpServer !== undefined) return server
  try {
    await listen(httpServer, options.port ?? 0, options.host ?? '127.0.0.1')
  } catch (error) {
    await server.stop()
    throw signalingError('ERR_SIGNALING_UNREACHABLE', `Cannot listen: ${(error as Error).message}.`, error)
  }
  return server
}

function answerNotFound(_request: unknown, response: ServerResponse): void {
  response.writeHead(404, { 'content-type': 'text/plain' }).end('This is a floe signaling server.\n')
}

function listen(server: HttpServer, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
