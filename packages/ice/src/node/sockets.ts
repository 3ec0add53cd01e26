import { randomInt } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import type { Address, Packet } from '@floe/stun'
import { IceError } from '../error.ts'
import { hostAddresses, type InterfaceAddress, type InterfaceOptions, isPresent, type System } from './interfaces.ts'

/** Lowest and highest UDP port to bind, both included. */
export type PortRange = readonly [min: number, max: number]

/** The owner of sockets: one for all of them, so that a socket brings no closures of its own. */
export interface SocketOwner {
  /** Called for each datagram, `packet.local` being the socket's `address` object. */
  handlePacket(packet: Packet): unknown
  /** A socket could not be made or could not send. Never fatal: other sockets and later packets go on. */
  handleSocketError(local: string, error: NodeJS.ErrnoException): void
  /** A socket has ended, though nobody closed it: `PacketRoute.update()` binds it anew. Told once, after its error. */
  handleSocketDeath(): void
}

/** One bound UDP socket. Packets are recognised by the identity of `address`. */
export class UdpSocket {
  readonly address: Address
  readonly host: InterfaceAddress
  readonly #owner: SocketOwner
  /** `undefined`: closed, or dead. */
  #socket: Socket | undefined
  #lastRemote: Address = { ip: '', port: 0 }
  #lastErrorCode: string | undefined
  /** Refusals in a row that might be the socket's own fault. */
  #refusals = 0
  #onsent: ((error: NodeJS.ErrnoException | null) => void) | undefined

