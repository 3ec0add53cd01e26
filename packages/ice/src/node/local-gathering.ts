import { randomUUID } from 'node:crypto'
import type { Address, Packet } from '@floe/stun'
import type { IceAgent } from '../agent.ts'
import { ACTIVE_PORT } from '../defaults.ts'
import type { LocalBase } from '../gatherer.ts'
import type { ServerAddress } from '../servers.ts'
import { Connections } from './connections.ts'
import { clock, type Driver } from './driver.ts'
import { type ConfiguredServer, parseIceServers, protocolOf, refusalOf, serverAddress } from './ice-servers.ts'
import { hostAddresses, type InterfaceAddress } from './interfaces.ts'
import { MulticastDns } from './mdns.ts'
import { type ExternalAddresses, externalAddresses, type IceTransportOptions } from './options.ts'
import { parseProxy } from './proxy.ts'
import { resolveHost } from './resolve.ts'
import { checkPortRange, type PacketRoute, SocketSet } from './sockets.ts'
import { SpareSockets } from './spare-sockets.ts'
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
  readonly #spares: SpareSockets
  #tcp: TcpDoor | undefined
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
    this.#spares = new SpareSockets(driver, options.portRange)
    this.connections = new Connections(driver, { tls, proxy: proxy === undefined ? undefined : parseProxy(proxy) })
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
    const known = usable.filter((server) => this.#isAddressed(server))
    const bases = this.#relayOnly ? relayBases(this.#hosts()) : [...this.#udpBases(), ...this.#activeBases()]
    this.#gather(
      bases,
      known.map((server) => serverAddress(server, server.uri.host)),
    )
    for (const server of names) void this.#resolve(server)
  }

  transmit(packet: Packet, ttl?: number): void {
    if (this.connections.send(packet) || this.#spares.send(packet, ttl)) return
    this.#route?.send(packet, ttl)
  }

  /** For the agent, beyond those it has gathered on; fewer when the system has no more. */
  openSockets(near: Address, count: number): readonly Address[] {
    const host = this.#route?.sockets.find(({ address }) => address === near)?.host ?? this.#spares.hostOf(near)
    return host ? this.#spares.open(host, count) : []
  }

  closeSocket(local: Address): void {
    this.#spares.close(local)
  }

  /** The agent gathers again by itself, over the same sockets. */
  restart(): void {
    if (!this.#begun) return
    this.#options.mux?.rename(this.#driver, this.#agent.usernameFragments)
    this.#tcp?.rename(this.#agent.usernameFragments)
  }

  async close(): Promise<void> {
    this.#abort?.abort()
    for (const withdraw of this.#withdrawals ?? []) withdraw()
    await Promise.all([this.#route?.close(), this.#spares.closeAll(), this.#tcp?.close()])
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
    return new SocketSet(this.#hosts(), this.#driver, portRange)
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

  #udpBases(): LocalBase[] {
    return (this.#route?.sockets ?? []).map(({ address, host }, rank) => {
      const external = this.#external(host)
      const mapped = external === undefined ? {} : { mapped: [{ ip: external, port: address.port }] }
      return { ...this.#base(host, rank), address, ...mapped }
    })
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
