import { type Address, decode, isStun, type Packet, sameAddress, transactionIdAt } from '@floe/stun'
import { IceError } from '../error.ts'
import { hostAddresses, type InterfaceAddress, type InterfaceOptions, type System } from './interfaces.ts'
import {
  checkPortRange,
  followAddresses,
  openSockets,
  type PacketRoute,
  type SocketChanges,
  type SocketOwner,
  UdpSocket,
} from './sockets.ts'

export interface UdpMuxOptions {
  /** UDP port on all addresses of this machine. Default: 0, one that is free on all of them. */
  readonly port?: number
  readonly interfaceFilter?: (address: InterfaceAddress) => boolean
  readonly includeLoopback?: boolean
  /** Aborting closes the mux. */
  readonly signal?: AbortSignal
}

/** A check for an agent that this mux does not have. Nothing in it is authenticated: anyone can send one. */
export interface UnknownRequest {
  /** The ufrag that the sender believes to be ours. */
  readonly usernameFragment: string
  /** Its own. */
  readonly remoteUsernameFragment: string
  readonly remote: Address
  readonly local: Address
}

/** What a mux asks of a transport that shares it. `false`: not mine. */
export interface MuxMember extends SocketOwner {
  handlePacket(packet: Packet): boolean
}

/**
 * Many transports on one UDP port: pass it as `mux`. Requests find their transport by the ufrag they name, answers by
 * their transaction, everything else by the remote address — of which one transport has only one at a time, so that two
 * muxes can hold one connection with each other, not several.
 */
export class UdpMux implements AsyncDisposable {
  /**
   * Called for a check with an unknown ufrag. When the callback makes a transport with that ufrag and has it gather, the
   * packet is delivered to it. Whoever sends a packet gets here: limit what you make.
   */
  onunknown: ((request: UnknownRequest) => void) | null = null
  #sockets: readonly UdpSocket[]
  readonly #owner: SocketOwner
  readonly #interfaces: InterfaceOptions
  /** The one to open again when all addresses have gone. */
  #port: number
  readonly #shares = new Set<MuxShare>()
  readonly #byUsernameFragment = new Map<string, MuxShare>()
  readonly #byRemote = new Map<string, MuxShare[]>()
  readonly #byTransaction = new Map<string, MuxShare>()
  readonly #signal: AbortSignal | undefined
  #closed: Promise<void> | undefined

