import { randomInt } from 'node:crypto'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Address, Packet } from '@floe/stun'
import { IceError } from '../error.ts'
import { rfc4571 } from '../tcp.ts'
import { Reception, type ReceptionLimits } from './reception.ts'
import type { PortRange } from './sockets.ts'
import { Stream, type StreamOwner } from './stream.ts'

/** What is asked of a transport that takes TCP connections (RFC 6544 passive candidates). */
export interface TcpMember extends StreamOwner {
  /** Peers can connect to `address`. Streams and packets that come in there have equal `local`s, one object per stream. */
  handleListening(address: Address): void
  /** An address could not be listened on, or took no connection. Never fatal: others go on. */
  handleSocketError(local: string, error: NodeJS.ErrnoException): void
}

export interface ListenOptions {
  /** Addresses of this machine, with their scope id where they are link-local. */
  readonly ips: readonly string[]
  /** TCP ports to listen on, both ends included. Default: the system's choice. */
  readonly portRange?: PortRange | undefined
}

export interface TcpLimits extends ReceptionLimits {
  /** Connections of one transport at a time. */
  readonly perMember: number
}

export const TCP_LIMITS: TcpLimits = {
  /** A lost SYN, ACK and request (RFC 6298: 1, 2, 4 s), and a peer whose own check is paced behind a hundred others. */
  firstPacket: 10_000,
  /** Each holds a file descriptor and at most 2 KiB. */
  unidentified: 256,
  unidentifiedPerRemote: 16,
  /** RFC 6544 §5.2: one per remote active candidate and address of ours; a peer with more is not connecting. */
  perMember: 32,
}

/**
 * Listening sockets that all transports of a process share, one for each local address: what a connection's first
 * request names decides whose it is. A socket is opened when the first transport joins and closed when the last leaves.
 */
export class TcpListeners {
  readonly #limits: TcpLimits
  readonly #reception: Reception
  readonly #listeners = new Set<Listener>()

  constructor(limits: Partial<TcpLimits> = {}) {
    this.#limits = { ...TCP_LIMITS, ...limits }
    this.#reception = new Reception(this.#limits)
  }

  /** Listens for the agent with these ufrags. The member hears of each address later, never before this returns. */
  join(member: TcpMember, usernameFragments: readonly string[], { ips, portRange }: ListenOptions): TcpShare {
    const share = new TcpShare(member, usernameFragments, this.#limits)
    for (const ip of ips) share.add(this.#find(ip, share, portRange) ?? this.#open(ip, portRange))
    return share
  }

  /** Two agents may have the same ufrag, if they were told so: then they do not share. */
  #find(ip: string, share: TcpShare, portRange?: PortRange): Listener | undefined {
    for (const listener of this.#listeners) {
      if (listener.suits(ip, portRange) && !listener.taken(share)) return listener
    }
    return undefined
  }

  #open(ip: string, portRange?: PortRange): Listener {
    const listener: Listener = new Listener(ip, portRange, this.#reception, () => this.#listeners.delete(listener))
    this.#listeners.add(listener)
    return listener
  }
}

/** The listeners of this process. */
export const tcpListeners = new TcpListeners()

/** One transport's part in the listeners, and its incoming connections. */
export class TcpShare implements StreamOwner {
  readonly member: TcpMember
  usernameFragments: readonly string[]
  readonly #limits: TcpLimits
  readonly #listeners = new Set<Listener>()
  /** With what ends a connection that we never answered. */
  readonly #streams = new Map<Stream, NodeJS.Timeout>()
  #closed: Promise<unknown> | undefined

  /** By `TcpListeners.join()`. */
  constructor(member: TcpMember, usernameFragments: readonly string[], limits: TcpLimits) {
    this.member = member
    this.usernameFragments = usernameFragments
    this.#limits = limits
  }

