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
}

/** One bound UDP socket. Packets are recognised by the identity of `address`. */
export class UdpSocket {
  readonly address: Address
  readonly host: InterfaceAddress
  readonly #owner: SocketOwner
  readonly #socket: Socket
  #lastRemote: Address = { ip: '', port: 0 }
  #lastErrorCode: string | undefined
  #onsent: ((error: NodeJS.ErrnoException | null) => void) | undefined

  /** Binds before it returns. `port` 0 lets the system choose. Throws the system's error: EADDRINUSE, EADDRNOTAVAIL, … */
  constructor(host: InterfaceAddress, port: number, owner: SocketOwner) {
    const { ip, family } = host
    this.#owner = owner
    this.host = host
    this.#socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', ipv6Only: family === 6, lookup: passThrough })
    bindNow(this.#socket, ip, port)
    this.address = Object.freeze({ ip, port: this.#socket.address().port })
    enlargeReceiveBuffer(this.#socket)
    this.#socket.on('message', (bytes, remote) => this.#receive(bytes, remote))
    this.#socket.on('error', (error) => this.#report(error))
  }

  /**
   * Hands the datagram to the system at once. `ttl`: in hops, for this one alone. What the system refuses (ENETUNREACH,
   * EPERM, …) is a lost packet; of STUN packets the owner is told.
   */
  send(bytes: Uint8Array, { ip, port }: Address, ttl?: number): void {
    // A packet with hops of its own: with our lookup `send` hands it over before it returns, so only this one has them.
    if (ttl !== undefined) this.#socket.setTTL(ttl)
    // Only STUN packets ask for their fate: they are few, they say why checks fail, and a callback costs data a tick.
    const isData = (bytes[0] ?? 0) > 3
    this.#socket.send(bytes, port, ip, isData ? undefined : (this.#onsent ??= (error) => error && this.#report(error)))
    if (ttl !== undefined) this.#socket.setTTL(DEFAULT_TTL)
  }

  /** Resolves once the system has it back. Call it once. */
  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(resolve))
  }

  #receive(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    if (port === 0) return // Legal in UDP, but nobody can answer it.
    let remote = this.#lastRemote
    // Packets come in runs from one peer: its address object is reused, which makes comparing it cheap as well.
    if (remote.port !== port || remote.ip !== address) remote = this.#lastRemote = { ip: address, port }
    this.#owner.handlePacket({ protocol: 'udp', local: this.address, remote, bytes })
  }

  #report(error: NodeJS.ErrnoException): void {
    if (error.code === this.#lastErrorCode) return // Once per cause, not once per packet.
    this.#lastErrorCode = error.code
    this.#owner.handleSocketError(this.address.ip, error)
  }
}

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
 * a path may be in use over it. Loopback stands in for nothing here: whoever has lost all else waits for it.
 */
export function followAddresses(
  sockets: readonly UdpSocket[],
  system: System,
  options: InterfaceOptions,
  open: (addresses: readonly InterfaceAddress[]) => UdpSocket[],
): SocketChanges {
  const closed = sockets.filter(({ host }) => !isPresent(host, system))
  for (const socket of closed) void socket.close()
  const isOpen = ({ ip }: InterfaceAddress) => sockets.some(({ host }) => host.ip === ip && isPresent(host, system))
  const isWanted = ({ kind }: InterfaceAddress) => kind !== 'loopback' || options.includeLoopback === true
  const wanted = hostAddresses(options, system).filter((address) => isWanted(address) && !isOpen(address))
  return { opened: open(wanted), closed }
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
