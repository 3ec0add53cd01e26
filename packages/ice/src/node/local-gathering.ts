import { randomUUID } from 'node:crypto'
import { type Address, isIPv6, type Packet } from '@floe/stun'
import type { IceAgent } from '../agent.ts'
import { ACTIVE_PORT } from '../defaults.ts'
import type { LocalBase } from '../local-base.ts'
import type { ServerAddress } from '../servers.ts'
import { Connections } from './connections.ts'
import { clock, type Driver } from './driver.ts'
import { type ConfiguredServer, parseIceServers, protocolOf, refusalOf, serverAddress } from './ice-servers.ts'
import { hostAddresses, type InterfaceAddress } from './interfaces.ts'
import { MulticastDns } from './mdns.ts'
import { isGlobal, isIpv6Only, Nat64Edge } from './nat64.ts'
import { type ExternalAddresses, externalAddresses, type IceTransportOptions } from './options.ts'
import { PortMappings } from './port-mappings.ts'
import { parseProxy } from './proxy.ts'
import { resolveHost } from './resolve.ts'
import { checkPortRange, type PacketRoute, type SocketOwner, SocketSet, type UdpSocket } from './sockets.ts'
import { TcpDoor } from './tcp-door.ts'

/** What a transport gathers from: its sockets, listeners and servers. */
export class LocalGathering {
  readonly connections: Connections
  readonly #agent: IceAgent
  readonly #driver: Driver
  readonly #options: IceTransportOptions
  readonly #servers: readonly ConfiguredServer[]
  readonly #external: ExternalAddresses
  /** There from `begin()` on, unless nothing but relays may be used. */
  #route: PacketRoute | undefined
  #tcp: TcpDoor | undefined
  #mappings: PortMappings | undefined
  #nat64: Nat64Edge | undefined
  /** Servers that answer STUN over UDP. */
  readonly #asked: Address[] = []
  #abort: AbortController | undefined
  #begun = false
  /** Names and listeners that the end of candidates waits for. */
  #pending = 0
  #hostnames: Map<string, string> | undefined
  #withdrawals: (() => void)[] | undefined

