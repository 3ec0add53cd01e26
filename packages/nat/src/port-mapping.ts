import { type Address, isIPv6, type Packet } from '@floe/stun'
import { ANNOUNCEMENT_PORT, MAPPING, RACE, SERVER_PORT } from './defaults.ts'
import { GatewayMemory } from './gateway-memory.ts'
import type { HttpRequest, HttpResponse } from './http.ts'
import type { MappingClient, MappingClientOptions, MappingClientOutput, MappingProtocol } from './mapping.ts'
import { decodeNatPmpResponse, NatPmpClient } from './nat-pmp.ts'
import { PcpClient } from './pcp.ts'
import { ANNOUNCE, decodePcpResponse, NONCE_LENGTH } from './pcp-message.ts'
import { type Random, randomPort } from './random.ts'
import { RestartWatch } from './restart-watch.ts'
import { UpnpClient } from './upnp.ts'

export interface PortMappingOptions {
  /** What to map: a UDP socket of this host, bound to this very address. */
  readonly internal: Address
  /** The socket that requests leave from: another port on the same IP address. Shared by the mappings of that address. */
  readonly control: Address
  /** IP address of the router, canonical, with a scope id when it is link-local. */
  readonly gateway: string
  readonly random: Random
  /** Lifetime to ask for, in milliseconds; two hours unless told. */
  readonly lifetime?: number | undefined
  /** Which protocols to try; all unless told. IPv6 knows no NAT-PMP. */
  readonly protocols?: readonly MappingProtocol[] | undefined
  /** What earlier mappings have learnt of the gateway. */
  readonly memory?: GatewayMemory | undefined
}

/** A mapping as it is now. */
export interface ActiveMapping {
  readonly protocol: MappingProtocol
  readonly external: Address
  /** As granted, in milliseconds. */
  readonly lifetime: number
}

export type PortMappingOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  /** To be answered with `handleResponse`. */
  | { readonly type: 'request'; readonly request: HttpRequest }
  /** There is a mapping, or it has another external address or protocol now. */
  | { readonly type: 'mapped'; readonly mapping: ActiveMapping }
  /** It was prolonged, or made anew, as it was: a good time to see whether it still forwards. */
  | { readonly type: 'renewed'; readonly mapping: ActiveMapping }
  /** There is none any more. It is being asked for again. */
  | { readonly type: 'lost'; readonly reason: string }
  /** None for now, after the time that somebody may wait for one. It is still being asked for, at growing intervals. */
  | { readonly type: 'unavailable'; readonly reason: string }
  /** The end, after `release()`. */
  | { readonly type: 'released' }

/**
 * One port mapping for one internal address and port, by whichever protocol is first: PCP at once, NAT-PMP when the
 * router says that it speaks nothing else, UPnP beside them, because searching takes longest. Renews it, makes it anew
 * when the router forgets, and does not trust it: tell it with `verified` and `notForwarding` what comes through.
 *
 * Give it every packet that reaches `control` or the announcement port, and answer its HTTP requests. While it
 * `listensToSsdp`, it wants what is sent to SSDP's group, too, with the local port 1900.
 */
export class PortMapping {
  readonly #options: PortMappingOptions
  readonly #protocols: readonly MappingProtocol[]
  readonly #memory: GatewayMemory
  readonly #outputs: PortMappingOutput[] = []
  readonly #clients = new Map<MappingProtocol, MappingClient>()
  /** Clients that give something back; with what to begin when they have. */
  readonly #ending = new Map<MappingClient, (now: number) => void>()
  readonly #requests = new Map<number, { readonly client: MappingClient; readonly id: number }>()
  readonly #retryAt = new Map<MappingProtocol, number>()
  readonly #failures = new Map<MappingProtocol, { readonly count: number; readonly reason: string }>()
  /** One for all PCP requests: what a lost deletion leaves behind can be changed with it only (RFC 6887 §11.1). */
  readonly #nonce: Uint8Array
  #requestCount = 0
  #active: ActiveMapping | undefined
  #suggested: Address | undefined
  /** How often in a row the mapping did not forward. */
  #strikes = 0
  /** Protocols whose mappings did not, and until when they rest; whatever another one brings meanwhile. */
  readonly #resting = new Map<MappingProtocol, number>()
  /** Deadlines of the race: when who enters it, when UPnP may map, and when nobody waits any longer. */
  readonly #startAt = new Map<MappingProtocol, number>()
  #holdUntil = Number.POSITIVE_INFINITY
  #unavailableAt = Number.POSITIVE_INFINITY
  #revivedAt = Number.NEGATIVE_INFINITY
  /** Of a router that speaks UPnP. */
  readonly #restarts: RestartWatch | undefined
  #closing = false

