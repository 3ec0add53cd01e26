import { type Address, addressFamily, canonicalIp, formatAddress } from '@floe/stun'
import { NatError } from '../error.ts'
import type { MappingProtocol } from '../mapping.ts'
import { PortMapping } from '../port-mapping.ts'
import { addressScope } from '../scope.ts'
import { clock } from './clock.ts'
import { defaultGateway } from './gateway.ts'
import { type MappingEvent, MappingLink } from './mapping-link.ts'
import { type MappingProbe, MappingWatch } from './mapping-watch.ts'
import { random } from './random.ts'

export interface PortMapperOptions {
  /**
   * IP address of the router, for systems where it cannot be found (anything but Linux) or is another than the default
   * gateway; a link-local one with its scope id. It serves local addresses of its family.
   */
  readonly gateway?: string
  /** Which protocols to try. Default: all. */
  readonly protocols?: readonly MappingProtocol[]
  /** Lifetime to ask for, in milliseconds; two hours unless told. Renewed as long as it is wanted. */
  readonly lifetime?: number
  /** How often it is looked whether mappings forward, where `map()` was given a `probe`, in milliseconds. Default: 5 min. */
  readonly checkInterval?: number
  /** Aborting closes the mapper. */
  readonly signal?: AbortSignal
}

export interface MapOptions {
  /** Aborting gives the mapping back, and ends the search for one: a call under way resolves to `undefined`. */
  readonly signal?: AbortSignal | undefined
  /**
   * Called with `undefined` when `map()` resolves to that, and for all that happens afterwards: a mapping that is new,
   * has moved, or was made anew; `undefined` when there is none any more. `reason` says why, in words.
   */
  readonly onchange?: ((mapping: Mapping | undefined, reason: string) => void) | undefined
  /** Called when the router has prolonged the mapping as it is: a good time to see whether it still forwards. */
  readonly onrenew?: ((mapping: Mapping) => void) | undefined
  /** Called with what does not work here although the mapping does, in words for a log. */
  readonly onwarning?: ((reason: string) => void) | undefined
  /**
   * Where the mapping is to be verified by itself: now, when it is renewed, and at intervals. One that is found dead is
   * made anew, as by `notForwarding()`. Takes a STUN server of RFC 5780.
   */
  readonly probe?: MappingProbe | undefined
}

/** A mapping at a router, as of now: when it changes, `onchange` brings another object. */
export interface Mapping {
  readonly internal: Address
  /** Where the router takes packets for `internal`. Of IPv6, mostly `internal` itself: its firewall is open there. */
  readonly external: Address
  readonly protocol: MappingProtocol
  /** As granted, in milliseconds. */
  readonly lifetime: number
  /** Tell it that a packet has come in through the mapping. */
  verified(): void
  /**
   * Tell it that nothing comes through, although something should: the mapping is deleted and made anew, the second
   * time in a row with another port, the third time by another protocol. `onchange` has the outcome.
   */
  notForwarding(): void
  /** Gives it back. Resolves when the router has confirmed it, or has had its time to. */
  release(): Promise<void>
}

/**
 * Maps UDP ports of this host at its router, by PCP, NAT-PMP or UPnP, and keeps them mapped: renewed in time, made anew
 * when the router restarts or does not forward, given back in the end. Keeps the process alive, as a socket does, while
 * it has mappings.
 */
export class PortMapper implements AsyncDisposable {
  readonly #options: PortMapperOptions
  /** By local IP address. */
  readonly #links = new Map<string, MappingLink>()
  readonly #ports = new Set<MappedPort>()
  #closed: Promise<void> | undefined
  readonly #onabort = () => void this.close()

