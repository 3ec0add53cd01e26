import { randomUUID } from 'node:crypto'
import type { Address, Packet } from '@floe/stun'
import { ACTIVE_PORT } from '../defaults.ts'
import type { LocalBase } from '../local-base.ts'
import type { Connections } from './connections.ts'
import type { Driver } from './driver.ts'
import { hostAddresses, type InterfaceAddress, type InterfaceOptions, readSystem, type System } from './interfaces.ts'
import { MulticastDns } from './mdns.ts'
import { networkInfo } from './network-cost.ts'
import { type ExternalAddresses, externalAddresses, type IceTransportOptions } from './options.ts'
import { checkPortRange, type PacketRoute, type SocketOwner, SocketSet, type UdpSocket } from './sockets.ts'
import { SpareSockets } from './spare-sockets.ts'
import { TcpDoor } from './tcp-door.ts'

export interface LocalBasesOptions {
  readonly driver: Driver
  /** Gets what own sockets receive. */
  readonly receiver: SocketOwner
  readonly connections: Connections
  readonly usernameFragments: () => readonly string[]
  /** A listener is open, or (`undefined`) cannot be. */
  readonly onlistening: (base: LocalBase | undefined) => void
}

/** What has come and gone. */
export interface BaseChanges {
  readonly added: readonly LocalBase[]
  readonly removed: readonly Address[]
  /** The sockets behind them. */
  readonly opened: readonly UdpSocket[]
  readonly closed: readonly UdpSocket[]
}

/** What a transport sends from and listens on: its sockets and its doors over TCP, one for each address of this machine. */
export class LocalBases {
  readonly #options: IceTransportOptions
  readonly #owner: LocalBasesOptions
  readonly #external: ExternalAddresses
  /** There from `open()` on, unless nothing but relays may be used. */
  #route: PacketRoute | undefined
  readonly #spares: SpareSockets
  #tcp: TcpDoor | undefined
  /** Addresses that relays alone are reached from. */
  #relayHosts: readonly InterfaceAddress[] = []
  /** Where peers connect to: one of each local IP address. */
  #doors: readonly Address[] = []
  #hostnames: Map<string, string> | undefined
  #withdrawals: Map<string, () => void> | undefined

  /** Throws ERR_ICE_ARGUMENT. */
  constructor(options: IceTransportOptions, owner: LocalBasesOptions) {
    this.#options = options
    this.#owner = owner
    this.#external = externalAddresses(options.externalAddresses)
    if (options.portRange) checkPortRange(options.portRange)
    this.#spares = new SpareSockets(owner.receiver, options.portRange)
  }

  get relayOnly(): boolean {
    return this.#options.gatherPolicy === 'relay'
  }

