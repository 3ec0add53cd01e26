import { randomUUID } from 'node:crypto'
import type { IceAgent } from '../agent.ts'
import type { LocalBase, ServerAddress } from '../gatherer.ts'
import { clock, type Driver } from './driver.ts'
import { type ConfiguredServer, parseIceServers } from './ice-servers.ts'
import { hostAddresses } from './interfaces.ts'
import { MulticastDns } from './mdns.ts'
import { type ExternalAddresses, externalAddresses, type IceTransportOptions } from './options.ts'
import { resolveHost } from './resolve.ts'
import { checkPortRange, type PacketRoute, SocketSet, type UdpSocket } from './sockets.ts'

/** What a transport gathers from: its sockets and servers. */
export class LocalGathering {
  /** There from `begin()` on, unless nothing but relays may be used. */
  route: PacketRoute | undefined
  readonly #agent: IceAgent
  readonly #driver: Driver
  readonly #options: IceTransportOptions
  readonly #servers: readonly ConfiguredServer[]
  readonly #external: ExternalAddresses
  #abort: AbortController | undefined
  #begun = false
  #unresolved = 0
  #withdrawals: (() => void)[] | undefined

  /** Throws ERR_ICE_ARGUMENT. */
  constructor(agent: IceAgent, driver: Driver, options: IceTransportOptions) {
    this.#agent = agent
    this.#driver = driver
    this.#options = options
    this.#servers = parseIceServers(options.iceServers ?? [])
    this.#external = externalAddresses(options.externalAddresses)
    if (options.portRange) checkPortRange(options.portRange)
  }

  /** Throws ERR_ICE_FAILED when nothing could be bound; it may be called again then. */
  begin(): void {
    if (this.#begun) return
    const relayOnly = this.#options.gatherPolicy === 'relay'
    if (!relayOnly) this.route = this.#open()
    this.#begun = true
    const stun = relayOnly ? [] : this.#servers.filter(({ uri }) => uri.scheme === 'stun')
    const names = stun.filter(({ literal }) => !literal)
    this.#unresolved = names.length
    const bases = (this.route?.sockets ?? []).map((socket, rank) => this.#base(socket, rank))
    const now = clock()
    this.#refuseOthers(stun)
    const known = stun.filter(({ literal }) => literal).map((server) => serverAddress(server, server.uri.host))
    this.#agent.gather(now, bases, known, names.length === 0)
    this.#driver.settle(now)
    for (const server of names) void this.#resolve(server)
  }

  /** The agent gathers again by itself, over the same sockets. */
  restart(): void {
    if (this.#begun) this.#options.mux?.rename(this.#driver, this.#agent.usernameFragments)
  }

  async close(): Promise<void> {
    this.#abort?.abort()
    for (const withdraw of this.#withdrawals ?? []) withdraw()
    await this.route?.close()
  }

  #open(): PacketRoute {
    const { mux, interfaceFilter: filter, includeLoopback, portRange } = this.#options
    if (mux) return mux.join(this.#driver, this.#agent.usernameFragments)
    return new SocketSet(hostAddresses({ filter, includeLoopback }), this.#driver, portRange)
  }

  #base({ address, host }: UdpSocket, rank: number): LocalBase {
    const external = this.#external(host)
    const hostname = this.#options.mdns?.publish ? this.#publish(address.ip) : undefined
    return {
      address,
      interfaceName: host.name,
      rank,
      ...(hostname !== undefined && { hostname }),
      ...(external !== undefined && { mapped: [{ ip: external, port: address.port }] }),
    }
  }

  /** The name stands in for the address even where it cannot be published: the address was to be hidden. */
  #publish(ip: string): string {
    const hostname = `${randomUUID()}.local`
    const withdraw = MulticastDns.shared.publish(hostname, ip, (reason) => {
      this.#driver.log('mdns', `${hostname} is not published`, reason)
    })
    ;(this.#withdrawals ??= []).push(withdraw)
    return hostname
  }

  async #resolve(server: ConfiguredServer): Promise<void> {
    const { signal } = (this.#abort ??= new AbortController())
    const add = (ip: string) => this.#gatherMore([serverAddress(server, ip)], false)
    const failure = await resolveHost(server.uri.host, { signal, onaddress: add })
    if (signal.aborted) return
    if (failure !== undefined) this.#fail(server.url, `The name ${server.uri.host} was not resolved: ${failure}`)
    this.#unresolved--
    this.#gatherMore([], this.#unresolved === 0)
  }

  #gatherMore(servers: readonly ServerAddress[], complete: boolean): void {
    const now = clock()
    this.#agent.gather(now, [], servers, complete)
    this.#driver.settle(now)
  }

  #refuseOthers(usable: readonly ConfiguredServer[]): void {
    for (const server of this.#servers) if (!usable.includes(server)) this.#fail(server.url, refusalOf(server))
    if (this.#options.gatherPolicy === 'relay' && !this.#servers.some(({ uri }) => uri.scheme.startsWith('turn'))) {
      this.#fail('', 'gatherPolicy is relay and iceServers names no TURN server: there is nothing to gather from')
    }
  }

  /** W3C: 701 is for servers that were not reached. */
  #fail(url: string, errorText: string): void {
    this.#driver.raise({ type: 'candidateerror', url, address: null, port: null, errorCode: 701, errorText })
  }
}

function serverAddress({ url, uri }: ConfiguredServer, ip: string): ServerAddress {
  return { scheme: 'stun', address: { ip, port: uri.port }, url }
}

function refusalOf({ uri: { scheme } }: ConfiguredServer): string {
  if (scheme === 'stun') return 'Not asked: gatherPolicy is relay'
  return scheme === 'stuns'
    ? 'Not asked: STUN over TLS or DTLS is not supported, use stun:'
    : 'Not asked: this version of floe has no TURN client'
}