  /** Asks at once. */
  constructor(now: number, options: PortMappingOptions) {
    this.#options = options
    this.#memory = options.memory ?? new GatewayMemory()
    this.#nonce = options.random(NONCE_LENGTH)
    const { protocols = PROTOCOLS, internal } = options
    const possible = PROTOCOLS.filter((protocol) => protocol !== 'nat-pmp' || !isIPv6(internal.ip))
    this.#protocols = possible.filter((protocol) => protocols.includes(protocol))
    if (this.#protocols.includes('upnp')) this.#restarts = new RestartWatch(options, this.#memory.devices)
    this.#race(now)
    this.#settle(now)
  }

  /** Whether nobody but UPnP can tell that the router has started: it made the mapping, or there is none. */
  get listensToSsdp(): boolean {
    if (this.#restarts === undefined || this.#closing) return false
    return this.#active ? this.#active.protocol === 'upnp' : this.#unavailableAt === Number.POSITIVE_INFINITY
  }

  /** The mapping as it is, or `undefined` when there is none. */
  get mapping(): ActiveMapping | undefined {
    return this.#active
  }

  /** A packet from outside came in through the mapping. */
  verified(): void {
    this.#strikes = 0
  }

  /**
   * The router lists the mapping, but nothing comes through: it is deleted and made anew; the second time in a row with
   * another external port; the third time by another protocol.
   */
  notForwarding(now: number): void {
    const { protocol, external } = this.#active ?? {}
    if (protocol === undefined || this.#closing) return
    this.#strikes++
    this.#lose('the router does not forward it')
    if (this.#strikes >= 3) this.#strikes = 0
    const banned = this.#strikes === 0
    const port = this.#strikes === 1 ? external!.port : randomPort(this.#options.random)
    this.#suggested = { ip: external!.ip, port }
    if (banned) {
      this.#resting.set(protocol, now + MAPPING.refusal)
      this.#setAside(now, protocol, 'its mappings do not forward', MAPPING.refusal)
    }
    // The old one has to be gone before the same is asked for, or the router just says yes again.
    this.#end(now, protocol, (later) => !this.#active && this.#race(later))
    this.#settle(now)
  }

  /** Gives the mapping back and ends; `released` follows within a few seconds at most. */
  release(now: number): void {
    if (this.#closing) return
    this.#closing = true
    this.#active = undefined
    this.#stopRace()
    for (const protocol of [...this.#clients.keys()]) this.#end(now, protocol)
    if (this.#ending.size === 0) this.#outputs.push({ type: 'released' })
    this.#settle(now)
  }

  handlePacket(now: number, packet: Packet): boolean {
    let mine = false
    for (const client of this.#everyClient()) mine = client.handlePacket(now, packet) || mine
    const { local, remote } = packet
    const fromGateway = local.port === ANNOUNCEMENT_PORT && remote.ip === this.#options.gateway
    const announced = fromGateway ? announcedProtocol(packet) : undefined
    if (announced) this.#handleAnnouncement(now, announced)
    this.#restarts?.handlePacket(now, packet)
    this.#hearRestart(now)
    this.#settle(now)
    return mine
  }

  /** The answer to the request with that id; `undefined`: there was none, or none within its bounds. */
  handleResponse(now: number, id: number, response: HttpResponse | undefined): void {
    const request = this.#requests.get(id)
    this.#requests.delete(id)
    if (request?.client instanceof UpnpClient) request.client.handleResponse(now, request.id, response)
    this.#settle(now)
  }

  handleTimeout(now: number): void {
    for (const client of this.#everyClient()) client.handleTimeout(now)
    this.#settle(now)
    if (now >= this.#holdUntil) this.#proceed(now)
    for (const [protocol, at] of [...this.#startAt, ...this.#retryAt]) if (now >= at) this.#start(now, protocol)
    if (now >= this.#unavailableAt) this.#giveUp()
    this.#hearRestart(now)
    this.#settle(now)
  }

  timeout(): number {
    const clients = [...this.#everyClient()].map((client) => client.timeout())
    const starts = [...this.#startAt.values(), ...this.#retryAt.values()]
    const restart = this.#closing ? undefined : this.#restarts?.timeout()
    return Math.min(this.#holdUntil, this.#unavailableAt, restart ?? Number.POSITIVE_INFINITY, ...starts, ...clients)
  }

  poll(): PortMappingOutput | undefined {
    return this.#outputs.shift()
  }

  #race(now: number): void {
    const known = this.#memory.protocol(now)
    this.#unavailableAt = now + RACE.patience
    this.#holdUntil = known === 'upnp' ? now : now + RACE.hold
    for (const [protocol, until] of this.#resting) if (now < until) this.#retryAt.set(protocol, until)
    const tryable = this.#protocols.filter((protocol) => !this.#retryAt.has(protocol))
    for (const protocol of tryable) {
      const isFirst = protocol === tryable[0]
      // Where another protocol is known to work, multicast may wait for it to fail.
      if (protocol === 'upnp' && !isFirst && known !== undefined && known !== 'upnp') continue
      if (isFirst || protocol === known) this.#start(now, protocol)
      else this.#startAt.set(protocol, now + RACE.start[protocol])
    }
    this.#check(now)
  }

  #stopRace(): void {
    this.#holdUntil = this.#unavailableAt = Number.POSITIVE_INFINITY
    this.#startAt.clear()
    this.#retryAt.clear()
  }

  #start(now: number, protocol: MappingProtocol): void {
    this.#retryAt.delete(protocol)
    this.#startAt.delete(protocol)
    if (this.#clients.has(protocol) || !this.#protocols.includes(protocol)) return
    const { lifetime = MAPPING.lifetime, ...rest } = this.#options
    const options: MappingClientOptions = { ...rest, lifetime, suggested: this.#suggested }
    this.#clients.set(protocol, this.#make(now, protocol, options))
  }

  #make(now: number, protocol: MappingProtocol, options: MappingClientOptions): MappingClient {
    if (protocol === 'pcp') return new PcpClient(now, { ...options, nonce: this.#nonce })
    if (protocol === 'nat-pmp') return new NatPmpClient(now, options)
    const hold = this.#holdUntil < Number.POSITIVE_INFINITY && now < this.#holdUntil
    return new UpnpClient(now, { ...options, services: this.#memory.services(now), hold })
  }

  /** Nobody quicker has a mapping: UPnP may make one. */
  #proceed(now: number): void {
    this.#holdUntil = Number.POSITIVE_INFINITY
    if (!this.#retryAt.has('upnp')) this.#start(now, 'upnp')
    const upnp = this.#clients.get('upnp')
    if (upnp instanceof UpnpClient) upnp.proceed(now)
  }

  /** Takes what the clients have put out, until they have nothing more to say. */
  #settle(now: number): void {
    for (const [protocol, client] of this.#clients) {
      const isCurrent = () => this.#clients.get(protocol) === client
      for (let output = client.poll(); output; output = isCurrent() ? client.poll() : undefined) {
        this.#handle(now, protocol, client, output)
      }
    }
    for (const [client, then] of this.#ending) {
      for (let output = client.poll(); output; output = client.poll()) {
        if (output.type === 'packet' || output.type === 'request') this.#forward(client, output)
        else if (output.type === 'released' || output.type === 'failed') this.#handleEnd(now, client, then)
      }
    }
  }

  #handle(now: number, protocol: MappingProtocol, client: MappingClient, output: MappingClientOutput): void {
    if (output.type === 'packet' || output.type === 'request') this.#forward(client, output)
    else if (output.type === 'mapped' || output.type === 'renewed') this.#handleMapped(now, protocol, output)
    else if (output.type === 'failed') {
      this.#clients.delete(protocol)
      this.#forgetRequests(client)
      if (protocol === 'upnp') this.#memory.forgetServices()
      this.#setAside(now, protocol, output.reason, output.retryAfter)
      if (output.code === 'nat-pmp-only' && !this.#retryAt.has('nat-pmp')) this.#start(now, 'nat-pmp')
      this.#check(now)
      this.#settle(now)
    } else if (output.type === 'lost' && this.#active?.protocol === protocol) {
      this.#lose(output.reason)
      this.#race(now)
      this.#settle(now)
    }
  }

  #handleMapped(
    now: number,
    protocol: MappingProtocol,
    { type, external, lifetime }: Extract<MappingClientOutput, { type: 'mapped' | 'renewed' }>,
  ): void {
    const client = this.#clients.get(protocol)
    this.#active = { protocol, external, lifetime }
    this.#suggested = external
    this.#memory.learn(now, protocol, client instanceof UpnpClient ? client.services : undefined)
    this.#stopRace()
    this.#failures.clear()
    for (const other of [...this.#clients.keys()]) if (other !== protocol) this.#end(now, other)
    this.#outputs.push({ type, mapping: this.#active })
  }

  #lose(reason: string): void {
    this.#active = undefined
    this.#outputs.push({ type: 'lost', reason })
  }

  #setAside(now: number, protocol: MappingProtocol, reason: string, retryAfter: number): void {
    const count = (this.#failures.get(protocol)?.count ?? 0) + 1
    this.#failures.set(protocol, { count, reason })
    this.#retryAt.set(protocol, now + Math.max(retryAfter, Math.min(retryAfter * 2 ** (count - 1), MAPPING.maxRto)))
  }

  /** After a failure: UPnP need not be held back when nobody else is running; when nobody runs at all, it is over for now. */
  #check(now: number): void {
    const others = this.#clients.has('pcp') || this.#clients.has('nat-pmp') || this.#startAt.has('nat-pmp')
    if (!others && this.#holdUntil < Number.POSITIVE_INFINITY) this.#proceed(now)
    if (!others && this.#clients.size === 0 && this.#unavailableAt < Number.POSITIVE_INFINITY) this.#giveUp()
  }

  #giveUp(): void {
    this.#unavailableAt = Number.POSITIVE_INFINITY
    const reasons = this.#protocols.map((protocol) => {
      const silent = this.#clients.has(protocol) ? 'no answer so far' : 'not tried'
      return `${protocol}: ${this.#failures.get(protocol)?.reason ?? silent}`
    })
    this.#outputs.push({ type: 'unavailable', reason: reasons.join('; ') })
  }

  #end(now: number, protocol: MappingProtocol, then: (now: number) => void = () => {}): void {
    const client = this.#clients.get(protocol)!
    this.#clients.delete(protocol)
    this.#ending.set(client, then)
    client.release(now)
  }

  #handleEnd(now: number, client: MappingClient, then: (now: number) => void): void {
    this.#ending.delete(client)
    this.#forgetRequests(client)
    if (!this.#closing) then(now)
    else if (this.#ending.size === 0) this.#outputs.push({ type: 'released' })
    this.#settle(now)
  }

  #forward(client: MappingClient, output: Extract<MappingClientOutput, { type: 'packet' | 'request' }>): void {
    if (output.type === 'packet') return void this.#outputs.push(output)
    const id = this.#requestCount++
    this.#requests.set(id, { client, id: output.request.id })
    this.#outputs.push({ type: 'request', request: { ...output.request, id } })
  }

  #forgetRequests(client: MappingClient): void {
    for (const [id, request] of this.#requests) if (request.client === client) this.#requests.delete(id)
  }

  /**
   * A router has started. Clients of PCP and NAT-PMP judge the announcements of their own protocol by its epoch; all
   * others tell them to ask in any case. Whoever was refused may be welcome now.
   */
  #handleAnnouncement(now: number, announced: MappingProtocol): void {
    if (this.#closing) return
    if (this.#active) {
      if (this.#active.protocol !== announced || announced === 'upnp')
        this.#clients.get(this.#active.protocol)?.remap(now)
      return
    }
    if (now < this.#revivedAt + RACE.revival || this.#retryAt.size === 0) return
    this.#revivedAt = now
    this.#retryAt.clear()
    this.#race(now)
  }

  #hearRestart(now: number): void {
    if (this.#restarts?.takeDue(now) && this.listensToSsdp) this.#handleAnnouncement(now, 'upnp')
  }

  *#everyClient(): Iterable<MappingClient> {
    yield* [...this.#clients.values(), ...this.#ending.keys()]
  }
}

/** In the order of preference, whatever the caller's. */
const PROTOCOLS: readonly MappingProtocol[] = ['pcp', 'nat-pmp', 'upnp']

/** Whether it is what routers send to all when they start, RFC 6887 §14.1.1 and RFC 6886 §3.2.1. */
function announcedProtocol({ remote, bytes }: Packet): 'pcp' | 'nat-pmp' | undefined {
  if (remote.port !== SERVER_PORT) return undefined
  const pcp = decodePcpResponse(bytes)
  if (pcp) return pcp.opcode === ANNOUNCE && pcp.result === 0 ? 'pcp' : undefined
  return decodeNatPmpResponse(bytes)?.externalIp === undefined ? undefined : 'nat-pmp'
}