  /** Binds before it returns. `port` 0 lets the system choose. Throws the system's error: EADDRINUSE, EADDRNOTAVAIL, … */
  constructor(host: InterfaceAddress, port: number, owner: SocketOwner) {
    this.#owner = owner
    this.host = host
    this.#socket = this.#open(port)
    this.address = Object.freeze({ ip: host.ip, port: this.#socket.address().port })
  }

  /** Closed, or ended by itself: what is sent is lost. */
  get isDead(): boolean {
    return this.#socket === undefined
  }

  /** Binds the address and port of before once more, so that no peer and no NAT notices. `false`: they are not to be had. */
  revive(): boolean {
    try {
      this.#socket ??= this.#open(this.address.port)
    } catch (error) {
      this.#report(error as NodeJS.ErrnoException)
      return false
    }
    return true
  }

  /**
   * Hands the datagram to the system at once. `ttl`: in hops, for this one alone. What the system refuses (ENETUNREACH,
   * EPERM, …) is a lost packet; of STUN packets the owner is told.
   */
  send(bytes: Uint8Array, { ip, port }: Address, ttl?: number): void {
    const socket = this.#socket
    if (!socket) return
    // Only STUN packets ask for their fate: they are few, they say why checks fail, and a callback costs data a tick.
    const isData = (bytes[0] ?? 0) > 3
    try {
      // A packet with hops of its own: with our lookup `send` hands it over before it returns, so only this one has them.
      if (ttl !== undefined) socket.setTTL(ttl)
      socket.send(bytes, port, ip, isData ? undefined : (this.#onsent ??= (error) => this.#settled(error)))
      if (ttl !== undefined) socket.setTTL(DEFAULT_TTL)
    } catch (error) {
      this.#report(error as NodeJS.ErrnoException) // It is not running any more.
    }
  }

  /** Resolves once the system has it back. */
  close(): Promise<void> {
    const socket = this.#socket
    this.#socket = undefined
    return socket ? closed(socket) : Promise.resolve()
  }

  /** Throws the system's error. */
  #open(port: number): Socket {
    const { ip, family } = this.host
    const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', ipv6Only: family === 6, lookup: passThrough })
    bindNow(socket, ip, port)
    enlargeReceiveBuffer(socket)
    socket.on('message', (bytes, remote) => this.#receive(bytes, remote))
    socket.on('error', (error) => this.#report(error))
    this.#refusals = 0
    this.#lastErrorCode = undefined
    return socket
  }

  #settled(error: NodeJS.ErrnoException | null): void {
    if (error) this.#report(error)
    else this.#refusals = 0
  }

  #receive(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    if (port === 0) return // Legal in UDP, but nobody can answer it.
    let remote = this.#lastRemote
    // Packets come in runs from one peer: its address object is reused, which makes comparing it cheap as well.
    if (remote.port !== port || remote.ip !== address) remote = this.#lastRemote = { ip: address, port }
    this.#owner.handlePacket({ protocol: 'udp', local: this.address, remote, bytes })
  }

  #report(error: NodeJS.ErrnoException): void {
    const { code = '' } = error
    // Once per cause, not once per packet.
    if (code !== this.#lastErrorCode) this.#owner.handleSocketError(this.address.ip, error)
    this.#lastErrorCode = code
    if (DEADLY.has(code) || (DOUBTFUL.has(code) && ++this.#refusals >= MAX_REFUSALS)) this.#die()
  }

  #die(): void {
    if (!this.#socket) return
    void this.close() // Also what is of no use holds its port.
    this.#owner.handleSocketDeath()
  }
}

/** The descriptor is gone, or the system has shut the socket: SOCK_DESTROY (`ss -K`, Android), sleep on Apple's systems. */
export const DEADLY: ReadonlySet<string> = new Set([
  'ERR_SOCKET_DGRAM_NOT_RUNNING',
  'EBADF',
  'ENOTSOCK',
  'ECONNABORTED',
  'ENOTCONN',
  'EPIPE',
])

/** What a socket says that has lost its interface, and sometimes one whose destination is at fault. */
const DOUBTFUL: ReadonlySet<string> = new Set(['ENETDOWN', 'ENODEV', 'ENXIO', 'EADDRNOTAVAIL'])
/** As many in a row without a packet that was taken: checks under suspicion make that many in a second. */
const MAX_REFUSALS = 4

/** RFC 1700. */
const DEFAULT_TTL = 64

/** How a transport's packets leave: through sockets of its own, or through its share of a mux. */
export interface PacketRoute {
  readonly sockets: readonly UdpSocket[]
  send(packet: Packet, ttl?: number): void
  /** Follows this machine's addresses: tells which sockets are new, and which are gone. */
  update(system: System): SocketChanges
  /** Resolves once the system has everything back. Idempotent. */
  close(): Promise<void>
}

export interface SocketChanges {
  readonly opened: readonly UdpSocket[]
  readonly closed: readonly UdpSocket[]
}

/** The sockets of one transport. */
export class SocketSet implements PacketRoute {
  readonly #owner: SocketOwner
  readonly #options: InterfaceOptions
  readonly #portRange: PortRange | undefined
  #sockets: readonly UdpSocket[]
  #closed: Promise<unknown> | undefined

  /** Throws as `openSockets()`. */
  constructor(owner: SocketOwner, options: InterfaceOptions, portRange?: PortRange) {
    this.#owner = owner
    this.#options = options
    this.#portRange = portRange
    this.#sockets = openSockets(hostAddresses(options), owner, portRange)
  }

  get sockets(): readonly UdpSocket[] {
    return this.#sockets
  }

  send({ local, remote, bytes }: Packet, ttl?: number): void {
    if (this.#closed) return
    for (const socket of this.#sockets) if (socket.address === local) return socket.send(bytes, remote, ttl)
  }

  update(system: System): SocketChanges {
    if (this.#closed) return { opened: [], closed: [] }
    const open = (addresses: readonly InterfaceAddress[]) => reopenSockets(addresses, this.#owner, this.#portRange)
    const changes = followAddresses(this.#sockets, system, this.#options, open)
    this.#sockets = [...this.#sockets.filter((socket) => !changes.closed.includes(socket)), ...changes.opened]
    return changes
  }

  async close(): Promise<void> {
    await (this.#closed ??= Promise.all(this.#sockets.map((socket) => socket.close())))
  }
}

/**
 * Closes sockets whose address is gone, and opens those of new addresses. What is there stays, whatever its rank is now:
 * a path may be in use over it. One that died is bound again, to another port where its own is not to be had; where none
 * is, it stays dead for now. Loopback stands in for nothing here: whoever has lost all else waits for it.
 */
export function followAddresses(
  sockets: readonly UdpSocket[],
  system: System,
  options: InterfaceOptions,
  open: (addresses: readonly InterfaceAddress[]) => UdpSocket[],
): SocketChanges {
  const isAt =
    ({ ip }: InterfaceAddress) =>
    ({ host }: UdpSocket) =>
      host.ip === ip
  const gone = sockets.filter(({ host }) => !isPresent(host, system))
  const there = sockets.filter((socket) => !gone.includes(socket))
  const dead = there.filter((socket) => socket.isDead && !socket.revive())
  const isOpen = (address: InterfaceAddress) => there.some(isAt(address)) && !dead.some(isAt(address))
  const isWanted = ({ kind }: InterfaceAddress) => kind !== 'loopback' || options.includeLoopback === true
  const wanted = hostAddresses(options, system).filter((address) => isWanted(address) && !isOpen(address))
  for (const socket of gone) void socket.close()
  const opened = open(wanted)
  return { opened, closed: [...gone, ...dead.filter(({ host }) => opened.some(isAt(host)))] }
}

/** Like `openSockets()`, but that none can be bound is no error: an address that has just come is often not ready. */
function reopenSockets(
  addresses: readonly InterfaceAddress[],
  owner: SocketOwner,
  portRange: PortRange | undefined,
): UdpSocket[] {
  try {
    return openSockets(addresses, owner, portRange)
  } catch {
    return [] // Each has been reported to the owner.
  }
}

/**
 * One socket for each address that can be bound; the others are reported to the owner.
 * Throws ERR_ICE_FAILED when there are addresses and none of them could be bound.
 */
export function openSockets(
  addresses: readonly InterfaceAddress[],
  owner: SocketOwner,
  portRange?: PortRange,
): UdpSocket[] {
  const sockets: UdpSocket[] = []
  let failure: NodeJS.ErrnoException | undefined
  for (const address of addresses) {
    try {
      sockets.push(portRange ? openInRange(address, owner, portRange) : new UdpSocket(address, 0, owner))
    } catch (error) {
      failure = error as NodeJS.ErrnoException
      owner.handleSocketError(address.ip, failure)
    }
  }
  if (failure && sockets.length === 0) throw bindError(addresses, failure, portRange)
  return sockets
}

/** Throws ERR_ICE_ARGUMENT. */
export function checkPortRange(range: PortRange): PortRange {
  const [min, max] = range
  if (Number.isInteger(min) && Number.isInteger(max) && 1 <= min && min <= max && max <= 65535) return range
  throw new IceError('ERR_ICE_ARGUMENT', `portRange must be [min, max] within 1 to 65535, not [${min}, ${max}]`)
}

/**
 * 2 MiB: a burst of 1,700 full datagrams waits out a busy event loop. The system may grant less (net.core.rmem_max).
 * What is sent needs no such room: libuv keeps what the system does not take at once.
 */
const RECEIVE_BUFFER = 2 * 1024 * 1024

/** From a random port upwards and around: agents of one process would all walk over the same taken ports otherwise. */
function openInRange(address: InterfaceAddress, owner: SocketOwner, [min, max]: PortRange): UdpSocket {
  const size = max - min + 1
  const first = randomInt(size)
  for (let i = 0; ; i++) {
    try {
      return new UdpSocket(address, min + ((first + i) % size), owner)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || i + 1 === size) throw error
    }
  }
}

function bindError(
  addresses: readonly InterfaceAddress[],
  failure: NodeJS.ErrnoException,
  portRange?: PortRange,
): IceError {
  const where = addresses.map(({ ip }) => ip).join(', ')
  const reason =
    portRange && failure.code === 'EADDRINUSE'
      ? `every UDP port from ${portRange[0]} to ${portRange[1]} is in use on ${where}: widen portRange or close transports`
      : `no UDP socket could be bound on ${where}: ${failure.message}`
  return new IceError('ERR_ICE_FAILED', reason, { cause: failure })
}

type Lookup = (name: string, options: unknown, callback: (error: null, ip: string, family: number) => void) => void

/**
 * Addresses here are IP literals. Node's own lookup takes a tick even for those, which makes bind() and send()
 * asynchronous and costs allocations for every packet.
 */
export const passThrough: Lookup = (ip, _options, callback) => callback(null, ip, ip.includes(':') ? 6 : 4)

/** Closes it. Resolves once the system has it back. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(resolve)
    } catch {
      resolve() // Somebody else has closed it.
    }
  })
}

/** With a lookup that answers at once bind() is done, or has failed, when it returns. */
export function bindNow(socket: Socket, address: string, port: number): void {
  let failure: Error | undefined
  const keep = (error: Error) => {
    failure = error
  }
  socket.on('error', keep)
  // `exclusive`: in a cluster worker the port would be shared with, and asked for from, the primary process.
  socket.bind({ address, port, exclusive: true })
  socket.off('error', keep)
  if (failure === undefined) return
  socket.close()
  throw failure
}

/** Asks the system for room for bursts. */
export function enlargeReceiveBuffer(socket: Socket): void {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER)
  } catch {} // Some systems refuse what they would not grant in full: the default size serves too.
}
