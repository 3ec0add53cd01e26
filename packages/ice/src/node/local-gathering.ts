import type { Address, Packet } from '@floe/stun'
import type { IceAgent } from '../agent.ts'
import type { LocalBase } from '../local-base.ts'
import type { ServerAddress, ServerChange } from '../servers.ts'
import { Connections } from './connections.ts'
import { clock, type Driver } from './driver.ts'
import {
  type ConfiguredServer,
  type IceServer,
  isSameServer,
  parseIceServers,
  protocolOf,
  refusalOf,
  serverAddress,
} from './ice-servers.ts'
import { interfaceWatch, type NetworkChange } from './interface-watch.ts'
import { readSystem, type System } from './interfaces.ts'
import { LocalBases } from './local-bases.ts'
import type { IceTransportOptions } from './options.ts'
import { parseProxy } from './proxy.ts'
import { Reach } from './reach.ts'
import { Rebinding } from './rebinding.ts'
import { resolveHost } from './resolve.ts'

/** What a transport gathers from: its sockets, listeners and servers; and what becomes of them when networks change. */
export class LocalGathering {
  readonly connections: Connections
  readonly #agent: IceAgent
  readonly #driver: Driver
  readonly #options: IceTransportOptions
  #servers: readonly ConfiguredServer[]
  /** From the next restart on. */
  #next: readonly ConfiguredServer[] | undefined
  /** Of the restart under way: to be resolved when the agent has begun again. */
  #names: readonly ConfiguredServer[] = []
  readonly #bases: LocalBases
  readonly #reach: Reach
  #abort: AbortController | undefined
  #unwatch: (() => void) | undefined
  /** Made with the first socket that dies. */
  #rebinding: Rebinding | undefined
  #begun = false
  /** Names and listeners that the end of candidates waits for. */
  #pending = 0

