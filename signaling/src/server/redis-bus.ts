/** The bus between servers: Redis, through the adapter that Socket.IO maintains. Loaded only when it is asked for. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { RedisClientType } from '@redis/client'
import type { Server } from 'socket.io'
import { signalingError } from '../protocol.ts'
import type { Bus, ClusterMessage } from './bus.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { within } from './within.ts'

export interface RedisOptions {
  /** `redis://user:password@host:6379`, or `rediss:` for TLS. */
  readonly url: string
  /** What its channels begin with: servers with the same one are one cluster. Default `floe`. */
  readonly prefix?: string
}

/** Redis 6.2 and later. Milliseconds. */
const RECONNECT = { first: 100, longest: 2_000 } as const
const CONNECT_TIMEOUT = 5_000

/** How long the adapter's reader waits for the stream, which carries nothing of ours, at once: in ms. */
const BLOCK_TIME = 5_000

/** Commands that a Redis which hangs may owe us an answer to: what goes beyond is lost, not kept. */
const UNANSWERED = 10_000

/**
 * What servers say to each other, and bytes that Redis may not have taken yet before it is lost: it hangs, or is too slow.
 * Relayed frames may be lost, and signals are sent again. Who comes and goes is small, and always told.
 */
const BACKLOG: Readonly<Record<ClusterMessage['type'], number>> = {
  alive: Number.POSITIVE_INFINITY,
  want: Number.POSITIVE_INFINITY,
  all: Number.POSITIVE_INFINITY,
  join: Number.POSITIVE_INFINITY,
  leave: Number.POSITIVE_INFINITY,
  bye: Number.POSITIVE_INFINITY,
  signal: 33_554_432,
  frame: 8_388_608,
  answer: Number.POSITIVE_INFINITY,
}

/** Redis has answered nothing of what it was told for so long, in ms: it hangs. Less than servers take to think each other dead. */
const HANGS_AFTER = 3_000

/** Messages between servers that leave together. */
const BATCH = 256

/** Of the messages between servers: servers of different kinds do not listen to each other. */
const CLUSTER_VERSION = 1

/** What Redis has not taken yet. */
interface Backlog {
  /** Bytes. */
  size: number
  /** When it last took something, or had nothing to take. */
  progress: number
  onprogress: () => void
}

/** A connection to Redis and the adapter over it. */
export class Redis {
  readonly adapter: Parameters<Server['adapter']>[0]
  /** The others are heard from then on. */
  readonly subscribed: Promise<void>
  readonly #clients: RedisClientType[]
  readonly #backlog: Backlog

  /** @throws {SignalingError} `ERR_SIGNALING_UNREACHABLE`, or `ERR_SIGNALING_ARGUMENT` without its packages */
  static async connect({ url, prefix = 'floe' }: RedisOptions): Promise<Redis> {
    const { createClient, createAdapter } = await loadPackages()
    const reconnectStrategy = (attempt: number) => Math.min(RECONNECT.first * 2 ** attempt, RECONNECT.longest)
    // What cannot be sent now is not worth keeping: clients send again, and servers compare what they know.
    const client = createClient({
      url,
      disableOfflineQueue: true,
      commandsQueueMaxLength: UNANSWERED,
      socket: { reconnectStrategy },
    }) as RedisClientType
    await firstConnection(client, url)
    const clients = [client]
    const backlog: Backlog = { size: 0, progress: 0, onprogress: () => {} }
    let onsubscribed = () => {}
    const subscribed = new Promise<void>((resolve) => {
      onsubscribed = resolve
    })
    const duplicate = () => {
      // With a queue: the adapter's reader would ask again and again, without a pause.
      const copy = client.duplicate({ disableOfflineQueue: false })
      clients.push(copy)
      const subscribe = (...args: Parameters<typeof copy.subscribe>) => copy.subscribe(...args).then(onsubscribed)
      return withMembers(copy, { subscribe })
    }
    const forAdapter = withMembers(client, { publish: publisher(client, backlog), duplicate })
    const name = `${prefix}:signaling:${CLUSTER_VERSION}`
    const adapter = createAdapter(forAdapter, { streamName: name, channelPrefix: name, blockTimeInMs: BLOCK_TIME })
    await Promise.all(clients.map((each) => each.isReady || once(each, 'ready')))
    return new Redis(adapter, clients, subscribed, backlog)
  }

  private constructor(
    adapter: Parameters<Server['adapter']>[0],
    clients: RedisClientType[],
    subscribed: Promise<void>,
    backlog: Backlog,
  ) {
    this.adapter = adapter
    this.subscribed = subscribed
    this.#clients = clients
    this.#backlog = backlog
  }

  /** Whether it answers, as far as can be told. */
  get ready(): boolean {
    const { size, progress } = this.#backlog
    const hangs = size > 0 && performance.now() - progress > HANGS_AFTER
    return !hangs && this.#clients.every((client) => client.isReady)
  }

  /** What Redis has not taken yet, in bytes. */
  get backlog(): number {
    return this.#backlog.size
  }