  /** Binds at once. Throws ERR_ICE_ARGUMENT for a bad port, ERR_ICE_FAILED when it is not to be had. */
  constructor({ port = 0, interfaceFilter: filter, includeLoopback, signal }: UdpMuxOptions = {}) {
    if (port !== 0) checkPortRange([port, port])
    this.#port = port
    this.#interfaces = { filter, includeLoopback }
    this.#owner = {
      handlePacket: (packet) => this.#route(packet),
      handleSocketError: (local, error) => {
        for (const { member } of this.#shares) member.handleSocketError(local, error)
      },
      handleSocketDeath: () => {
        for (const { member } of this.#shares) member.handleSocketDeath()
      },
    }
    this.#sockets = openSamePort(hostAddresses(this.#interfaces), port, this.#owner)
    this.#signal = signal
    if (signal?.aborted) void this.close()
    else signal?.addEventListener('abort', this.#onabort, { once: true })
  }

  /** For `UdpMux.join()`. */
  get sockets(): readonly UdpSocket[] {
    return this.#sockets
  }

  /** Where peers reach it: one address per interface, all with the same port. */
  get addresses(): readonly Address[] {
    return this.sockets.map(({ address }) => address)
  }

  /** For IceTransport: a share of the sockets for the agent with these ufrags. Throws ERR_ICE_CLOSED, ERR_ICE_ARGUMENT. */
  join(member: MuxMember, usernameFragments: readonly string[]): PacketRoute {
    if (this.#closed) throw new IceError('ERR_ICE_CLOSED', 'The mux is closed: make a new one')
    const share = new MuxShare(this, member)
    this.#name(share, usernameFragments)
    this.#shares.add(share)
    return share
  }

  /** For IceTransport, after a restart: these ufrags, and no others any more. */
  rename(member: MuxMember, usernameFragments: readonly string[]): void {
    for (const share of this.#shares) if (share.member === member) this.#name(share, usernameFragments)
  }

  /** Closes the sockets under all transports that share them; close those first. Idempotent. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onabort)
    this.#closed ??= Promise.all(this.sockets.map((socket) => socket.close())).then(() => {})
    for (const share of this.#shares) this.leave(share)
    await this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** For MuxShare: the first to ask has the sockets follow this machine's addresses, on the port that the mux has. */
  update(system: System): void {
    const port = this.#sockets[0]?.address.port ?? this.#port
    if (this.#closed) return
    const { opened, closed } = followAddresses(this.#sockets, system, this.#interfaces, (addresses) => {
      const sockets: UdpSocket[] = []
      for (const address of addresses) openAlso(sockets, address, port, this.#owner)
      return sockets
    })
    this.#port = port
    this.#sockets = [...this.#sockets.filter((socket) => !closed.includes(socket)), ...opened]
  }

  /** For MuxShare. */
  send(share: MuxShare, { local, remote, bytes }: Packet): void {
    if (this.#closed || !this.#shares.has(share)) return
    if ((bytes[0] ?? 4) < 4) this.#remember(share, remote, bytes)
    for (const socket of this.sockets) if (socket.address === local) return socket.send(bytes, remote)
  }

  /** For MuxShare. */
  leave(share: MuxShare): void {
    if (!this.#shares.delete(share)) return
    for (const name of share.usernameFragments) this.#byUsernameFragment.delete(name)
    for (const remote of share.remotes) this.#forgetRemote(remote, share)
    for (const [id, owner] of this.#byTransaction) if (owner === share) this.#byTransaction.delete(id)
  }

  readonly #onabort = () => void this.close()

  #name(share: MuxShare, usernameFragments: readonly string[]): void {
    const taken = usernameFragments.find((name) => (this.#byUsernameFragment.get(name) ?? share) !== share)
    if (taken !== undefined) {
      throw new IceError(
        'ERR_ICE_ARGUMENT',
        `The ufrag ${taken} is in use on this mux: leave out parameters, or choose others`,
      )
    }
    for (const name of share.usernameFragments) this.#byUsernameFragment.delete(name)
    share.usernameFragments = usernameFragments
    for (const name of usernameFragments) this.#byUsernameFragment.set(name, share)
  }

  #route(packet: Packet): void {
    const { bytes, remote } = packet
    if ((bytes[0] ?? 4) < 4 && isStun(bytes)) {
      const kind = (bytes[0] as number) & 1 ? 'answer' : ((bytes[1] as number) & 0x10) === 0 ? 'request' : 'indication'
      if (kind === 'request') return this.#routeRequest(packet)
      if (kind === 'answer') return void this.#byTransaction.get(transactionIdAt(bytes, 8))?.member.handlePacket(packet)
    }
    for (const { member } of this.#byRemote.get(remoteKey(remote)) ?? []) if (member.handlePacket(packet)) return
  }

  #routeRequest(packet: Packet): void {
    // USERNAME is `receiver's ufrag:sender's ufrag`, RFC 8445 §7.2.2.
    const username = decode(packet.bytes)?.attributes.username
    const colon = username?.indexOf(':') ?? -1
    if (username === undefined || colon < 0) return
    const usernameFragment = username.slice(0, colon)
    if (!this.#byUsernameFragment.has(usernameFragment)) {
      const { remote, local } = packet
      this.#callUnknown({ usernameFragment, remoteUsernameFragment: username.slice(colon + 1), remote, local })
    }
    this.#byUsernameFragment.get(usernameFragment)?.member.handlePacket(packet)
  }

  #callUnknown(request: UnknownRequest): void {
    try {
      this.onunknown?.(request)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }

  /**
   * What comes back will be this agent's. Only what it sends teaches the mux anything: what is received can be forged.
   * An address that several agents sent to is offered to each: a peer cannot divert another's packets by naming it.
   */
  #remember(share: MuxShare, remote: Address, bytes: Uint8Array): void {
    const isRequest = ((bytes[0] as number) & 1) === 0 && ((bytes[1] as number) & 0x10) === 0
    if (isRequest) {
      this.#byTransaction.set(transactionIdAt(bytes, 8), share)
      if (this.#byTransaction.size > MAX_TRANSACTIONS) deleteOldest(this.#byTransaction)
    }
    if (share.lastRemote !== undefined && sameAddress(share.lastRemote, remote)) return
    share.lastRemote = remote
    const key = remoteKey(remote)
    if (share.remotes.delete(key)) return void share.remotes.add(key) // To the end: it was used last.
    share.remotes.add(key)
    const owners = this.#byRemote.get(key)
    if (owners) owners.push(share)
    else this.#byRemote.set(key, [share])
    if (share.remotes.size > MAX_REMOTES) this.#forgetOldest(share)
  }

  #forgetOldest(share: MuxShare): void {
    const [oldest] = share.remotes
    if (oldest === undefined) return
    share.remotes.delete(oldest)
    this.#forgetRemote(oldest, share)
  }

  #forgetRemote(remote: string, share: MuxShare): void {
    const others = this.#byRemote.get(remote)?.filter((owner) => owner !== share)
    if (others?.length) this.#byRemote.set(remote, others)
    else this.#byRemote.delete(remote)
  }
}

/** One transport's part in a mux. */
class MuxShare implements PacketRoute {
  readonly member: MuxMember
  readonly #mux: UdpMux
  /** What its transport knows of. */
  #known: readonly UdpSocket[]
  usernameFragments: readonly string[] = []
  /** Addresses it sent checks or answers to, the latest last. */
  readonly remotes = new Set<string>()
  lastRemote: Address | undefined

  constructor(mux: UdpMux, member: MuxMember) {
    this.#mux = mux
    this.member = member
    this.#known = mux.sockets
  }

  get sockets(): readonly UdpSocket[] {
    return this.#mux.sockets
  }

  send(packet: Packet): void {
    this.#mux.send(this, packet)
  }

  update(system: System): SocketChanges {
    this.#mux.update(system)
    const [before, now] = [this.#known, this.#mux.sockets]
    this.#known = now
    return {
      opened: now.filter((socket) => !before.includes(socket)),
      closed: before.filter((socket) => !now.includes(socket)),
    }
  }

  async close(): Promise<void> {
    this.#mux.leave(this)
  }
}

/** Per agent; RFC 8445 §6.1.2.5's hundred pairs, and room for servers. The one in use is the last to be forgotten. */
const MAX_REMOTES = 128

/** Of all agents together. Answers come within seconds: these are the requests of thousands of agents in that time. */
const MAX_TRANSACTIONS = 16_384

/** How often another port is tried when the system's choice on one address is taken on another. */
const SAME_PORT_ATTEMPTS = 16

function openSamePort(addresses: readonly InterfaceAddress[], port: number, owner: SocketOwner): readonly UdpSocket[] {
  const [first, ...rest] = addresses
  if (port !== 0 || !first) return openSockets(addresses, owner, port === 0 ? undefined : [port, port])
  for (let attempt = 1; ; attempt++) {
    const sockets = openSockets([first], owner)
    const chosen = (sockets[0] as UdpSocket).address.port
    const taken = rest.some((address) => !openAlso(sockets, address, chosen, owner))
    if (!taken || attempt === SAME_PORT_ATTEMPTS) return sockets
    for (const socket of sockets) void socket.close()
  }
}

/** `false`: the port is taken there. An address that cannot be bound at all is reported and left out. */
function openAlso(sockets: UdpSocket[], address: InterfaceAddress, port: number, owner: SocketOwner): boolean {
  try {
    sockets.push(new UdpSocket(address, port, owner))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    owner.handleSocketError(address.ip, error as NodeJS.ErrnoException)
  }
  return true
}

function remoteKey({ ip, port }: Address): string {
  return `${ip} ${port}`
}

function deleteOldest<K>(map: Map<K, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}
