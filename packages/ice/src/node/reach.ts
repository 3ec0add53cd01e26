import { type Address, isIPv6, type Packet } from '@floe/stun'
import type { LocalBase } from '../local-base.ts'
import type { ServerAddress } from '../servers.ts'
import type { Driver } from './driver.ts'
import type { InterfaceAddress } from './interfaces.ts'
import { isGlobal, isIpv6Only, Nat64Edge } from './nat64.ts'
import type { IceTransportOptions } from './options.ts'
import { PortMappings } from './port-mappings.ts'
import type { SocketOwner, UdpSocket } from './sockets.ts'

/** The transport whose reach it is. */
export interface ReachOwner {
  /** This machine's addresses that something is sent from. */
  readonly hosts: () => readonly InterfaceAddress[]
  /** What is sent from there over UDP, and to TURN servers. */
  readonly basesAt: (host: InterfaceAddress) => readonly LocalBase[]
  /** As it is without what is told here. */
  readonly baseOf: (socket: UdpSocket) => LocalBase
  readonly send: (packet: Packet) => void
  /** These bases have changed. */
  readonly onbases: (bases: readonly LocalBase[]) => void
  /** One of those that the end of candidates waits for is through. */
  readonly onsettled: () => void
}

/** How far sockets reach beyond their own addresses: what the router maps to them, and IPv4 by way of a NAT64. */
export class Reach {
  /** Takes the sockets' packets, on their way to the driver. */
  readonly receiver: SocketOwner
  readonly #options: IceTransportOptions
  readonly #driver: Driver
  readonly #owner: ReachOwner
  readonly #mappings: PortMappings | undefined
  readonly #edge: Nat64Edge | undefined
  /** Ends the search for a NAT64; on a host with IPv4 there is none. */
  #abort: AbortController | undefined
  /** Servers that answer STUN over UDP. */
  readonly #servers: Address[] = []
  #isTranslated = false
  #isSearching = false

  constructor(options: IceTransportOptions, driver: Driver, owner: ReachOwner) {
    const { portMapper, nat64, mux, lite } = options
    this.#options = options
    this.#driver = driver
    this.#owner = owner
    if (portMapper && !mux && !lite) this.#mappings = this.#newMappings(portMapper)
    const receiver = this.#mappings ? this.#withProbes(this.#mappings) : driver
    if (nat64 && !mux) this.#edge = new Nat64Edge(receiver)
    this.receiver = this.#edge ?? receiver
  }

  /** Sockets have been opened: all, or those of networks that have just come. How many times `onsettled` will follow. */
  open(sockets: readonly UdpSocket[]): number {
    const mapped = PortMappings.eligible(sockets)
    if (this.#mappings) for (const socket of mapped) this.#mappings.add(socket)
    const isSearching = this.#seekNat64()
    return (this.#mappings ? mapped.length : 0) + (isSearching ? 1 : 0)
  }

  /** They are gone, and their mappings can go as well. */
  close(sockets?: readonly UdpSocket[]): void {
    if (sockets) for (const socket of sockets) this.#mappings?.remove(socket)
    else {
      this.#abort?.abort()
      this.#mappings?.close()
    }
  }

  noteServers(servers: readonly ServerAddress[]): void {
    for (const server of servers)
      if (server.scheme === 'stun' || server.protocol === 'udp') this.#servers.push(server.address)
  }

  /** Where a packet goes on the wire. */
  outward(remote: Address, local: Address): Address {
    return this.#isTranslated && this.#edge && isIPv6(local.ip) ? this.#edge.outward(remote) : remote
  }

  #newMappings(mapper: NonNullable<IceTransportOptions['portMapper']>): PortMappings {
    return new PortMappings(mapper, {
      servers: () => this.#servers,
      send: (packet) => this.#owner.send(packet),
      onmapping: (socket, external) => this.#remap(socket, external),
      onsettled: () => this.#owner.onsettled(),
      log: (event, detail, reason) => this.#driver.log(event, detail, reason),
    })
  }

  /** Packets that are not the agent's may be answers to the port mapper's. */
  #withProbes(mappings: PortMappings): SocketOwner {
    const driver = this.#driver
    return {
      handlePacket: (packet) => driver.handlePacket(packet) || mappings.handlePacket(packet),
      handleSocketError: (local, error) => driver.handleSocketError(local, error),
      handleSocketDeath: () => driver.handleSocketDeath(),
    }
  }

  #remap(socket: UdpSocket, external: Address | undefined): void {
    const { mapped = [], ...base } = this.#owner.baseOf(socket)
    this.#owner.onbases([{ ...base, mapped: external ? [external, ...mapped] : mapped }])
  }

  /** On a host without IPv4; anew whenever its networks have changed. `false`: nothing to look for. */
  #seekNat64(): boolean {
    const { nat64 } = this.#options
    if (!nat64 || !this.#edge || this.#isSearching || !isIpv6Only(this.#owner.hosts())) return false
    // From now on it is known which addresses the agent itself names.
    this.#isTranslated = this.#isSearching = true
    this.#abort ??= new AbortController()
    void this.#findNat64(this.#edge, nat64, this.#abort.signal)
    return true
  }

  /** What waits for IPv4 goes on when the translator is known. */
  async #findNat64(
    edge: Nat64Edge,
    nat64: NonNullable<IceTransportOptions['nat64']>,
    signal: AbortSignal,
  ): Promise<void> {
    const translator = await nat64({ signal }).catch(() => undefined)
    this.#isSearching = false
    if (signal.aborted) return
    edge.use(translator)
    const detail = translator?.toIpv6('192.0.0.170')
    this.#driver.log('nat64', detail ?? '', detail ? 'IPv4 is reached through it' : 'no IPv4, and no NAT64 either')
    const hosts = translator ? this.#owner.hosts().filter(isGlobal) : []
    const bases = hosts.flatMap((host) => this.#owner.basesAt(host))
    this.#owner.onbases(bases.map((base) => ({ ...base, translated: true })))
    this.#owner.onsettled()
  }
}
