/** UPnP Internet Gateway Device 1 and 2: finding one, and what it offers. */
import { addressFamily, type Packet } from '@floe/stun'
import { type HttpRequest, type HttpResponse, type HttpTarget, hostHeader, parseTarget } from './http.ts'
import type { MappingClientOptions } from './mapping.ts'
import { isGateway } from './restart-watch.ts'
import { parseSearchResponse, SSDP_GROUP, SSDP_PORT, searchRequest } from './ssdp.ts'
import { childText, localName, parseElements, textOf } from './xml.ts'

export interface IgdService extends HttpTarget {
  readonly kind: 'WANIPConnection' | 'WANPPPConnection' | 'WANIPv6FirewallControl'
  readonly version: number
  /** For SOAPAction. */
  readonly urn: string
}

export type IgdSearchOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  | { readonly type: 'request'; readonly request: HttpRequest }
  /** The search has ended: best service first; none when there is no gateway device, or it offers nothing we need. */
  | { readonly type: 'services'; readonly services: readonly IgdService[] }

const TIMING = {
  /** When the search is sent, milliseconds from the start: datagrams get lost, and Wi-Fi is worst at multicast. */
  rounds: [0, 400, 1_000],
  /** Seconds within which a multicast search is answered, the least that there is. */
  mx: 1,
  /** The last answer is awaited until then, milliseconds from the start. */
  end: 2_300,
  /** A description is awaited for this long, milliseconds: it is static, and from the next hop. */
  description: 2_000,
} as const
/** Answers looked at, and descriptions fetched: a router has one or two root devices. */
const MAX_ANSWERS = 10
const MAX_DESCRIPTIONS = 4

/**
 * Looks for the gateway device behind one IP address: search by unicast and multicast, then fetch its description.
 * Only the gateway's answers count, and only the gateway is ever asked for a description, whatever host they name.
 */
export class IgdSearch {
  readonly #options: MappingClientOptions
  readonly #start: number
  readonly #outputs: IgdSearchOutput[] = []
  readonly #locations: HttpTarget[] = []
  #round = 0
  #answers = 0
  #fetched = 0
  #fetching: { readonly id: number; readonly deadline: number; readonly target: HttpTarget } | undefined
  #ended = false

  /** Searches at once. */
  constructor(now: number, options: MappingClientOptions) {
    this.#options = options
    this.#start = now
    this.handleTimeout(now)
  }

  handlePacket(now: number, { remote, bytes }: Packet): boolean {
    if (this.#ended || !isGateway(remote.ip, this.#options)) return false
    const location = parseSearchResponse(bytes)
    if (location === undefined) return false
    const target = parseTarget(location)
    if (target === undefined || ++this.#answers > MAX_ANSWERS) return true
    const known = this.#locations.some(({ port, path }) => port === target.port && path === target.path)
    if (!known && this.#locations.length < MAX_DESCRIPTIONS) this.#locations.push(target)
    this.#fetch(now)
    return true
  }

  /** `undefined`: none came. */
  handleResponse(now: number, id: number, response: HttpResponse | undefined): void {
    if (this.#fetching?.id !== id) return
    const { target } = this.#fetching
    this.#fetching = undefined
    const family = addressFamily(this.#options.internal.ip)
    const offered = response?.status === 200 ? parseDescription(response.body, target) : []
    const services = offered.filter(({ kind }) => (kind === 'WANIPv6FirewallControl') === (family === 6))
    if (services.length > 0) this.#end(services)
    else this.#fetch(now)
  }

  handleTimeout(now: number): void {
    if (this.#fetching && now >= this.#fetching.deadline) this.handleResponse(now, this.#fetching.id, undefined)
    if (this.#ended) return
    if (this.#round < TIMING.rounds.length && now >= this.#start + TIMING.rounds[this.#round]!) {
      this.#round++
      // An answer whose description is under way makes further searching pointless.
      if (this.#locations.length === 0) this.#search()
    }
    if (now >= this.#start + TIMING.end && this.#fetching === undefined) this.#end([])
  }

  timeout(): number {
    if (this.#ended) return Number.POSITIVE_INFINITY
    const next = this.#start + (TIMING.rounds[this.#round] ?? TIMING.end)
    if (this.#fetching === undefined) return next
    return this.#round < TIMING.rounds.length ? Math.min(next, this.#fetching.deadline) : this.#fetching.deadline
  }

  poll(): IgdSearchOutput | undefined {
    return this.#outputs.shift()
  }

  #search(): void {
    const { gateway, internal } = this.#options
    // A link-local group needs the interface, which the gateway's scope id names.
    const scope = gateway.includes('%') ? gateway.slice(gateway.indexOf('%')) : ''
    const group = SSDP_GROUP[addressFamily(internal.ip)!] + scope
    // Some routers answer unicast only, some multicast only; IGD:2 is to answer for IGD:1 as well, and not all do.
    this.#send('upnp:rootdevice', gateway)
    this.#send('urn:schemas-upnp-org:device:InternetGatewayDevice:1', group, TIMING.mx)
    this.#send('urn:schemas-upnp-org:device:InternetGatewayDevice:2', group, TIMING.mx)
  }

  #send(target: string, ip: string, mx?: number): void {
    const remote = { ip, port: SSDP_PORT }
    const bytes = searchRequest(target, remote, mx)
    this.#outputs.push({ type: 'packet', packet: { protocol: 'udp', local: this.#options.control, remote, bytes } })
  }

  #fetch(now: number): void {
    const target = this.#locations[this.#fetched]
    if (this.#ended || this.#fetching || target === undefined) return
    const { gateway: host } = this.#options
    const id = this.#fetched++
    this.#fetching = { id, deadline: now + TIMING.description, target }
    const headers = { Host: hostHeader(host, target.port), Connection: 'close' }
    const request = { id, method: 'GET', host, ...target, headers, body: '', timeout: TIMING.description } as const
    this.#outputs.push({ type: 'request', request })
  }

  #end(services: readonly IgdService[]): void {
    this.#ended = true
    this.#outputs.push({ type: 'services', services })
  }
}

/** The services of a device description that open ports, best first. None for what is no description. */
export function parseDescription(text: string, location: HttpTarget): IgdService[] {
  const elements = parseElements(text)
  const baseElement = elements.find((element) => localName(element) === 'URLBase')
  const base = (baseElement && parseTarget(textOf(baseElement))) ?? location
  const services = elements
    .filter((element) => localName(element) === 'service')
    .flatMap((element): IgdService[] => {
      const urn = childText(element, 'serviceType') ?? ''
      const match = SERVICE_TYPE.exec(urn)
      const target = parseTarget(childText(element, 'controlURL') ?? '', base)
      if (match === null || target === undefined) return []
      return [{ kind: match[1] as IgdService['kind'], version: Number(match[2]), urn, ...target }]
    })
  return services.sort((a, b) => rank(a) - rank(b)).slice(0, MAX_SERVICES)
}

const SERVICE_TYPE =
  /^urn:schemas-upnp-org:service:(WANIPConnection|WANPPPConnection|WANIPv6FirewallControl):([0-9]{1,2})$/
/** A router may describe a connection for each of its uplinks. */
const MAX_SERVICES = 4

/** Lower is better: WANIPConnection:2, then :1, then WANPPPConnection. */
function rank({ kind, version }: IgdService): number {
  return (kind === 'WANPPPConnection' ? 100 : 0) - version
}
