import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Server } from 'socket.io'
import * as v from 'valibot'
import {
  describeIssues,
  type ErrorBody,
  errorBody,
  type Handshake,
  HandshakeSchema,
  PROTOCOL_VERSION,
  SignalSchema,
  signalingError,
} from '../protocol.ts'
import { Addresses, addressOf } from './addresses.ts'
import { admission } from './admission.ts'
import { Cluster } from './cluster.ts'
import { Door } from './door.ts'
import { fairWebSockets } from './fair-socket.ts'
import {
  foreignOrigin,
  guardDoor,
  intercept,
  jsonReport,
  mount,
  queueRequests,
  type Report,
  reachableHost,
} from './http.ts'
import { iceServerSource } from './ice-servers.ts'
import { DEFAULT_LIMITS, type SignalingLimits } from './limits.ts'
import { type FloeServer, type FloeSocket, handshakeError, linkTo, relayFrames } from './link.ts'
import { type Log, silent } from './log.ts'
import type { Answer, Link, Member } from './member.ts'
import { clusterGauges, type Gauge, Metrics } from './metrics.ts'
import { ALONE } from './neighbours.ts'
import {
  DEFAULT_RESUME_GRACE,
  type SignalingHealth,
  type SignalingServer,
  type SignalingServerOptions,
  type StopOptions,
} from './options.ts'
import { PerSecond } from './pace.ts'
import { limitRate } from './rate-limit.ts'
import { type Redis, RedisBus } from './redis-bus.ts'
import { FrameRelay } from './relay.ts'
import { Rooms } from './rooms.ts'
import { Turns } from './turns.ts'

/** A silent connection counts as broken after `interval + timeout`, in ms. */
const HEARTBEAT = { interval: 10_000, timeout: 10_000 } as const

/** Time for a new connection to say who it is, in ms. */
const HANDSHAKE_TIMEOUT = 10_000

/** Time for clients to take the last messages when the server stops, in ms. */
const DRAIN_TIMEOUT = 1_000

/** Where a request comes from, noted when it arrives. */
const ADDRESS = Symbol('address')
type NotedRequest = IncomingMessage & { [ADDRESS]?: string }

interface CheckedOptions extends SignalingServerOptions {
  readonly admit: ReturnType<typeof admission>
  readonly iceServersFor: ReturnType<typeof iceServerSource>
}

/** @throws {SignalingError} `ERR_SIGNALING_ARGUMENT` */
export function checkOptions(options: SignalingServerOptions): CheckedOptions {
  return { ...options, admit: admission(options), iceServersFor: iceServerSource(options.iceServers) }
}

/** `SignalingServer` over Socket.IO; see `createSignalingServer()`. */
export class SocketSignalingServer implements SignalingServer {
  readonly #httpServer: HttpServer
  readonly #options: CheckedOptions
  readonly #limits: SignalingLimits
  readonly #io: FloeServer
  readonly #rooms: Rooms
  readonly #relay: FrameRelay
  readonly #cluster: Cluster | undefined
  readonly #addresses: Addresses
  readonly #metrics = new Metrics()
  readonly #log: Log
  readonly #unmount: () => void
  readonly #started = performance.now()
  #draining = false
  #stopped: Promise<void> | undefined

