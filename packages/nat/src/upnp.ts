import { type Address, canonicalIp, isIPv4, isIPv6, type Packet } from '@floe/stun'
import { MAPPING } from './defaults.ts'
import { type HttpResponse, hostHeader } from './http.ts'
import { IgdSearch, type IgdService } from './igd.ts'
import {
  type Action,
  addPinhole,
  addPortMapping,
  deletePinhole,
  deletePortMapping,
  getExternalIpAddress,
  getStatusInfo,
  shortValue,
  updatePinhole,
} from './igd-control.ts'
import { Lease } from './lease.ts'
import type { FailureCode, MappingClient, MappingClientOptions, MappingClientOutput } from './mapping.ts'
import { randomPort } from './random.ts'
import { addressScope, isUsableExternal } from './scope.ts'
import { parseSoapResponse, type SoapResult, soapRequest, UPNP_ERRORS } from './soap.ts'

export interface UpnpClientOptions extends MappingClientOptions {
  /** Services of this gateway that are known already, so that nobody has to search. */
  readonly services?: readonly IgdService[] | undefined
  /** Search and ask for the external address, but map only after `proceed()`: another protocol may be quicker. */
  readonly hold?: boolean | undefined
}

/**
 * One mapping by UPnP: an Internet Gateway Device 1 or 2 is searched, its description fetched, and its WANIPConnection
 * or WANPPPConnection told to map the port; for IPv6 its WANIPv6FirewallControl to open a pinhole.
 *
 * HTTP is the driver's work: each `request` is to be answered by `handleResponse`, with `undefined` when there was none.
 * One request is under way at a time, and only the gateway is ever asked.
 */
export class UpnpClient implements MappingClient {
  readonly #options: UpnpClientOptions
  readonly #outputs: MappingClientOutput[] = []
  #phase: 'searching' | 'holding' | 'working' | 'mapped' | 'ended' = 'searching'
  #search: IgdSearch | undefined
  #pending: Pending | undefined
  #requests = 0
  #hold: boolean
  #releasing = false
  #services: readonly IgdService[] = []
  /** The connection that leads outside, and its address as far as it is known. */
  #service: IgdService | undefined
  #externalIp: string | undefined
  /** A connection with a private external address, kept while one with a public address may still turn up. */
  #spare: { readonly service: IgdService; readonly ip: string } | undefined
  #wantedPort: number
  #permanent = false
  #noAny = false
  #attempts = 0
  #pinhole: number | undefined
  #external: Address | undefined
  #lease: Lease | undefined
  #expires = Number.POSITIVE_INFINITY
  #renewAt = Number.POSITIVE_INFINITY
  #askedAt: number
  /** The router has perhaps started anew: what it does not confirm since it may have forgotten. */
  #isDoubted = false

  constructor(now: number, options: UpnpClientOptions) {
    this.#options = options
    this.#hold = options.hold ?? false
    this.#wantedPort = options.suggested?.port || randomPort(options.random)
    this.#askedAt = now
    if (options.services?.length) this.#choose(now, options.services)
    else this.#startSearch(now)
  }

  /** What the gateway offers, once it is known: for the next client of the same gateway. */
  get services(): readonly IgdService[] {
    return this.#services
  }