  /** Throws ERR_ICE_ARGUMENT. */
  constructor(agent: IceAgent, driver: Driver, options: IceTransportOptions) {
    const { iceServers = [], tls, proxy } = options
    this.#agent = agent
    this.#driver = driver
    this.#options = options
    this.#servers = parseIceServers(iceServers)
    this.#external = externalAddresses(options.externalAddresses)
    if (options.portRange) checkPortRange(options.portRange)
    this.connections = new Connections(driver, {
      tls,
      proxy: proxy === undefined ? undefined : parseProxy(proxy),
      outward: (remote, local) => (isIPv6(local.ip) && this.#nat64?.outward(remote)) || remote,
    })
  }

  /** Throws ERR_ICE_FAILED when nothing could be bound; it may be called again then. */
  begin(): void {
    if (this.#begun) return
    if (!this.#relayOnly) this.#route = this.#open()
    this.#begun = true
    const usable = this.#servers.filter((server) => refusalOf(server, this.#relayOnly) === undefined)
    this.#refuseOthers(usable)
    const names = usable.filter((server) => !this.#isAddressed(server))
    this.#pending += names.length
    this.#listen()
    this.#map()
    if (this.#nat64) void this.#findNat64(this.#nat64)
    const known = usable.filter((server) => this.#isAddressed(server))
    const bases = this.#relayOnly ? relayBases(this.#hosts()) : [...this.#udpBases(), ...this.#activeBases()]
    this.#gather(
      bases,
      known.map((server) => serverAddress(server, server.uri.host)),
    )
    for (const server of names) void this.#resolve(server)
  }

  transmit(packet: Packet): void {
    if (this.connections.send(packet)) return
    const { remote } = packet
    const wire = this.#nat64?.outward(remote) ?? remote
    this.#route?.send(wire === remote ? packet : { ...packet, remote: wire })
  }

  /** The agent gathers again by itself, over the same sockets. */
  restart(): void {
    if (!this.#begun) return
    this.#options.mux?.rename(this.#driver, this.#agent.usernameFragments)
    this.#tcp?.rename(this.#agent.usernameFragments)
  }

  async close(): Promise<void> {
    this.#abort?.abort()
    this.#mappings?.close()
    for (const withdraw of this.#withdrawals ?? []) withdraw()
    await Promise.all([this.#route?.close(), this.#tcp?.close()])
  }

  get #relayOnly(): boolean {
    return this.#options.gatherPolicy === 'relay'
  }

  #hosts(): InterfaceAddress[] {
    const { interfaceFilter: filter, includeLoopback } = this.#options
    return hostAddresses({ filter, includeLoopback })
  }

  #open(): PacketRoute {
    const { mux, portRange } = this.#options
    if (mux) return mux.join(this.#driver, this.#agent.usernameFragments)
    const owner = this.#options.portMapper ? this.#withProbes() : this.#driver
    if (!this.#options.nat64) return new SocketSet(this.#hosts(), owner, portRange)
    const edge = new Nat64Edge(owner)
    const route = new SocketSet(this.#hosts(), edge, portRange)
    if (isIpv6Only(route.sockets)) this.#nat64 = edge
    return route
  }

  /** Packets that are not the agent's may be answers to the port mapper's. */
  #withProbes(): SocketOwner {
    const driver = this.#driver
    return {
      handlePacket: (packet) => driver.handlePacket(packet) || this.#mappings?.handlePacket(packet),
      handleSocketError: (local, error) => driver.handleSocketError(local, error),
    }
  }

  /** What waits for IPv4 goes on when the translator is known; the end of candidates waits for that, two seconds at most. */
  async #findNat64(edge: Nat64Edge): Promise<void> {
    const { signal } = (this.#abort ??= new AbortController())
    this.#pending++
    const translator = await this.#options.nat64?.({ signal }).catch(() => undefined)
    if (signal.aborted) return
    this.#pending--
    edge.use(translator)
    const detail = translator?.toIpv6('192.0.0.170')
    this.#driver.log('nat64', detail ?? '', detail ? 'IPv4 is reached through it' : 'no IPv4, and no NAT64 either')
    const sockets = translator ? (this.#route?.sockets.filter(isGlobal) ?? []) : []
    this.#gather(
      sockets.map((socket) => ({ ...this.#udpBase(socket), translated: true })),
      [],
    )
  }

  get #speaksTcp(): boolean {
    const { tcp = true, mux, lite } = this.#options
    return tcp && !mux && !lite && !this.#relayOnly
  }

  /** Passive candidates come when the listeners are open; the ranks are those of the UDP sockets. */
  #listen(): void {
    const hosts = this.#route?.sockets.map(({ host }) => host) ?? []
    if (!this.#speaksTcp || hosts.length === 0) return
    this.#pending += hosts.length
    this.#tcp = new TcpDoor(this.connections, this.#driver, {
      onlistening: (address) => {
        this.#pending--
        const rank = hosts.findIndex(({ ip }) => ip === address?.ip)
        const host = hosts[rank]
        this.#gather(address && host ? [{ ...this.#base(host, rank), address, tcpType: 'passive' }] : [], [])
      },
    })
    this.#tcp.open(
      this.#agent.usernameFragments,
      hosts.map(({ ip }) => ip),
      this.#options.portRange,
    )
  }

  /** What the router maps comes when it has answered. */
  #map(): void {
    const { portMapper, mux, lite } = this.#options
    const sockets = portMapper && !mux && !lite ? PortMappings.eligible(this.#route?.sockets ?? []) : []
    if (!portMapper || sockets.length === 0) return
    this.#pending += sockets.length
    this.#mappings = new PortMappings(portMapper, {
      onmapping: (socket, external) => this.#remap(socket, external),
      onsettled: () => {
        this.#pending--
        this.#gather([], [])
      },
      servers: () => this.#asked,
      send: (packet) => this.#route?.send(packet),
      log: (event, detail, reason) => this.#driver.log(event, detail, reason),
    })
    for (const socket of sockets) this.#mappings.add(socket)
  }

  #remap(socket: UdpSocket, external: Address | undefined): void {
    const { mapped = [], ...base } = this.#udpBase(socket)
    this.#gather([{ ...base, mapped: external ? [external, ...mapped] : mapped }], [])
  }

  #udpBases(): LocalBase[] {
    return (this.#route?.sockets ?? []).map((socket) => this.#udpBase(socket))
  }

  #udpBase(socket: UdpSocket): LocalBase {
    const { address, host } = socket
    const external = this.#external(host)
    const mapped = external === undefined ? {} : { mapped: [{ ip: external, port: address.port }] }
    return { ...this.#base(host, this.#route?.sockets.indexOf(socket) ?? 0), address, ...mapped }
  }

  #activeBases(): LocalBase[] {
    if (!this.#speaksTcp) return []
    return (this.#route?.sockets ?? []).map(({ host }, rank) => ({
      ...this.#base(host, rank),
      address: { ip: host.ip, port: ACTIVE_PORT },
      tcpType: 'active',
    }))
  }

  #base({ name, ip }: InterfaceAddress, rank: number): Omit<LocalBase, 'address'> {
    const hostname = this.#options.mdns?.publish ? this.#publish(ip) : undefined
    return { interfaceName: name, rank, ...(hostname !== undefined && { hostname }) }
  }

  /** The name stands in for the address even where it cannot be published: the address was to be hidden. */
  #publish(ip: string): string {
    const names = (this.#hostnames ??= new Map())
    const known = names.get(ip)
    if (known !== undefined) return known
    const hostname = `${randomUUID()}.local`
    names.set(ip, hostname)
    const withdraw = MulticastDns.shared.publish(hostname, ip, (reason) => {
      this.#driver.log('mdns', `${hostname} is not published`, reason)
    })
    ;(this.#withdrawals ??= []).push(withdraw)
    return hostname
  }

  /** Nothing needs to be resolved: it is an IP address, or a proxy does it. */
  #isAddressed({ literal, uri }: ConfiguredServer): boolean {
    return literal || (this.#options.proxy !== undefined && protocolOf(uri) !== 'udp')
  }

  async #resolve(server: ConfiguredServer): Promise<void> {
    const { signal } = (this.#abort ??= new AbortController())
    const add = (ip: string) => this.#gather([], [serverAddress(server, ip)])
    const failure = await resolveHost(server.uri.host, { signal, onaddress: add })
    if (signal.aborted) return
    if (failure !== undefined) this.#fail(server.url, `The name ${server.uri.host} was not resolved: ${failure}`)
    this.#pending--
    this.#gather([], [])
  }

  #gather(bases: readonly LocalBase[], servers: readonly ServerAddress[]): void {
    const now = clock()
    for (const server of servers)
      if (server.scheme === 'stun' || server.protocol === 'udp') this.#asked.push(server.address)
    if (this.#agent.state !== 'closed') this.#agent.gather(now, bases, servers, this.#pending === 0)
    this.#driver.settle(now)
  }

  #refuseOthers(usable: readonly ConfiguredServer[]): void {
    for (const server of this.#servers) {
      if (!usable.includes(server)) this.#fail(server.url, refusalOf(server, this.#relayOnly) ?? '')
    }
    if (this.#relayOnly && !this.#servers.some(({ uri }) => uri.scheme.startsWith('turn'))) {
      this.#fail('', 'gatherPolicy is relay and iceServers names no TURN server: there is nothing to gather from')
    }
  }

  /** W3C: 701 is for servers that were not reached. */
  #fail(url: string, errorText: string): void {
    this.#driver.raise({ type: 'candidateerror', url, address: null, port: null, errorCode: 701, errorText })
  }
}

/** Addresses that relays are reached from; nothing is bound to them, and no peer hears of them. */
function relayBases(hosts: readonly InterfaceAddress[]): LocalBase[] {
  return hosts.map(({ ip, name }, rank) => ({ address: { ip, port: 0 }, interfaceName: name, rank, relayOnly: true }))
}