  /** Throws ERR_ICE_FAILED when nothing could be bound; it may be called again then. */
  open(): LocalBase[] {
    if (this.relayOnly) return (this.#relayHosts = hostAddresses(this.#interfaces)).map(relayBase)
    this.#route = this.#openRoute()
    return this.#basesOf(this.#route.sockets)
  }

  /** Follows this machine's addresses. What is gone is closed. */
  update(system: System = readSystem()): BaseChanges {
    if (this.relayOnly) return this.#updateRelayBases(system)
    if (!this.#route) return { added: [], removed: [], opened: [], closed: [] }
    const { opened, closed } = this.#route.update(system)
    // Where a socket only gives way to one of another port, the address stays, with its name and all of TCP.
    const isAlone = (socket: UdpSocket, others: readonly UdpSocket[]) =>
      others.every(({ host }) => host.ip !== socket.host.ip)
    const left = closed.filter((socket) => isAlone(socket, opened))
    const spares = this.#spares.closeOn(left.map(({ host }) => host))
    const removed = [...closed.map(({ address }) => address), ...left.flatMap((one) => this.#tcpOf(one)), ...spares]
    for (const { host } of left) this.#withdraw(host.ip)
    this.listen(opened.filter((socket) => isAlone(socket, closed)))
    return { added: this.#basesOf(opened), removed, opened, closed }
  }

  /** Passive candidates come when the listeners are open. How many answers there will be. */
  listen(sockets: readonly UdpSocket[] = this.#route?.sockets ?? []): number {
    if (!this.#speaksTcp || sockets.length === 0) return 0
    this.#tcp ??= new TcpDoor(this.#owner.connections, this.#owner.driver, {
      onlistening: (address) => this.#owner.onlistening(address && this.#passiveBase(address)),
    })
    this.#tcp.open(
      this.#owner.usernameFragments(),
      sockets.map(({ host }) => host.ip),
      this.#options.portRange,
    )
    return sockets.length
  }

  get sockets(): readonly UdpSocket[] {
    return this.#route?.sockets ?? []
  }

  /** How many sockets have died, and could not be bound again. */
  get dead(): number {
    return this.sockets.filter(({ isDead }) => isDead).length
  }

  /** The addresses that something is sent from. */
  get hosts(): readonly InterfaceAddress[] {
    return this.relayOnly ? this.#relayHosts : this.sockets.map(({ host }) => host)
  }

  /** What is sent from there over UDP, and to TURN servers. */
  basesAt(host: InterfaceAddress): LocalBase[] {
    if (this.relayOnly) return [relayBase(host, this.#relayHosts.indexOf(host))]
    return this.sockets.filter((socket) => socket.host === host).map((socket) => this.udpBase(socket))
  }

  udpBase({ address, host }: UdpSocket): LocalBase {
    const external = this.#external(host)
    return this.#base(host, address, external === undefined ? {} : { mapped: [{ ip: external, port: address.port }] })
  }

  send(packet: Packet, ttl?: number): void {
    if (!this.#spares.send(packet, ttl)) this.#route?.send(packet, ttl)
  }

  /** More sockets beside this one; fewer when the system has no more. */
  openSpares(near: Address, count: number): readonly Address[] {
    const host = this.sockets.find(({ address }) => address === near)?.host ?? this.#spares.hostOf(near)
    return host ? this.#spares.open(host, count) : []
  }

  closeSpare(local: Address): void {
    this.#spares.close(local)
  }

  rename(): void {
    const usernameFragments = this.#owner.usernameFragments()
    this.#options.mux?.rename(this.#owner.driver, usernameFragments)
    this.#tcp?.rename(usernameFragments)
  }

  async close(): Promise<void> {
    for (const withdraw of this.#withdrawals?.values() ?? []) withdraw()
    await Promise.all([this.#route?.close(), this.#spares.closeAll(), this.#tcp?.close()])
  }

  get #interfaces(): InterfaceOptions {
    const { interfaceFilter: filter, includeLoopback } = this.#options
    return { filter, includeLoopback }
  }

  #openRoute(): PacketRoute {
    const { mux, portRange } = this.#options
    const { driver, receiver, usernameFragments } = this.#owner
    return mux ? mux.join(driver, usernameFragments()) : new SocketSet(receiver, this.#interfaces, portRange)
  }

  get #speaksTcp(): boolean {
    const { tcp = true, mux, lite } = this.#options
    return tcp && !mux && !lite && !this.relayOnly
  }

  #basesOf(sockets: readonly UdpSocket[]): LocalBase[] {
    const udp = sockets.map((socket) => this.udpBase(socket))
    if (!this.#speaksTcp) return udp
    const active = sockets.map(({ host }) => this.#base(host, activeAddress(host.ip), { tcpType: 'active' }))
    return [...udp, ...active]
  }

  /** The ranks are those of the UDP sockets. */
  #passiveBase(address: Address): LocalBase | undefined {
    const socket = this.#route?.sockets.find(({ host }) => host.ip === address.ip)
    if (!socket) return undefined
    this.#doors = this.#doors.filter(({ ip }) => ip !== address.ip).concat(address)
    return this.#base(socket.host, address, { tcpType: 'passive' })
  }

  #base(host: InterfaceAddress, address: Address, more: Pick<LocalBase, 'tcpType' | 'mapped'>): LocalBase {
    const { name, ip } = host
    const hostname = this.#options.mdns?.publish ? this.#publish(ip) : undefined
    const rank = this.#route?.sockets.findIndex(({ host }) => host.ip === ip) ?? 0
    const network = networkInfo(host)
    return { address, interfaceName: name, network, rank, ...(hostname !== undefined && { hostname }), ...more }
  }

  /** What goes with the socket when its address does. */
  #tcpOf({ host: { ip } }: UdpSocket): Address[] {
    const door = this.#doors.find((address) => address.ip === ip)
    this.#doors = this.#doors.filter((address) => address !== door)
    return [...(this.#speaksTcp ? [activeAddress(ip)] : []), ...(door ? [door] : [])]
  }

  #updateRelayBases(system: System): BaseChanges {
    const before = this.#relayHosts
    const now = hostAddresses(this.#interfaces, system)
    const isIn = (hosts: readonly InterfaceAddress[], { address }: LocalBase) =>
      hosts.some(({ ip }) => ip === address.ip)
    this.#relayHosts = now
    return {
      added: now.map(relayBase).filter((base) => !isIn(before, base)),
      removed: before
        .map(relayBase)
        .filter((base) => !isIn(now, base))
        .map(({ address }) => address),
      opened: [],
      closed: [],
    }
  }

  /** The name stands in for the address even where it cannot be published: the address was to be hidden. */
  #publish(ip: string): string {
    const names = (this.#hostnames ??= new Map())
    const known = names.get(ip)
    if (known !== undefined) return known
    const hostname = `${randomUUID()}.local`
    names.set(ip, hostname)
    const withdraw = MulticastDns.shared.publish(hostname, ip, (reason) => {
      this.#owner.driver.log('mdns', `${hostname} is not published`, reason)
    })
    ;(this.#withdrawals ??= new Map()).set(ip, withdraw)
    return hostname
  }

  #withdraw(ip: string): void {
    this.#hostnames?.delete(ip)
    this.#withdrawals?.get(ip)?.()
    this.#withdrawals?.delete(ip)
  }
}

function activeAddress(ip: string): Address {
  return { ip, port: ACTIVE_PORT }
}

/** Where relays are reached from: nothing is bound to it, and no peer hears of it. */
function relayBase(host: InterfaceAddress, rank: number): LocalBase {
  const { name, ip } = host
  return { address: { ip, port: 0 }, interfaceName: name, network: networkInfo(host), rank, relayOnly: true }
}
