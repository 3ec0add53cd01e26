/** The signaling server: rooms of peers over Socket.IO, in memory, in one process. */
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type DefaultEventsMap, Server, type Socket } from 'socket.io'
import * as v from 'valibot'
import {
  type ClientEvents,
  describeIssues,
  type ErrorBody,
  errorBody,
  HandshakeSchema,
  PROTOCOL_VERSION,
  type ServerEvents,
  SignalSchema,
  signalingError,
} from './protocol.ts'
import { RelaySchema } from './relay.ts'
import { interceptHealth, mount } from './server/http.ts'
import { type IceServersOption, iceServerSource } from './server/ice-servers.ts'
import { FrameRelay, type RelayLimits } from './server/relay.ts'
import { type Link, type Member, Rooms } from './server/rooms.ts'
import { TokenBucket } from './server/token-bucket.ts'

export {
  DEFAULT_CREDENTIAL_LIFETIME,
  issueTurnCredentials,
  type TurnCredentialOptions,
  type TurnCredentials,
} from './credentials.ts'
export { SignalingError, type SignalingErrorCode } from './protocol.ts'
export type { IceServerOffer, IceServersOption } from './server/ice-servers.ts'

/** What one server, room and connection may use. Everything that comes from the network is bounded by one of these. */
export interface SignalingLimits extends RelayLimits {
  /** Connections to the server, joined or not. */
  readonly connections: number
  readonly rooms: number
  readonly peersPerRoom: number
  /** Bytes of one packet. A bigger one ends its connection. */
  readonly messageSize: number
  /** Packets of one connection: in the long run, and at once. Four times `messageBurst` of refused ones end it. */
  readonly messagesPerSecond: number
  readonly messageBurst: number
  /** What waits for the acknowledgement of one peer: events, and the size of their JSON. */
  readonly heldMessages: number
  readonly heldSize: number
}

export const DEFAULT_LIMITS: SignalingLimits = {
  connections: 10_000,
  rooms: 4_096,
  peersPerRoom: 64,
  messageSize: 131_072, // the longest description that the schema allows, with room for its JSON escapes
  messagesPerSecond: 100,
  messageBurst: 1_000, // one peer that connects to a full room: 63 × (description + a dozen candidates)
  heldMessages: 1_024,
  heldSize: 1_048_576,
  relayBytesPerSecond: 1_048_576, // a conversation while ICE looks for a path, not the files of everybody
  roomRelayBytesPerSecond: 4_194_304,
}

/** How long a peer whose connection broke keeps its place, in ms. Longer than a phone's change of network. */
export const DEFAULT_RESUME_GRACE = 15_000

/** A silent connection counts as broken after `interval + timeout`, in ms. */
const HEARTBEAT = { interval: 10_000, timeout: 10_000 } as const

/** Time for a new connection to say who it is, in ms. */
const HANDSHAKE_TIMEOUT = 10_000

/** Time for clients to take the last messages when the server stops, in ms. */
const DRAIN_TIMEOUT = 1_000

export interface SignalingServerOptions {
  /** An HTTP server of yours to live in. It is yours to listen with and to close; `port` and `host` are not used. */
  readonly httpServer?: HttpServer
  /** TCP port of the server's own HTTP server. Default 0: a free one, see `SignalingServer.url`. */
  readonly port?: number
  /** Address to listen on. Default 127.0.0.1: this machine only. */
  readonly host?: string
  readonly limits?: Partial<SignalingLimits>
  /** Milliseconds that the place of a peer whose connection broke is held. Default `DEFAULT_RESUME_GRACE`. */
  readonly resumeGrace?: number
  /** The secret of every room, or of the rooms for which the function returns one. Other rooms: whoever opens one decides. */
  readonly roomSecret?: string | ((room: string) => string | undefined)
  /**
   * STUN and TURN servers for connections within the rooms, which go to everybody who is let in: `Room.iceServers`. As a
   * function it is asked again before what it gave expires, see `issueTurnCredentials`. Default: none.
   */
  readonly iceServers?: IceServersOption
  /** Origins of web pages (`https://example.org`) that may connect, beside the server's own. `'*'`: all. */
  readonly origins?: readonly string[] | '*'
  /** Path of the health report. Default `/healthz`. `false`: none, see `SignalingServer.health()`. */
  readonly healthPath?: string | false
  /** A room has been opened, with this secret. Called after its first peer has been welcomed. */
  readonly onRoom?: (room: string, secret: string | undefined) => void
}

export interface SignalingHealth {
  readonly status: 'ok' | 'stopping'
  /** Of the protocol. */
  readonly version: number
  readonly rooms: number
  /** Members of all rooms, those included whose place is held. */
  readonly peers: number
  readonly connections: number
  /** Milliseconds. */
  readonly uptime: number
}