  /** Ends the hold: map as soon as a service is known. */
  proceed(now: number): void {
    this.#hold = false
    if (this.#phase === 'holding') this.#add(now)
  }

  handlePacket(now: number, packet: Packet): boolean {
    const mine = this.#search?.handlePacket(now, packet) ?? false
    this.#settleSearch(now)
    return mine
  }

  /** The answer to the request with that id; `undefined`: there was none, or none within its bounds. */
  handleResponse(now: number, id: number, response: HttpResponse | undefined): void {
    if (this.#search) {
      this.#search.handleResponse(now, id, response)
      return this.#settleSearch(now)
    }
    if (this.#pending?.id !== id) return
    const { name, then } = this.#pending
    this.#pending = undefined
    then(now, response && parseSoapResponse(name, response.body))
  }

  handleTimeout(now: number): void {
    this.#search?.handleTimeout(now)
    this.#settleSearch(now)
    if (this.#pending && now >= this.#pending.deadline) this.handleResponse(now, this.#pending.id, undefined)
    if (this.#external && now >= this.#expires) this.#lose(now, 'the router did not renew it in time')
    else if (now >= this.#renewAt) this.#renew(now)
  }

  timeout(): number {
    const search = this.#search?.timeout() ?? Number.POSITIVE_INFINITY
    return Math.min(search, this.#pending?.deadline ?? Number.POSITIVE_INFINITY, this.#renewAt, this.#expires)
  }

  poll(): MappingClientOutput | undefined {
    return this.#outputs.shift()
  }

  remap(now: number): void {
    if (this.#phase !== 'mapped') return
    this.#isDoubted = true
    // What is said right after a question may be news all the same.
    this.#renewAt = Math.min(this.#renewAt, Math.max(now, this.#askedAt + MAPPING.recovery))
    if (now >= this.#renewAt) this.#renew(now)
  }

  release(now: number): void {
    if (this.#releasing || this.#phase === 'ended') return
    this.#releasing = true
    this.#renewAt = this.#expires = Number.POSITIVE_INFINITY
    this.#search = undefined
    // A request that may make a mapping is awaited: deleting before it is answered could leave it behind.
    if (this.#phase !== 'working') this.#delete(now)
  }

  #startSearch(now: number): void {
    this.#phase = 'searching'
    this.#search = new IgdSearch(now, this.#options)
    this.#settleSearch(now)
  }

  #settleSearch(now: number): void {
    for (let output = this.#search?.poll(); output; output = this.#search?.poll()) {
      if (output.type !== 'services') {
        this.#outputs.push(output)
        continue
      }
      this.#search = undefined
      if (output.services.length > 0) this.#choose(now, output.services)
      else this.#fail('unsupported', 'no UPnP gateway device answered', MAPPING.minError)
    }
  }

  #choose(now: number, services: readonly IgdService[]): void {
    this.#services = services
    this.#spare = undefined
    if (isIPv4(this.#options.internal.ip)) return this.#tryConnection(now, 0)
    this.#service = services[0]
    this.#ready(now)
  }

  /** The first connection that is up and has a public address, or else the first that is up. */
  #tryConnection(now: number, index: number): void {
    const service = this.#services[index]
    if (service === undefined) return this.#endChoice(now)
    this.#call(now, getStatusInfo(service), (later, status) => {
      const state = status?.values?.get('NewConnectionStatus')
      // A router that does not tell its state may still have an address.
      if (status === undefined || (state !== undefined && !/^(connected|up)$/i.test(state))) {
        return this.#tryConnection(later, index + 1)
      }
      this.#call(later, getExternalIpAddress(service), (last, result) => {
        const ip = externalIp(result)
        if (ip !== undefined) this.#spare ??= { service, ip }
        if (ip === undefined || addressScope(ip) !== 'global') return this.#tryConnection(last, index + 1)
        this.#spare = { service, ip }
        this.#endChoice(last)
      })
    })
  }

  #endChoice(now: number): void {
    if (this.#spare === undefined) {
      return this.#fail('refused', 'the UPnP gateway device has no connection with an address', MAPPING.minError)
    }
    this.#service = this.#spare.service
    this.#externalIp = this.#spare.ip
    this.#ready(now)
  }

  #ready(now: number): void {
    this.#attempts = 0
    if (this.#hold) this.#phase = 'holding'
    else this.#add(now)
  }

  #add(now: number): void {
    this.#phase = 'working'
    this.#renewAt = Number.POSITIVE_INFINITY
    const service = this.#service!
    const { internal } = this.#options
    if (isIPv6(internal.ip)) {
      return this.#call(now, addPinhole(service, internal, this.#leaseSeconds), (later, result) => {
        this.#pinhole = shortValue(result, 'UniqueID')
        if (this.#pinhole !== undefined) this.#grant(later, internal)
        else this.#refuse(later, result)
      })
    }
    const any = service.version >= 2 && !this.#noAny && this.#external === undefined
    const port = this.#wantedPort
    this.#call(now, addPortMapping(service, internal, port, this.#leaseSeconds, any), (later, result) => {
      if (result === undefined || result.error !== undefined) return this.#handleRefusal(later, result, any)
      this.#wantedPort = (any && shortValue(result, 'NewReservedPort')) || port
      this.#grant(later, { ip: this.#externalIp!, port: this.#wantedPort })
    })
  }

  /** Errors that another set of arguments avoids; each is met at most a few times. */
  #handleRefusal(now: number, result: SoapResult | undefined, any: boolean): void {
    const { internal, random } = this.#options
    const error = result?.error
    if (this.#releasing && !this.#external && result === undefined) {
      // Without an answer it may have been made all the same.
      this.#external = { ip: this.#externalIp!, port: this.#wantedPort }
    }
    if (error === undefined || this.#releasing || ++this.#attempts > MAX_ATTEMPTS) return this.#refuse(now, result)
    if (any && (error === 401 || error === 602 || error === 501)) this.#noAny = true
    else if (error === 718 || error === 729) this.#wantedPort = randomPort(random)
    else if ((error === 725 || error === 402) && !this.#permanent) this.#permanent = true
    else if (error === 724 && this.#wantedPort !== internal.port) this.#wantedPort = internal.port
    else return this.#refuse(now, result)
    this.#add(now)
  }

  #refuse(now: number, result: SoapResult | undefined): void {
    if (this.#releasing) return this.#delete(now)
    const error = result?.error
    if (error === undefined) {
      // It may have moved: a restarted router often has its control URL on another port.
      if (this.#external) return this.#searchAnew(now)
      return this.#fail('refused', 'the UPnP gateway device does not answer', MAPPING.minError)
    }
    // A lease that still runs is kept: the next renewal may find the router in a better mood.
    if (this.#external) return this.#keep(now)
    const final = error === 606 || error === 702 || error === 703
    const code = error === 401 || error === 602 ? 'unsupported' : 'refused'
    const words = UPNP_ERRORS[error] ?? 'no reason given'
    this.#fail(code, `the UPnP gateway device says ${error}: ${words}`, final ? MAPPING.refusal : MAPPING.minError)
  }

  #keep(now: number): void {
    this.#phase = 'mapped'
    this.#expires = this.#lease!.expires
    // One that has just started may have no connection yet.
    this.#renewAt = Math.min(this.#lease!.renewAt, this.#isDoubted ? now + MAPPING.minError : Number.POSITIVE_INFINITY)
  }

  #searchAnew(now: number): void {
    this.#expires = Math.min(this.#expires, now + SEARCH_PATIENCE)
    this.#startSearch(now)
  }

  #grant(now: number, external: Address): void {
    const known = this.#external
    const { lifetime, random } = this.#options
    this.#phase = 'mapped'
    this.#isDoubted = false
    this.#external = external
    this.#lease = new Lease(now, lifetime, random)
    // What is permanent is asked for again all the same: a router that restarts forgets it too.
    this.#expires = this.#permanent ? Number.POSITIVE_INFINITY : this.#lease.expires
    this.#renewAt = this.#lease.renewAt
    this.#attempts = 0
    if (this.#releasing) return this.#delete(now)
    const same = known?.ip === external.ip && known.port === external.port
    this.#outputs.push({ type: same ? 'renewed' : 'mapped', external, lifetime })
  }

  /** Repeats the request for the same external port, after a look at the external address, which may have changed. */
  #renew(now: number): void {
    if (this.#phase !== 'mapped') return
    this.#askedAt = now
    this.#lease!.advance()
    this.#renewAt = this.#lease!.renewAt
    if (this.#pending) return
    const service = this.#service!
    if (this.#pinhole !== undefined) {
      return this.#call(now, updatePinhole(service, this.#pinhole, this.#leaseSeconds), (later, result) => {
        if (result?.values) this.#grant(later, this.#options.internal)
        else if (result) this.#add(later)
        else this.#searchAnew(later)
      })
    }
    this.#call(now, getExternalIpAddress(service), (later, result) => {
      this.#externalIp = externalIp(result) ?? this.#externalIp
      if (result) this.#add(later)
      else this.#searchAnew(later)
    })
  }

  #lose(now: number, reason: string): void {
    this.#external = undefined
    this.#expires = this.#renewAt = Number.POSITIVE_INFINITY
    this.#outputs.push({ type: 'lost', reason })
    if (this.#phase !== 'mapped') return // It is being searched or asked for already.
    this.#pending = undefined
    this.#startSearch(now)
  }

  #delete(now: number): void {
    this.#phase = 'ended'
    this.#renewAt = this.#expires = Number.POSITIVE_INFINITY
    this.#pending = undefined
    if (this.#external === undefined) return void this.#outputs.push({ type: 'released' })
    const service = this.#service!
    const action =
      this.#pinhole === undefined
        ? deletePortMapping(service, this.#external.port)
        : deletePinhole(service, this.#pinhole)
    this.#external = undefined
    this.#call(now, action, () => this.#outputs.push({ type: 'released' }), RELEASE_PATIENCE)
  }

  #fail(code: FailureCode, reason: string, retryAfter: number): void {
    this.#phase = 'ended'
    this.#renewAt = this.#expires = Number.POSITIVE_INFINITY
    if (this.#releasing) return void this.#outputs.push({ type: 'released' })
    if (this.#external) this.#outputs.push({ type: 'lost', reason })
    this.#external = undefined
    this.#outputs.push({ type: 'failed', code, reason, retryAfter })
  }

  get #leaseSeconds(): number {
    return this.#permanent ? 0 : Math.ceil(this.#options.lifetime / 1000)
  }

  #call(now: number, action: Action, then: Pending['then'], timeout = ACTION_PATIENCE): void {
    const { service, name, values } = action
    const { gateway: host } = this.#options
    const { port, path } = service
    const { headers, body } = soapRequest(service.urn, name, values)
    // Not among the ids of a search's requests, a late answer to one of which must not pass for one to ours.
    const id = FIRST_ID + this.#requests++
    this.#pending = { id, name, deadline: now + timeout, then }
    const all = { Host: hostHeader(host, port), Connection: 'close', ...headers }
    const request = { id, method: 'POST', host, port, path, headers: all, body, timeout } as const
    this.#outputs.push({ type: 'request', request })
  }
}

interface Pending {
  readonly id: number
  readonly name: string
  readonly deadline: number
  readonly then: (now: number, result: SoapResult | undefined) => void
}

const FIRST_ID = 1_000
/** An action is awaited for this long, milliseconds: routers write it to flash memory and restart their firewall. */
const ACTION_PATIENCE = 5_000
/** The answer to a deletion is awaited for this long, milliseconds: somebody waits for the end. */
const RELEASE_PATIENCE = 1_000
/** A mapping at a router that no longer answers is kept this long, milliseconds, while the router is searched anew. */
const SEARCH_PATIENCE = 5_000
/** Times that one mapping is asked for with other arguments. */
const MAX_ATTEMPTS = 6

function externalIp(result: SoapResult | undefined): string | undefined {
  const ip = canonicalIp(result?.values?.get('NewExternalIPAddress') ?? '')
  return ip !== undefined && isIPv4(ip) && isUsableExternal(ip) ? ip : undefined
}