  /** That it hangs is seen by who asks: it makes no event. */
  watch(onchange: () => void): void {
    this.#backlog.onprogress = onchange
    for (const client of this.#clients) client.on('ready', onchange).on('error', onchange).on('end', onchange)
  }

  close(): void {
    for (const client of this.#clients) client.destroy()
  }
}

export class RedisBus implements Bus {
  readonly id = randomBytes(9).toString('base64url')
  onmessage: (from: string, message: ClusterMessage) => void = () => {}
  onreconnected: () => void = () => {}
  readonly #io: Server
  readonly #redis: Redis
  readonly #metrics: Metrics
  readonly #log: Log
  #queue: ClusterMessage[] = []
  #scheduled = false
  #connected: boolean

  constructor(io: Server, redis: Redis, metrics: Metrics, log: Log) {
    this.#io = io
    this.#redis = redis
    this.#metrics = metrics
    this.#connected = redis.ready
    this.#log = log
    redis.watch(() => this.#look())
    io.on('floe', (from: unknown, messages: unknown) => {
      if (typeof from !== 'string' || !Array.isArray(messages)) return
      for (const message of messages) if (isOfOurs(message)) this.#receive(from, message)
    })
  }

  get connected(): boolean {
    return this.#connected
  }

  async others(): Promise<number | undefined> {
    try {
      await Promise.race([this.#redis.subscribed, delay(CONNECT_TIMEOUT, undefined, { ref: false })])
      return (await this.#io.of('/').adapter.serverCount()) - 1
    } catch {
      return undefined // Redis has gone again
    }
  }

  post(message: ClusterMessage): void {
    this.#look()
    if (!this.#connected || this.#redis.backlog > BACKLOG[message.type]) {
      this.#metrics.count('floe_signaling_cluster_errors_total')
      return
    }
    this.#queue.push(message)
    if (this.#queue.length >= BATCH) this.#flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#flush()
      })
    }
  }

  async close(): Promise<void> {
    this.#flush()
    if (this.#connected) await delay(20) // it is on its way
    await this.#io.of('/').adapter.close()
    this.#redis.close()
  }

  #look(): void {
    if (this.#connected === this.#redis.ready) return
    this.#connected = !this.#connected
    if (this.#connected) this.onreconnected()
    else this.#log({ level: 'error', event: 'cluster', state: 'disconnected' })
  }

  #flush(): void {
    if (this.#queue.length === 0) return
    const messages = this.#queue
    this.#queue = []
    for (const { type } of messages) this.#metrics.count('floe_signaling_cluster_messages_total', { sent: type })
    this.#io.serverSideEmit('floe', this.id, messages)
  }

  #receive(from: string, message: ClusterMessage): void {
    this.#metrics.count('floe_signaling_cluster_messages_total', { received: message.type })
    try {
      this.onmessage(from, message)
    } catch (error) {
      // A server of another make, or a stranger in our Redis: no reason to die.
      this.#log({ level: 'error', event: 'cluster', state: 'bad-message', server: from, message: String(error) })
    }
  }
}

/** What a kind of message is made of is for its receiver to find out, who survives it. */
function isOfOurs(message: unknown): message is ClusterMessage {
  if (typeof message !== 'object' || message === null) return false
  const { type } = message as { readonly type?: unknown }
  return typeof type === 'string' && Object.hasOwn(BACKLOG, type)
}

/** The adapter does not look whether Redis takes what it publishes, and a rejected promise would end the process. */
function publisher(client: RedisClientType, backlog: Backlog): RedisClientType['publish'] {
  return (...args) => {
    const { length } = args[1]
    if (backlog.size === 0) backlog.progress = performance.now()
    backlog.size += length
    return client
      .publish(...args)
      .catch(() => 0)
      .finally(() => {
        backlog.size -= length
        backlog.progress = performance.now()
        backlog.onprogress()
      })
  }
}

/** The client with some members of ours in place of its own; the others are called on the client itself. */
function withMembers<Client extends object>(client: Client, members: Readonly<Record<string, unknown>>): Client {
  return new Proxy(client, {
    get: (target, name) => {
      if (typeof name === 'string' && Object.hasOwn(members, name)) return members[name]
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

async function loadPackages() {
  try {
    const [{ createClient }, { createAdapter }] = await Promise.all([
      import('@redis/client'),
      import('@socket.io/redis-streams-adapter'),
    ])
    return { createClient, createAdapter }
  } catch (error) {
    const problem = 'Redis needs the packages @redis/client and @socket.io/redis-streams-adapter.'
    throw signalingError('ERR_SIGNALING_ARGUMENT', problem, error)
  }
}

async function firstConnection(client: RedisClientType, url: string): Promise<void> {
  let cause: unknown
  client.on('error', (error) => {
    cause = error
  })
  try {
    await within(CONNECT_TIMEOUT, client.connect(), () => cause ?? new Error('no answer'))
  } catch (error) {
    client.destroy()
    const where = URL.canParse(url) ? new URL(url).host : 'its address'
    throw signalingError('ERR_SIGNALING_UNREACHABLE', `Redis at ${where}: ${(error as Error).message}.`, error)
  }
}