  /** Throws ERR_NAT_ARGUMENT. */
  constructor(options: PortMapperOptions = {}) {
    const { gateway, lifetime, protocols, signal } = options
    const ip = gateway === undefined ? undefined : canonicalIp(gateway)
    if (gateway !== undefined && ip === undefined) {
      throw new NatError('ERR_NAT_ARGUMENT', `gateway must be an IP address, not ${gateway}`)
    }
    if (lifetime !== undefined && !(lifetime >= 1_000)) {
      throw new NatError('ERR_NAT_ARGUMENT', `lifetime must be at least 1000 ms, not ${lifetime}`)
    }
    if (protocols?.length === 0) throw new NatError('ERR_NAT_ARGUMENT', 'protocols must name one at least')
    this.#options = ip === undefined ? options : { ...options, gateway: ip }
    if (signal?.aborted) void this.close()
    else signal?.addEventListener('abort', this.#onabort, { once: true })
  }

  /**
   * Maps a bound UDP socket's address. Resolves to the mapping, or to `undefined` when there is no router to ask, it
   * cannot, or nothing came of it within two seconds; then the search goes on, and `onchange` hears of its success.
   *
   * Without a gateway there is no search: call again when the network has changed. Throws ERR_NAT_ARGUMENT for what is
   * no address of one interface, ERR_NAT_CLOSED.
   */
  async map(local: Address, options: MapOptions = {}): Promise<Mapping | undefined> {
    if (this.#closed) throw new NatError('ERR_NAT_CLOSED', 'The port mapper is closed: make a new one')
    const internal = checkLocal(local)
    if (options.signal?.aborted) return undefined
    const link = this.#link(internal.ip)
    if (typeof link === 'string') {
      options.onchange?.(undefined, link)
      return undefined
    }
    const port = new MappedPort(internal, link, options, this.#options, () => this.#forget(port, internal.ip))
    this.#ports.add(port)
    return port.first
  }

  /** Gives every mapping back and closes. Idempotent; resolves after two seconds at most. */
  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Or why there is none, in words. */
  #link(ip: string): MappingLink | string {
    const known = this.#links.get(ip)
    if (known) return known
    const { gateway: given } = this.#options
    const gateway = given !== undefined && addressFamily(given) === addressFamily(ip) ? given : defaultGateway(ip)
    const obstacle = findObstacle(ip, gateway)
    if (obstacle !== undefined || gateway === undefined) return obstacle ?? 'no gateway'
    try {
      const link = new MappingLink(ip, gateway)
      this.#links.set(ip, link)
      return link
    } catch (error) {
      return `${ip} cannot be used: ${(error as Error).message}`
    }
  }

  #forget(port: MappedPort, ip: string): void {
    this.#ports.delete(port)
    const link = this.#links.get(ip)
    if (link?.size !== 0) return
    this.#links.delete(ip)
    link.close()
  }

  async #release(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onabort)
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, RELEASE_PATIENCE)
    })
    await Promise.race([Promise.all([...this.#ports].map((port) => port.release())), patience])
    clearTimeout(timer)
    for (const port of this.#ports) port.abandon()
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }
}

/** Longest time that closing takes, milliseconds. */
const RELEASE_PATIENCE = 2_000

/** Of the checks whether a mapping forwards, milliseconds: a handful of packets each. Dead ones were dead for weeks. */
const CHECK_INTERVAL = 300_000

/** One call of `map()` and what becomes of it. */
class MappedPort {
  /** What `map()` resolves to. */
  readonly first: Promise<Mapping | undefined>
  readonly #internal: Address
  readonly #link: MappingLink
  readonly #options: MapOptions
  readonly #machine: PortMapping
  readonly #onend: () => void
  readonly #released: Promise<void>
  #resolveFirst: ((mapping: Mapping | undefined) => void) | undefined
  #resolveReleased: () => void = () => {}
  #current: Mapping | undefined
  readonly #watch: MappingWatch | undefined

  constructor(
    internal: Address,
    link: MappingLink,
    options: MapOptions,
    { protocols, lifetime, checkInterval = CHECK_INTERVAL }: PortMapperOptions,
    onend: () => void,
  ) {
    this.#internal = internal
    this.#link = link
    this.#options = options
    this.#onend = onend
    this.first = new Promise((resolve) => {
      this.#resolveFirst = resolve
    })
    this.#released = new Promise((resolve) => {
      this.#resolveReleased = resolve
    })
    const { control, gateway, memory } = link
    this.#machine = new PortMapping(clock(), { internal, control, gateway, memory, random, protocols, lifetime })
    const { probe } = options
    this.#watch = probe && new MappingWatch(probe, internal, checkInterval, (forwards) => this.#judge(forwards))
    options.signal?.addEventListener('abort', this.#onabort, { once: true })
    link.add(this.#machine, (event) => this.#handle(event))
  }

  /** Ends the wait for whoever waits: the router has had its time. */
  abandon(): void {
    this.#resolveFirst?.(undefined)
    this.#resolveReleased()
  }

  release(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onabort)
    this.#current = undefined
    this.#watch?.stop()
    this.#machine.release(clock())
    this.#link.settle()
    return this.#released
  }

  readonly #onabort = () => void this.release()

  #handle(event: MappingEvent): void {
    switch (event.type) {
      case 'mapped':
        this.#current = this.#handleOf(event)
        this.#watch?.look(event.mapping.external)
        return this.#tell(this.#current, `mapped by ${event.mapping.protocol}`)
      case 'renewed':
        if (!this.#current) return
        this.#watch?.look(this.#current.external)
        return this.#options.onrenew?.(this.#current)
      case 'lost':
        this.#current = undefined
        this.#watch?.look(undefined)
        return this.#tell(undefined, event.reason)
      case 'unavailable':
        if (this.#resolveFirst) this.#tell(undefined, event.reason)
        return
      case 'warning':
        return this.#options.onwarning?.(event.reason)
      case 'released':
        this.#onend()
        this.abandon()
    }
  }

  #judge(forwards: boolean): void {
    if (forwards) this.#current?.verified()
    else this.#current?.notForwarding()
  }

  #tell(mapping: Mapping | undefined, reason: string): void {
    if (mapping === undefined || this.#resolveFirst === undefined) this.#options.onchange?.(mapping, reason)
    this.#resolveFirst?.(mapping)
    this.#resolveFirst = undefined
  }

  #handleOf({ mapping: { external, protocol, lifetime } }: Extract<MappingEvent, { type: 'mapped' }>): Mapping {
    const whenCurrent = (action: () => void) => () => {
      if (this.#current !== mapping) return // It has been replaced: whatever is known of it is out of date.
      action()
      this.#link.settle()
    }
    const mapping: Mapping = {
      internal: this.#internal,
      external,
      protocol,
      lifetime,
      verified: whenCurrent(() => this.#machine.verified()),
      notForwarding: whenCurrent(() => this.#machine.notForwarding(clock())),
      release: () => this.release(),
    }
    return Object.freeze(mapping)
  }
}

function checkLocal({ ip, port }: Address): Address {
  const canonical = canonicalIp(ip)
  const scope = canonical === undefined ? undefined : addressScope(canonical)
  if (canonical === undefined || scope === undefined || scope === 'unspecified' || scope === 'multicast') {
    throw new NatError('ERR_NAT_ARGUMENT', `local must name the address of one interface, not ${ip}`)
  }
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new NatError('ERR_NAT_ARGUMENT', `local must have the port of a bound socket: ${formatAddress({ ip, port })}`)
  }
  return { ip: canonical, port }
}

/** Why there is nothing to map, in words. */
function findObstacle(ip: string, gateway: string | undefined): string | undefined {
  const scope = addressScope(ip)
  if (scope === 'loopback' || scope === 'link-local') return `${ip} does not leave its link`
  if (gateway === undefined) return `no default gateway is known for ${ip}`
  if (addressFamily(ip) === 6) return undefined
  // A router with a public address on our side has no private network to translate for; asking it would be rude.
  if (addressScope(gateway) === 'global') return `the gateway ${gateway} has a public address: there is no NAT to ask`
  return undefined
}