export interface SignalingServer extends AsyncDisposable {
  /** Where clients find it, once the HTTP server listens. */
  readonly url: string
  health(): SignalingHealth
  /** How many peers a room has, held places included; 0: there is no such room. */
  peersIn(room: string): number
  /** Tells the clients, waits until they have heard it, frees every socket and timer. Idempotent. */
  stop(): Promise<void>
}

/**
 * Starts a signaling server.
 * @throws {SignalingError} `ERR_SIGNALING_UNREACHABLE` when the port cannot be had; `cause` is the system's error.
 *   `ERR_SIGNALING_ARGUMENT` when `iceServers` is a list of something else.
 */
export async function createSignalingServer(options: SignalingServerOptions = {}): Promise<SignalingServer> {
  const httpServer = options.httpServer ?? createServer(answerNotFound)
  const server = new SocketSignalingServer(httpServer, options)
  if (options.httpServer !== undefined) return server
  try {
    await listen(httpServer, options.port ?? 0, options.host ?? '127.0.0.1')
  } catch (error) {
    await server.stop()
    throw signalingError('ERR_SIGNALING_UNREACHABLE', `Cannot listen: ${(error as Error).message}.`, error)
  }
  return server
}

type FloeServer = Server<ClientEvents, ServerEvents, DefaultEventsMap, { member?: Member }>
type FloeSocket = Socket<ClientEvents, ServerEvents, DefaultEventsMap, { member?: Member }>

class SocketSignalingServer implements SignalingServer {
  readonly #httpServer: HttpServer
  readonly #owned: boolean
  readonly #limits: SignalingLimits
  readonly #io: FloeServer
  readonly #rooms: Rooms
  readonly #relay: FrameRelay
  readonly #unmount: () => void
  readonly #started = performance.now()
  #stopped: Promise<void> | undefined

