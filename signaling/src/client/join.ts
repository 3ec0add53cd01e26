import { io } from 'socket.io-client'
import * as v from 'valibot'
import {
  type AgentKind,
  describeIssues,
  type Handshake,
  HandshakeSchema,
  PROTOCOL_VERSION,
  signalingError,
  type Welcome,
} from '../protocol.ts'
import { Room } from './room.ts'
import type { ClientSocket } from './server-link.ts'

export interface JoinOptions {
  /** Name of the room: 1–64 letters, digits, `.`, `_`, `~` or `-`. */
  readonly room: string
  /** Whoever opens a room decides its secret, unless the server does. */
  readonly secret?: string
  /**
   * What lets us in, at a server that asks for it. As a function it is asked before every connection, so that a token that
   * has expired meanwhile keeps nobody from coming back; when it fails then, the last token is tried.
   */
  readonly token?: string | (() => string | Promise<string>)
  /** What we are, so that both ends agree on who is polite. Default: what this code runs in. */
  readonly agent?: AgentKind
  /** Aborting ends the attempt, or leaves the room. */
  readonly signal?: AbortSignal
  /** How long joining may take, in ms. Default 10,000. */
  readonly timeout?: number
  /** How long a lost connection to the server is tried again before the room closes, in ms. Default 60,000. */
  readonly reconnectTimeout?: number
}

/** Delays between attempts to reconnect, in ms: the first soon, since most blips are short. */
const RECONNECTION = { first: 250, longest: 5_000 } as const

/**
 * Joins a room of the signaling server at `server`: `http://127.0.0.1:3000`, or with a path when it lives under one.
 * Resolves when the server has let us in. Peers that are there already are in `Room.peers` and go to `Room.onpeer`.
 * @throws {SignalingError} with the server's reason, or `ERR_SIGNALING_UNREACHABLE`, `ERR_SIGNALING_TIMEOUT`,
 *   `ERR_SIGNALING_ABORTED`, `ERR_SIGNALING_ARGUMENT`.
 */
export async function joinRoom(server: string | URL, options: JoinOptions): Promise<Room> {
  const { signal, timeout = 10_000, reconnectTimeout = 60_000 } = options
  const url = parseUrl(server)
  const handshake = makeHandshake(options)
  if (signal?.aborted) throw signalingError('ERR_SIGNALING_ABORTED', 'Joining was aborted.', signal.reason)
  const say = new Introduction(handshake, options.token)
  const socket: ClientSocket = io(url.origin, {
    path: `${url.pathname.replace(/\/+$/, '')}/socket.io`,
    transports: ['websocket', 'polling'], // WebSocket at once; polling for networks that know nothing else
    tryAllTransports: true,
    forceNew: true,
    auth: (give) => void say.next().then(give),
    reconnectionDelay: RECONNECTION.first,
    reconnectionDelayMax: RECONNECTION.longest,
    timeout,
  })
  const { room, joined, end } = Room.control(socket, handshake.room, reconnectTimeout, (welcome) => say.heed(welcome))
  const timer = setTimeout(() => {
    end(signalingError('ERR_SIGNALING_TIMEOUT', `${url.href} did not answer within ${timeout} ms.`))
  }, timeout)
  const abort = () => end(signalingError('ERR_SIGNALING_ABORTED', 'The room was aborted.', signal?.reason))
  signal?.addEventListener('abort', abort, { once: true })
  void room.closed.then(() => signal?.removeEventListener('abort', abort))
  try {
    await joined
  } finally {
    clearTimeout(timer)
  }
  return room
}

function parseUrl(server: string | URL): URL {
  const text = String(server)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^(https?|wss?):$/.test(url.protocol)) {
    url.protocol = url.protocol.replace('ws', 'http') // a URL's origin is opaque for ws: in some browsers
    return url
  }
  throw signalingError('ERR_SIGNALING_ARGUMENT', `'server' must be a URL such as http://127.0.0.1:3000, not ${text}.`)
}

/** What to say on each connection: who we are, which is the same every time, what we know, and a token of now. */
class Introduction {
  readonly #token: JoinOptions['token']
  #handshake: Handshake
  #connections = 0

  constructor(handshake: Handshake, token: JoinOptions['token']) {
    this.#handshake = handshake
    this.#token = token
  }

  heed({ self, numbering }: Welcome): void {
    const { numbering: _former, ...rest } = this.#handshake
    this.#handshake = { ...rest, joined: self.joined, ...(numbering === undefined ? {} : { numbering }) }
  }

  async next(): Promise<Handshake> {
    const connection = ++this.#connections
    try {
      const token = typeof this.#token === 'function' ? await this.#token() : this.#token
      if (token !== undefined) this.#handshake = { ...this.#handshake, token }
    } catch {} // the server says what it thinks of the last one, or of none
    return { ...this.#handshake, connection }
  }
}

function makeHandshake({ room, secret, agent }: JoinOptions): Handshake {
  const parsed = v.safeParse(HandshakeSchema, {
    version: PROTOCOL_VERSION,
    room,
    agent: agent ?? (typeof window === 'undefined' ? 'node' : 'browser'),
    resumeToken: [...crypto.getRandomValues(new Uint8Array(16))]
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join(''),
    ...(secret === undefined ? {} : { secret }),
  })
  if (parsed.success) return parsed.output
  throw signalingError('ERR_SIGNALING_ARGUMENT', `Cannot join with these options: ${describeIssues(parsed.issues)}.`)
}
