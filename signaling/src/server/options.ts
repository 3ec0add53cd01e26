import type { Server as HttpServer } from 'node:http'
import type { Authorize } from './admission.ts'
import type { IceServersOption } from './ice-servers.ts'
import type { SignalingLimits } from './limits.ts'
import type { Log } from './log.ts'
import type { RedisOptions } from './redis-bus.ts'

/** How long a peer whose connection broke keeps its place, in ms. Longer than a phone's change of network. */
export const DEFAULT_RESUME_GRACE = 15_000

export interface SignalingServerOptions {
  /**
   * An HTTP server of yours to live in. It is yours to listen with, to close, and to bound (`boundConnections`); `port` and
   * `host` are not used.
   */
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
   * What room tokens are signed with, see `issueRoomToken`: who has none for the room stays outside. Several: all of them
   * count, as while one takes the place of another. Asked on every connection, hence also after an interruption.
   */
  readonly tokenSecret?: string | readonly string[]
  /** Has the last word on who may join: your accounts, your bans. Called on every connection, after `tokenSecret`. */
  readonly authorize?: Authorize
  /**
   * STUN and TURN servers for connections within the rooms, which go to everybody who is let in: `Room.iceServers`. As a
   * function it is asked again before what it gave expires, see `issueTurnCredentials`. Default: none.
   */
  readonly iceServers?: IceServersOption
  /** Origins of web pages (`https://example.org`) that may connect, beside the server's own. `'*'`: all. */
  readonly origins?: readonly string[] | '*'
  /**
   * How many reverse proxies stand in front and write X-Forwarded-For, each at its right end. Limits per address count by it.
   * Default 0: clients connect directly, and what they write there is not believed.
   */
  readonly trustedProxies?: number
  /** Path of the health report: 200 as long as the process works. Default `/healthz`. `false`: none, see `SignalingServer.health()`. */
  readonly healthPath?: string | false
  /** Path that answers 200 while newcomers are welcome, else 503: for load balancers. Default `/readyz`. `false`: none. */
  readonly readyPath?: string | false
  /** Path of the metrics for Prometheus, such as `/metrics`. Default `false`: none, see `SignalingServer.metrics()`. */
  readonly metricsPath?: string | false
  /**
   * Makes this server one of several: all that use the same Redis are one, and people in a room need not be at the same server.
   * Takes the packages `@redis/client` and `@socket.io/redis-streams-adapter`. Default: one process, no Redis.
   */
  readonly redis?: RedisOptions
  /** What happens, as records for a log. Default: nobody is told. */
  readonly log?: Log
  /** A room has been opened, with this secret. Called after its first peer has been welcomed. */
  readonly onRoom?: (room: string, secret: string | undefined) => void
}

export interface SignalingHealth {
  readonly status: 'ok' | 'draining' | 'stopping'
  /** Of the protocol. */
  readonly version: number
  readonly rooms: number
  /** Members of all rooms, those included whose place is held. */
  readonly peers: number
  readonly connections: number
  /** Milliseconds. */
  readonly uptime: number
  /** Of several servers: whether Redis is reached, how many others there are, and members at those. */
  readonly cluster?: { readonly connected: boolean; readonly servers: number; readonly peers: number }
}

export interface StopOptions {
  /**
   * Milliseconds over which the clients are sent away, one after the other, so that the servers that they go to are not
   * stormed. Meanwhile `readyPath` says 503 and nobody else is let in. Default 0: all at once.
   */
  readonly drain?: number
}

export interface SignalingServer extends AsyncDisposable {
  /** Where clients find it, once the HTTP server listens. */
  readonly url: string
  health(): SignalingHealth
  /** Whether newcomers are welcome: it neither drains nor stops, has connections left, and reaches Redis where there is one. */
  ready(): boolean
  /** In Prometheus' text format. */
  metrics(): string
  /** How many peers a room has, at all servers and held places included; 0: there is no such room. */
  peersIn(room: string): number
  /** Tells the clients, waits until they have heard it, frees every socket and timer. Idempotent: the first call counts. */
  stop(options?: StopOptions): Promise<void>
}