  /** Throws ERR_ICE_ARGUMENT. */
  constructor(agent: IceAgent, driver: Driver, options: IceTransportOptions) {
    const { iceServers = [], tls, proxy } = options
    this.#agent = agent
    this.#driver = driver
    this.#options = options
    this.#servers = parseIceServers(iceServers)
    this.connections = new Connections(driver, {
      tls,
      proxy: proxy === undefined ? undefined : parseProxy(proxy),
      outward: (remote, local) => this.#reach.outward(remote, local),
    })
    this.#reach = new Reach(options, driver, {
      hosts: () => this.#bases.hosts,
      basesAt: (host) => this.#bases.basesAt(host),
      baseOf: (socket) => this.#bases.udpBase(socket),
      send: (packet) => this.#bases.send(packet),
      onbases: (bases) => bases.length > 0 && this.#gather(bases, []),
      onsettled: () => this.#settle(),
    })
    this.#bases = new LocalBases(options, {
      driver,
      receiver: this.#reach.receiver,
      connections: this.connections,
      usernameFragments: () => agent.usernameFragments,
      onlistening: (base) => this.#settle(base),
    })
  }

  /** Throws ERR_ICE_FAILED when nothing could be bound; it may be called again then. */
  begin(): void {
    if (this.#begun) return
    const bases = this.#bases.open()
    this.#begun = true
    const known = this.#sortOut(this.#servers)
    this.#pending += this.#bases.listen() + this.#reach.open(this.#bases.sockets)
    this.#gather(bases, known)
    this.#resolveNames()
    if (this.#options.watchInterfaces ?? true) this.#unwatch = interfaceWatch.subscribe(this.#onnetwork)
  }

  /** For the next gathering: the first one, or that of the next restart. Throws ERR_ICE_ARGUMENT. */
  setServers(servers: readonly IceServer[]): void {
    const next = parseIceServers(servers)
    if (this.#begun) this.#next = next
    else this.#servers = next
  }

  /** Just before the agent restarts: what it asks from then on, when that has changed. `restart()` does the rest. */
  takeServerChange(): ServerChange | undefined {
    const next = this.#next
    if (!next) return undefined
    this.#next = undefined
    const before = this.#servers
    // What stays is the same object, so that a name that is being resolved still counts.
    this.#servers = next.map((server) => before.find((known) => isSameServer(known, server)) ?? server)
    const adds = this.#sortOut(this.#servers.filter((server) => !before.includes(server)))
    this.#reach.noteServers(adds)
    return {
      keeps: (server) => this.#servers.some((one) => isSameServer(one, server)),
      adds,
      complete: this.#pending === 0,
    }
  }

  transmit(packet: Packet, ttl?: number): void {
    if (this.connections.send(packet)) return
    const { local, remote } = packet
    const wire = this.#reach.outward(remote, local)
    this.#bases.send(wire === remote ? packet : { ...packet, remote: wire }, ttl)
  }

  /** For the agent, beyond those it has gathered on; fewer when the system has no more. */
  openSockets(near: Address, count: number): readonly Address[] {
    return this.#bases.openSpares(near, count)
  }

  closeSocket(local: Address): void {
    this.#bases.closeSpare(local)
  }

  /** A socket has died, while its address may be there: it is bound again. */
  rebind(): void {
    this.#rebinding ??= new Rebinding(() => this.#rebind())
    this.#rebinding.begin()
  }

  /** The agent gathers again by itself, over the same sockets. */
  restart(): void {
    if (!this.#begun) return
    this.#bases.rename()
    this.#resolveNames()
  }

  async close(): Promise<void> {
    this.#abort?.abort()
    this.#unwatch?.()
    this.#rebinding?.close()
    this.#reach.close()
    await this.#bases.close()
  }

  /** New bases first: the agent that loses its last one would have nothing to go on with. */
  readonly #onnetwork = (change: NetworkChange | 'socket', system: System): void => {
    if (this.#agent.state === 'closed') return
    const { dead } = this.#bases
    const { added, removed, opened, closed } = this.#bases.update(system)
    this.#reach.close(closed)
    this.#driver.log('network', `${added.length} bases come, ${removed.length} go`, change)
    const isInVain = dead > 0 && this.#bases.dead === dead && added.length + removed.length === 0
    if (change === 'socket' && isInVain) return // Who hears of news every half minute gives nothing up.
    const now = clock()
    if (added.length > 0) this.#gather(added, [])
    this.#reach.open(opened)
    if (removed.length > 0) this.#agent.removeLocalBases(now, removed)
    this.#agent.networkChanged(now)
    this.#driver.settle(now)
  }

  /** `false`: not all of them could be bound. */
  #rebind(): boolean {
    this.#onnetwork('socket', readSystem())
    return this.#bases.dead === 0
  }

  /** Nothing needs to be resolved: it is an IP address, or a proxy does it. */
  #isAddressed({ literal, uri }: ConfiguredServer): boolean {
    return literal || (this.#hasProxy && protocolOf(uri) !== 'udp')
  }

  get #hasProxy(): boolean {
    return this.#options.proxy !== undefined
  }

  /** Of new servers: those that can be asked at once. The others' names wait for `#resolveNames`. */
  #sortOut(servers: readonly ConfiguredServer[]): ServerAddress[] {
    const usable = servers.filter((server) => refusalOf(server, this.#bases.relayOnly) === undefined)
    this.#refuseOthers(servers, usable)
    this.#names = usable.filter((server) => !this.#isAddressed(server))
    this.#pending += this.#names.length
    const addressed = usable.filter((server) => this.#isAddressed(server))
    return addressed.map((server) => serverAddress(server, server.uri.host, this.#hasProxy))
  }

  #resolveNames(): void {
    for (const server of this.#names) void this.#resolve(server)
    this.#names = []
  }

  async #resolve(server: ConfiguredServer): Promise<void> {
    const { signal } = (this.#abort ??= new AbortController())
    const isGone = () => !this.#servers.includes(server)
    const add = (ip: string) => !isGone() && this.#gather([], [serverAddress(server, ip, this.#hasProxy)])
    const failure = await resolveHost(server.uri.host, { signal, onaddress: add })
    if (signal.aborted) return
    if (failure !== undefined && !isGone())
      this.#fail(server.url, `The name ${server.uri.host} was not resolved: ${failure}`)
    this.#pending--
    this.#gather([], [])
  }

  /** Of those that the end of candidates waits for; networks that come later keep nobody waiting. */
  #settle(base?: LocalBase): void {
    if (this.#pending > 0) this.#pending--
    this.#gather(base ? [base] : [], [])
  }

  #gather(bases: readonly LocalBase[], servers: readonly ServerAddress[]): void {
    const now = clock()
    this.#reach.noteServers(servers)
    if (this.#agent.state !== 'closed') this.#agent.gather(now, bases, servers, this.#pending === 0)
    this.#driver.settle(now)
  }

  #refuseOthers(servers: readonly ConfiguredServer[], usable: readonly ConfiguredServer[]): void {
    const { relayOnly } = this.#bases
    for (const server of servers) {
      if (!usable.includes(server)) this.#fail(server.url, refusalOf(server, relayOnly) ?? '')
    }
    if (relayOnly && !this.#servers.some(({ uri }) => uri.scheme.startsWith('turn'))) {
      this.#fail('', 'gatherPolicy is relay and iceServers names no TURN server: there is nothing to gather from')
    }
  }

  /** W3C: 701 is for servers that were not reached. */
  #fail(url: string, errorText: string): void {
    this.#driver.raise({ type: 'candidateerror', url, address: null, port: null, errorCode: 701, errorText })
  }
}