  constructor(httpServer: HttpServer, options: CheckedOptions, redis: Redis | undefined) {
    const { roomSecret, origins = [], resumeGrace = DEFAULT_RESUME_GRACE } = options
    this.#httpServer = httpServer
    this.#options = options
    this.#log = options.log ?? silent
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#addresses = new Addresses(this.#limits)
    const turns = new Turns()
    const addressOf = (request: IncomingMessage) => this.#addressOf(request)
    this.#io = new Server({
      serveClient: false,
      ...(redis && { adapter: redis.adapter }),
      maxHttpBufferSize: this.#limits.messageSize,
      wsEngine: fairWebSockets(turns, addressOf, (address) => this.#punish(address)),
      connectTimeout: HANDSHAKE_TIMEOUT,
      pingInterval: HEARTBEAT.interval,
      pingTimeout: HEARTBEAT.timeout,
      destroyUpgrade: options.httpServer === undefined,
      cors: { origin: origins === '*' ? true : [...origins] },
      allowRequest: (request, answer) => {
        const refusal = this.#refuseRequest(request, origins)
        answer(refusal, refusal === undefined)
      },
    })
    if (redis !== undefined) {
      const bus = new RedisBus(this.#io as unknown as Server, redis, this.#metrics, this.#log)
      this.#cluster = new Cluster(bus, {
        resumeGrace,
        log: this.#log,
        onframe: (frame) => this.#relay.deliver(this.#rooms.room(frame.room)?.members.get(frame.to), frame),
      })
    }
    const neighbours = this.#cluster ?? ALONE
    this.#relay = new FrameRelay(this.#limits, neighbours)
    this.#rooms = new Rooms({
      ...this.#limits,
      relay: this.#relay.isOffered,
      resumeGrace,
      secretFor: typeof roomSecret === 'function' ? roomSecret : () => roomSecret,
      onRoom: options.onRoom ?? (() => {}),
      onLeave: (member, reason) => this.#onleave(member, reason),
      iceServersFor: options.iceServersFor,
      neighbours,
    })
    this.#unmount = mount(httpServer, () => {
      intercept(httpServer, this.#reports())
      this.#io.attach(httpServer)
      const door = new Door(this.#addresses, this.#metrics)
      // Behind proxies connections are the proxies'.
      if (!options.trustedProxies) guardDoor(httpServer, door)
      const newcomers = new Turns(new PerSecond(this.#limits.connectionsPerSecond, turns))
      queueRequests(httpServer, { path: this.#io.path(), turns, newcomers, addressOf, door })
    })
    this.#io.engine.on('connection', (connection: EngineConnection) => this.#count(connection))
    this.#io.on('connection', (socket) => void this.#welcome(socket))
  }

  /** Meets the other servers, where there are any. */
  async start(): Promise<void> {
    await this.#cluster?.start(this.#rooms)
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
      status: this.#stopped === undefined ? 'ok' : this.#draining ? 'draining' : 'stopping',
      version: PROTOCOL_VERSION,
      rooms: this.#rooms.size,
      peers: this.#rooms.peers,
      connections: this.#io.engine.clientsCount,
      uptime: Math.round(performance.now() - this.#started),
      ...(this.#cluster && { cluster: this.#clusterHealth(this.#cluster) }),
    }
  }

  #clusterHealth({ connected, servers, peers }: Cluster) {
    return { connected, servers, peers }
  }

  ready(): boolean {
    if (this.#cluster?.connected === false) return false
    return this.#stopped === undefined && this.#io.engine.clientsCount < this.#limits.connections
  }

  metrics(): string {
    return this.#metrics.expose(this.#gauges())
  }

  peersIn(room: string): number {
    return this.#rooms.peersIn(room)
  }

  stop(options: StopOptions = {}): Promise<void> {
    return (this.#stopped ??= this.#stop(options.drain ?? 0))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(drain: number): Promise<void> {
    const farewell = stopping()
    if (drain > 0) await this.#drain(drain, farewell)
    this.#rooms.close(farewell)
    const deadline = performance.now() + DRAIN_TIMEOUT
    while (this.#io.engine.clientsCount > 0 && performance.now() < deadline) await delay(5)
    this.#io.engine.close()
    await this.#cluster?.close()
    this.#unmount()
    this.#log({ level: 'info', event: 'stopped' })
    if (this.#options.httpServer !== undefined || !this.#httpServer.listening) return
    await new Promise<void>((resolve) => {
      this.#httpServer.close(() => resolve())
      this.#httpServer.closeAllConnections()
    })
  }

  /** Sends one after the other away; ends before its time when nobody is left. */
  async #drain(duration: number, farewell: ErrorBody): Promise<void> {
    this.#draining = true
    this.#log({ level: 'info', event: 'draining', milliseconds: duration, peers: this.#rooms.peers })
    const sendAway = this.#rooms.links()
    const started = performance.now()
    for (const [index, link] of sendAway.entries()) {
      const due = started + (duration * index) / sendAway.length
      if (due > performance.now()) await delay(due - performance.now())
      link.end(farewell)
    }
    this.#draining = false
  }

  #reports(): ReadonlyMap<string, () => Report> {
    const { healthPath = '/healthz', readyPath = '/readyz', metricsPath = false } = this.#options
    const reports = new Map<string, () => Report>()
    if (healthPath !== false) reports.set(healthPath, () => jsonReport(200, this.health()))
    if (readyPath !== false) {
      reports.set(readyPath, () => {
        const ready = this.ready()
        return jsonReport(ready ? 200 : 503, { ready })
      })
    }
    if (metricsPath !== false) {
      const type = 'text/plain; version=0.0.4; charset=utf-8'
      reports.set(metricsPath, () => ({ status: 200, type, body: this.metrics() }))
    }
    return reports
  }

  #gauges(): Gauge[] {
    const { rooms, peers, connections, cluster } = this.health()
    return [
      ...(cluster ? clusterGauges(cluster.connected, cluster.servers, cluster.peers) : []),
      { name: 'floe_signaling_rooms', help: 'Rooms with somebody in them.', value: rooms },
      { name: 'floe_signaling_peers', help: 'Peers in rooms, held places included.', value: peers },
      { name: 'floe_signaling_connections', help: 'Connections, joined or not.', value: connections },
      { name: 'floe_signaling_addresses', help: 'Addresses that limits are kept for.', value: this.#addresses.size },
      { name: 'floe_signaling_ready', help: '1: newcomers are welcome.', value: this.ready() ? 1 : 0 },
    ]
  }

  #addressOf(request: NotedRequest): string {
    return (request[ADDRESS] ??= addressOf(request, this.#options.trustedProxies ?? 0))
  }

  #refuseRequest(request: IncomingMessage, origins: readonly string[] | '*'): string | undefined {
    const address = this.#addressOf(request)
    const [reason, refusal] = this.#refusal(request, address, origins) ?? []
    if (reason === undefined) return undefined
    this.#metrics.count('floe_signaling_connections_refused_total', { reason })
    this.#log({ level: reason === 'stopping' ? 'debug' : 'warn', event: 'refused', address, reason })
    return refusal
  }

  #refusal(request: IncomingMessage, address: string, origins: readonly string[] | '*'): [string, string] | undefined {
    if (this.#stopped !== undefined) return ['stopping', 'the server is stopping']
    if (this.#io.engine.clientsCount >= this.#limits.connections) {
      return ['full', 'the server has all its connections already']
    }
    const origin = foreignOrigin(request, origins)
    if (origin !== undefined) {
      return ['origin', `pages of ${origin} may not connect; allow them with the option 'origins'`]
    }
    const excess = this.#addresses.refuse(address, performance.now())
    return excess === undefined ? undefined : ['address', excess]
  }

  #count(connection: EngineConnection): void {
    const address = this.#addressOf(connection.request)
    this.#addresses.opened(address, performance.now())
    this.#metrics.count('floe_signaling_connections_total')
    connection.once('close', () => this.#addresses.closed(address))
  }

  async #welcome(socket: FloeSocket): Promise<void> {
    socket.on('error', () => {}) // a packet that does not parse; Socket.IO closes the connection
    // Who left its namespace could come back to it on the same connection, as somebody else and with limits anew.
    socket.on('disconnect', () => socket.conn.close())
    const address = this.#addressOf(socket.request)
    const link = linkTo(socket, address)
    this.#limitRate(socket, link)
    const handshake = v.safeParse(HandshakeSchema, socket.handshake.auth)
    if (!handshake.success) {
      this.#reject(link, handshakeError(socket.handshake.auth, handshake.issues))
      return
    }
    const applicant = { handshake: handshake.output, address, headers: socket.request.headers }
    const verdict = this.#options.admit(applicant)
    const refusal = verdict instanceof Promise ? await verdict : verdict
    if (!socket.connected) return // it did not wait for the answer
    if (this.#stopped !== undefined) link.end(stopping())
    else if (refusal === undefined) this.#join(socket, link, handshake.output)
    else this.#reject(link, refusal, handshake.output.room)
  }

  #join(socket: FloeSocket, link: Link, handshake: Handshake): void {
    const member = this.#rooms.join(link, handshake)
    if ('code' in member) {
      this.#reject(link, member, handshake.room)
      return
    }
    const event = member.resumed ? 'resumed' : 'joined'
    this.#metrics.count('floe_signaling_joins_total', { result: event })
    this.#log({ level: 'info', event, room: handshake.room, peer: member.info.id, address: link.address })
    socket.on('signal', (...raw: unknown[]) => {
      const acknowledge = raw.pop()
      this.#signal(member, raw, typeof acknowledge === 'function' ? (error) => acknowledge(error) : () => {})
    })
    relayFrames(socket, member, this.#relay, this.#limits, (error) => this.#rejectFlood(link, error, handshake.room))
    socket.on('leave', (acknowledge: unknown) => {
      socket.removeAllListeners('signal').removeAllListeners('relay')
      if (member.link === link) this.#rooms.leave(member, 'left')
      if (typeof acknowledge === 'function') acknowledge()
    })
    socket.on('disconnect', () => this.#rooms.detach(member, link))
  }

  #reject(link: Link, error: ErrorBody, room?: string): void {
    this.#metrics.count('floe_signaling_rejections_total', { code: error.code })
    this.#log({ level: 'warn', event: 'rejected', code: error.code, address: link.address, room })
    link.end(error)
  }

  #onleave({ room, info }: Member, reason: 'left' | 'vanished'): void {
    this.#metrics.count('floe_signaling_leaves_total', { reason })
    this.#log({ level: 'info', event: 'left', room: room.name, peer: info.id, reason })
  }

  #signal(member: Member, raw: unknown[], acknowledge: (error: unknown) => void): void {
    const arrived = performance.now()
    const answer: Answer = (error) => {
      this.#metrics.count('floe_signaling_signals_total', { result: error === null ? 'delivered' : error.code })
      if (error === null) this.#metrics.delivered(performance.now() - arrived)
      acknowledge(error)
    }
    const parsed = v.safeParse(SignalSchema, raw)
    if (parsed.success) return this.#rooms.signal(member, parsed.output, answer)
    const problem = `The server does not relay this message: ${describeIssues(parsed.issues)}.`
    answer(errorBody('ERR_SIGNALING_MESSAGE', problem))
  }

  /** Of one that does not stop sending too much: it goes, and its address need not come back at once. */
  #rejectFlood(link: Link, error: ErrorBody, room?: string): void {
    this.#addresses.punish(link.address, performance.now())
    this.#reject(link, error, room)
  }

  /** One that kept too many others waiting has been sent away. */
  #punish(address: string): void {
    this.#addresses.punish(address, performance.now())
    this.#metrics.count('floe_signaling_rate_limited_total', { whose: 'crowd' })
    this.#log({ level: 'warn', event: 'flooding', address, whose: 'crowd' })
  }

  #limitRate(socket: FloeSocket, link: Link): void {
    limitRate(socket, link.address, {
      limits: this.#limits,
      addresses: this.#addresses,
      onrefused: (whose, first) => {
        this.#metrics.count('floe_signaling_rate_limited_total', { whose })
        if (first) this.#log({ level: 'warn', event: 'flooding', address: link.address, whose })
      },
      onflood: (error) => this.#rejectFlood(link, error),
    })
  }
}

function stopping(): ErrorBody {
  return errorBody('ERR_SIGNALING_STOPPED', 'The signaling server is stopping.')
}

interface EngineConnection {
  readonly request: IncomingMessage
  once(event: 'close', listener: () => void): void
}