  constructor(httpServer: HttpServer, options: SignalingServerOptions) {
    const { roomSecret, healthPath = '/healthz', origins = [] } = options
    this.#httpServer = httpServer
    this.#owned = options.httpServer === undefined
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#relay = new FrameRelay(this.#limits)
    this.#rooms = new Rooms({
      ...this.#limits,
      relay: this.#relay.isOffered,
      resumeGrace: options.resumeGrace ?? DEFAULT_RESUME_GRACE,
      secretFor: typeof roomSecret === 'function' ? roomSecret : () => roomSecret,
      onRoom: options.onRoom ?? (() => {}),
      iceServersFor: iceServerSource(options.iceServers),
    })
    this.#io = new Server({
      serveClient: false,
      maxHttpBufferSize: this.#limits.messageSize,
      connectTimeout: HANDSHAKE_TIMEOUT,
      pingInterval: HEARTBEAT.interval,
      pingTimeout: HEARTBEAT.timeout,
      destroyUpgrade: this.#owned,
      cors: { origin: origins === '*' ? true : [...origins] },
      allowRequest: (request, answer) => {
        const refusal = this.#refuseRequest(request, origins)
        answer(refusal, refusal === undefined)
      },
    })
    this.#unmount = mount(httpServer, () => {
      if (healthPath !== false) interceptHealth(httpServer, healthPath, () => this.health())
      this.#io.attach(httpServer)
    })
    this.#io.on('connection', (socket) => this.#welcome(socket))
  }

  get url(): string {
    const address = this.#httpServer.address() as AddressInfo | string | null
    if (address === null || typeof address === 'string') {
      throw signalingError('ERR_SIGNALING_CLOSED', 'The HTTP server does not listen on a TCP port.')
    }
    return `http://${reachableHost(address)}:${address.port}`
  }

  health(): SignalingHealth {
    return {
      status: this.#stopped === undefined ? 'ok' : 'stopping',
      version: PROTOCOL_VERSION,
      rooms: this.#rooms.size,
      peers: this.#rooms.peers,
      connections: this.#io.engine.clientsCount,
      uptime: Math.round(performance.now() - this.#started),
    }
  }

  peersIn(room: string): number {
    return this.#rooms.peersIn(room)
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    this.#rooms.close(errorBody('ERR_SIGNALING_STOPPED', 'The signaling server is stopping.'))
    const deadline = performance.now() + DRAIN_TIMEOUT
    while (this.#io.engine.clientsCount > 0 && performance.now() < deadline) await delay(5)
    this.#io.engine.close()
    this.#unmount()
    if (!this.#owned || !this.#httpServer.listening) return
    await new Promise<void>((resolve) => {
      this.#httpServer.close(() => resolve())
      this.#httpServer.closeAllConnections()
    })
  }

  /** Browsers do not hold WebSockets to the same-origin policy: without this any web page could join our rooms. */
  #refuseRequest(request: IncomingMessage, origins: readonly string[] | '*'): string | undefined {
    if (this.#stopped !== undefined) return 'the server is stopping'
    if (this.#io.engine.clientsCount >= this.#limits.connections) return 'the server has all its connections already'
    const { origin, host } = request.headers
    if (origin === undefined || origins === '*' || origins.includes(origin)) return undefined
    if (URL.canParse(origin) && new URL(origin).host === host) return undefined
    return `pages of ${origin} may not connect; allow them with the option 'origins'`
  }

  #welcome(socket: FloeSocket): void {
    socket.on('error', () => {}) // a packet that does not parse; Socket.IO closes the connection
    const link = linkTo(socket)
    const handshake = v.safeParse(HandshakeSchema, socket.handshake.auth)
    if (!handshake.success) {
      link.end(handshakeError(socket.handshake.auth, handshake.issues))
      return
    }
    const member = this.#rooms.join(link, handshake.output)
    if ('code' in member) {
      link.end(member)
      return
    }
    this.#limitRate(socket, link)
    socket.on('signal', (...raw: unknown[]) => {
      const acknowledge = raw.pop()
      const error = this.#signal(member, raw)
      if (typeof acknowledge === 'function') acknowledge(error)
    })
    this.#relayFrames(socket, link, member)
    socket.on('leave', (acknowledge: unknown) => {
      if (member.link === link) this.#rooms.leave(member, 'left')
      if (typeof acknowledge === 'function') acknowledge()
    })
    socket.on('disconnect', () => this.#rooms.detach(member, link))
  }

  #signal(member: Member, raw: unknown[]): ErrorBody | null {
    const parsed = v.safeParse(SignalSchema, raw)
    if (parsed.success) return this.#rooms.signal(member, ...parsed.output)
    return errorBody(
      'ERR_SIGNALING_MESSAGE',
      `The server does not relay this message: ${describeIssues(parsed.issues)}.`,
    )
  }

  /** Frames are limited by their bytes (`server/relay.ts`); who goes on after having been refused is a flood. */
  #relayFrames(socket: FloeSocket, link: Link, member: Member): void {
    const { messagesPerSecond, messageBurst } = this.#limits
    const refusals = new TokenBucket(messagesPerSecond, messageBurst, performance.now())
    socket.on('relay', (...raw: unknown[]) => {
      const answer = raw.pop()
      const parsed = v.safeParse(RelaySchema, raw)
      const refusal = parsed.success
        ? this.#relay.relay(performance.now(), member, ...parsed.output, () => isCallable(answer) && answer(null))
        : errorBody('ERR_SIGNALING_MESSAGE', `This is no frame to relay: ${describeIssues(parsed.issues)}.`)
      if (refusal === undefined) return
      if (isCallable(answer)) answer(refusal)
      if (!refusals.take(performance.now())) link.end(refusal)
    })
  }

  #limitRate(socket: FloeSocket, link: Link): void {
    const { messagesPerSecond, messageBurst } = this.#limits
    const bucket = new TokenBucket(messagesPerSecond, messageBurst, performance.now())
    const error = errorBody('ERR_SIGNALING_RATE', `More than ${messagesPerSecond} messages per second.`)
    socket.use((packet: unknown[], next) => {
      if (packet[0] === 'relay') return next()
      if (bucket.take(performance.now())) return next()
      const acknowledge = packet.at(-1)
      if (bucket.debt > 4 * messageBurst) link.end(error)
      else if (typeof acknowledge === 'function') acknowledge(error)
    })
  }
}

function linkTo(socket: FloeSocket): Link {
  return {
    address: socket.handshake.address,
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

function handshakeError(auth: Record<string, unknown>, issues: readonly v.BaseIssue<unknown>[]): ErrorBody {
  if (auth.version === PROTOCOL_VERSION) {
    return errorBody('ERR_SIGNALING_ARGUMENT', `The server cannot let you in: ${describeIssues(issues)}.`)
  }
  const theirs = typeof auth.version === 'number' ? `version ${auth.version}` : 'no version'
  return errorBody('ERR_SIGNALING_VERSION', `The server speaks version ${PROTOCOL_VERSION}, the client ${theirs}.`)
}

function isCallable(answer: unknown): answer is (error: ErrorBody | null) => void {
  return typeof answer === 'function'
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

/** An unspecified address is one to listen on, not one to connect to. */
function reachableHost({ address, family }: AddressInfo): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  if (address === '::') return '[::1]'
  return family === 'IPv6' ? `[${address}]` : address
}