  /** Incoming connections, as they are now. */
  get streams(): readonly Stream[] {
    return [...this.#streams.keys()]
  }

  /** After a restart: these ufrags, and no others any more. Connections stay. Throws ERR_ICE_ARGUMENT for a taken one. */
  rename(usernameFragments: readonly string[]): void {
    const former = this.usernameFragments
    this.usernameFragments = usernameFragments
    if (![...this.#listeners].some((listener) => listener.taken(this))) return
    this.usernameFragments = former
    throw new IceError('ERR_ICE_ARGUMENT', `A ufrag of ${usernameFragments.join(', ')} is in use on this port already`)
  }

  /** Ends its connections. Resolves once the system has everything back. Idempotent. */
  async close(): Promise<void> {
    this.#closed ??= Promise.all([
      ...[...this.#listeners].map((listener) => listener.leave(this)),
      ...this.streams.map((stream) => stream.close()),
    ])
    await this.#closed
  }

  /** For TcpListeners. */
  add(listener: Listener): void {
    this.#listeners.add(listener)
    void listener.join(this).then((result) => {
      if (this.#closed) return
      if (result instanceof Error) this.member.handleSocketError(listener.ip, result)
      else this.member.handleListening(result)
    })
  }

  /** For Listener. `false`: it has enough of them. */
  accept(socket: Socket, local: Address, remote: Address): boolean {
    if (this.#closed || this.#streams.size >= this.#limits.perMember) return false
    // An object of its own: it names the connection.
    Stream.accept(socket, { local: Object.freeze({ ...local }), remote, framing: rfc4571 }, this)
    return true
  }

  handleConnect(stream: Stream, address: Address): void {
    // Only what is authenticated is answered, so this is also the time in which a connection has to prove itself.
    const check = () => stream.hasSent || stream.abort(UNANSWERED)
    this.#streams.set(stream, setTimeout(check, this.#limits.firstPacket).unref())
    this.member.handleConnect(stream, address)
  }

  handlePacket(packet: Packet): unknown {
    return this.member.handlePacket(packet)
  }

  handleClose(stream: Stream, error?: Error): void {
    clearTimeout(this.#streams.get(stream))
    this.#streams.delete(stream)
    this.member.handleClose(stream, error)
  }
}

const UNANSWERED = 'nothing that came over it was to be answered'

/** One listening socket. */
class Listener {
  readonly ip: string
  readonly #portRange: PortRange | undefined
  readonly #reception: Reception
  readonly #onclose: () => void
  readonly #shares = new Set<TcpShare>()
  readonly #server: Server
  /** The address that is listened on, or why there is none. */
  readonly #opened: Promise<Address | NodeJS.ErrnoException>
  #address: Address | undefined
  #closed: Promise<void> | undefined

  /** Begins to listen. `onclose` is called as soon as nobody should join any more. */
  constructor(ip: string, portRange: PortRange | undefined, reception: Reception, onclose: () => void) {
    this.ip = ip
    this.#portRange = portRange
    this.#reception = reception
    this.#onclose = onclose
    this.#server = createServer({ noDelay: true }, (socket) => this.#admit(socket)).unref()
    this.#opened = this.#open()
  }

  /** What is still being opened serves who asks for the same ports, or for any. */
  suits(ip: string, portRange?: PortRange): boolean {
    if (ip !== this.ip || portRange === undefined) return ip === this.ip
    const [min, max] = this.#address ? [this.#address.port, this.#address.port] : (this.#portRange ?? [0, 0])
    return portRange[0] <= min && max <= portRange[1]
  }

  /** Another share has one of its ufrags. */
  taken(share: TcpShare): boolean {
    return share.usernameFragments.some((name) => (this.#shareOf(name) ?? share) !== share)
  }

  join(share: TcpShare): Promise<Address | NodeJS.ErrnoException> {
    this.#shares.add(share)
    return this.#opened
  }

  /** Closes the socket after the last one. Resolves once the system has it back. */
  leave(share: TcpShare): Promise<void> {
    this.#shares.delete(share)
    if (this.#shares.size > 0) return Promise.resolve()
    this.#onclose()
    return (this.#closed ??= this.#close())
  }

  async #open(): Promise<Address | NodeJS.ErrnoException> {
    const [min, max] = this.#portRange ?? [0, 0]
    const size = max - min + 1
    // As with UDP: from a random port upwards and around.
    const first = randomInt(size)
    for (let i = 0; ; i++) {
      const error = await listen(this.#server, this.ip, min + ((first + i) % size))
      if (!error) return this.#listening()
      if (error.code !== 'EADDRINUSE' || i + 1 === size) return this.#failed(error)
    }
  }

  #listening(): Address {
    this.#server.on('error', (error) => {
      for (const { member } of this.#shares) member.handleSocketError(this.ip, error)
    })
    const { port } = this.#server.address() as AddressInfo
    return (this.#address = Object.freeze({ ip: this.ip, port }))
  }

  #failed(error: NodeJS.ErrnoException): NodeJS.ErrnoException {
    this.#onclose()
    return error
  }

  async #close(): Promise<void> {
    // At once when it can be: the port may be wanted again in this turn.
    if (!this.#address) await this.#opened
    await new Promise<unknown>((resolve) => {
      this.#server.close(resolve)
      this.#reception.clear(this)
    })
  }

  #shareOf(usernameFragment: string): TcpShare | undefined {
    for (const share of this.#shares) if (share.usernameFragments.includes(usernameFragment)) return share
    return undefined
  }

  #admit(socket: Socket): void {
    const { remoteAddress: ip, remotePort: port } = socket
    const local = this.#address
    if (ip === undefined || port === undefined || !local) return void socket.destroy()
    this.#reception.admit(socket, this, (usernameFragment, identified) => {
      return this.#shareOf(usernameFragment)?.accept(identified, local, Object.freeze({ ip, port })) ?? false
    })
  }
}

/** `undefined`: it listens. */
function listen(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const end = (error?: NodeJS.ErrnoException) => {
      server.off('error', end).off('listening', end)
      resolve(error)
    }
    server.on('error', end).on('listening', end)
    // `exclusive`: in a cluster worker the port would be shared with, and asked for from, the primary process.
    server.listen({ host, port, exclusive: true, ipv6Only: true })
  })
}
