import type { Address } from '@floe/stun'
import type { Dependence, NatBehavior } from '../topology/behavior.ts'
import { Endpoint, textOf } from './endpoint.ts'
import type { Random } from './random.ts'

export const MAPPING_TIMEOUT = 120_000
/** How long a tracked unsolicited flow keeps its port busy after the last packet: Linux' nf_conntrack_udp_timeout. */
const TRACKED_TIMEOUT = 30_000

/** A NAT's verdict: the rewritten endpoint, or the reason for a drop. */
export type Verdict = Address | string

/**
 * Network address and port translation between one inside realm and one external IPv4 address; with IPv6 endpoints
 * inside it is the stateful half of NAT64 (RFC 6146). No wires: pure state.
 */
export class Nat {
  readonly behavior: NatBehavior
  readonly #random: Random
  /** By internal endpoint, and by the part of the destination that mappings depend on. */
  readonly #byInternal = new Map<string, Map<string, Mapping>>()
  /** By `#slot`: who holds an external port, towards whom. */
  readonly #bySlot = new Map<Slot, Mapping>()
  /** Made by hand or by a mapping protocol: by internal endpoint and by external port. They survive a flush. */
  readonly #static = { byInternal: new Map<string, Address>(), byPort: new Map<number, Address>() }
  /** Unsolicited flows taken for the box's own, by `port<source` → when they are forgotten. */
  readonly #tracked = new Map<Slot, number>()
  #externalIp: string
  #nextPort: number

  constructor(behavior: NatBehavior, externalIp: string, random: Random) {
    const { mapping, overloading = false, unsolicited } = behavior
    if (overloading && mapping !== 'address-and-port-dependent') {
      throw new Error('Ports can be overloaded only where mappings depend on the whole other endpoint')
    }
    if (unsolicited === 'tracked' && !overloading) throw new Error('Only a NAT that overloads ports tracks flows')
    this.behavior = behavior
    this.#externalIp = externalIp
    this.#random = random
    this.#nextPort = random.integer(20_000, 40_000)
  }

  get externalIp(): string {
    return this.#externalIp
  }

  /** An inside endpoint sends outwards: its external endpoint for this destination, or why there is none. */
  outbound(now: number, internal: Address, destination: Address): Verdict {
    const fixed = this.#static.byInternal.size > 0 && this.#static.byInternal.get(textOf(internal))
    if (fixed) return fixed
    const key = dependentPart(this.behavior.mapping, destination)
    const known = this.#byInternal.get(textOf(internal))?.get(key)
    const mapping = this.#live(now, known) ?? this.#create(now, key, internal, destination)
    if (typeof mapping === 'string') return mapping
    const contact = dependentPart(this.behavior.filtering, destination)
    mapping.contacts.set(contact, this.#refresh(now, mapping))
    return mapping.external
  }

  /** A packet arrives from outside for an external port: the internal endpoint, or why it is dropped. */
  inbound(now: number, source: Address, port: number): Verdict {
    const fixed = this.#static.byPort.get(port)
    if (fixed) return fixed
    const mapping = this.#live(now, this.#bySlot.get(this.#slot(port, source)))
    const reason = mapping === undefined ? 'no mapping' : this.#refusal(now, mapping, source)
    if (mapping === undefined || reason !== undefined) {
      if (this.behavior.unsolicited === 'tracked') this.#track(now, source, port)
      return reason!
    }
    mapping.replied = true
    if (this.behavior.inboundRefresh) {
      const contact = dependentPart(this.behavior.filtering, source)
      mapping.contacts.set(contact, this.#refresh(now, mapping))
    }
    return mapping.internal
  }

  /** From inside to `externalIp`: whom it reaches and as whom the sender appears, or why it is dropped (§6). */
  hairpin(now: number, internal: Address, destination: Address): { source: Address; destination: Address } | string {
    const { hairpin = 'none' } = this.behavior
    const external = this.outbound(now, internal, destination)
    if (typeof external === 'string') return external
    if (hairpin === 'none') return 'no hairpinning'
    const reached = this.inbound(now, external, destination.port)
    if (typeof reached === 'string') return reached
    return { source: hairpin === 'external' ? external : internal, destination: reached }
  }

  /** A static mapping, made once: whoever sends to the returned endpoint reaches `internal`, unfiltered. */
  map(internal: Address): Address {
    const known = this.#static.byInternal.get(textOf(internal))
    if (known) return known
    let { port } = internal
    while (this.#static.byPort.has(port)) port++
    const external = { ip: this.#externalIp, port }
    this.#static.byPort.set(port, internal)
    this.#static.byInternal.set(textOf(internal), external)
    return external
  }

  /** Forgets everything but static mappings, as a reboot does. */
  flush() {
    this.#byInternal.clear()
    this.#bySlot.clear()
    this.#tracked.clear()
  }

  /** A new external address, as after a new lease. Nothing of before is valid. */
  renumber(externalIp: string) {
    this.#externalIp = externalIp
    this.flush()
    for (const [internal, { port }] of this.#static.byInternal) {
      this.#static.byInternal.set(internal, { ip: externalIp, port })
    }
  }

  /** How many mappings are alive: of one inside host, or of all. */
  size(now: number, ip?: string): number {
    let count = 0
    for (const mappings of this.#byInternal.values()) {
      for (const { internal, expires } of mappings.values())
        if (expires > now && (ip === undefined || internal.ip === ip)) count++
    }
    return count
  }

  #refusal(now: number, mapping: Mapping, source: Address): string | undefined {
    const { filtering } = this.behavior
    if (filtering === 'endpoint-independent') return undefined
    const until = mapping.contacts.get(dependentPart(filtering, source))
    return until !== undefined && until > now ? undefined : `${filtering} filtering`
  }

  #track(now: number, source: Address, port: number) {
    this.#tracked.set(this.#slot(port, source), now + TRACKED_TIMEOUT)
  }

  /** The mapping was used: its new end. */
  #refresh(now: number, mapping: Mapping): number {
    const { mappingTimeout = MAPPING_TIMEOUT, unrepliedTimeout = mappingTimeout } = this.behavior
    mapping.expires = Math.min(now + (mapping.replied ? mappingTimeout : unrepliedTimeout), mapping.diesAt)
    return mapping.expires
  }

  #live(now: number, mapping: Mapping | undefined): Mapping | undefined {
    if (mapping === undefined || mapping.expires > now) return mapping
    this.#byInternal.get(textOf(mapping.internal))?.delete(mapping.key)
    this.#bySlot.delete(mapping.slot)
    return undefined
  }

  #create(now: number, key: string, internal: Address, destination: Address): Mapping | string {
    const { portQuota = Number.POSITIVE_INFINITY, maximumLifetime = Number.POSITIVE_INFINITY } = this.behavior
    if (portQuota !== Number.POSITIVE_INFINITY && this.size(now, internal.ip) >= portQuota) return 'port quota reached'
    const port = this.#allocate(now, internal.port, destination)
    if (port === undefined) return 'no free port'
    const mapping: Mapping = {
      key,
      slot: this.#slot(port, destination),
      internal,
      external: new Endpoint(this.#externalIp, port),
      contacts: new Map(),
      diesAt: now + maximumLifetime,
      replied: false,
      expires: 0,
    }
    const mappings = this.#byInternal.get(textOf(internal))
    if (mappings) mappings.set(key, mapping)
    else this.#byInternal.set(textOf(internal), new Map([[key, mapping]]))
    this.#bySlot.set(mapping.slot, mapping)
    return mapping
  }

  #allocate(now: number, internalPort: number, destination: Address): number | undefined {
    const { allocation = 'preserve' } = this.behavior
    const free = (port: number) => this.#isFree(now, port, destination)
    if (allocation === 'preserve' && free(internalPort)) return internalPort
    if (allocation === 'sequential') {
      while (!free(this.#nextPort)) this.#nextPort++
      return this.#nextPort++
    }
    const { low, high } = typeof allocation === 'object' ? allocation : { low: 1024, high: 65_535 }
    const size = high - low + 1
    // From a random port upwards, so that a full block is noticed.
    const start = this.#random.integer(0, size - 1)
    for (let i = 0; i < size; i++) {
      const port = low + ((start + i) % size)
      if (free(port)) return port
    }
    return undefined
  }

  #isFree(now: number, port: number, destination: Address): boolean {
    if (this.#static.byPort.has(port)) return false
    const slot = this.#slot(port, destination)
    return this.#live(now, this.#bySlot.get(slot)) === undefined && (this.#tracked.get(slot) ?? 0) <= now
  }

  #slot(port: number, other: Address): Slot {
    return this.behavior.overloading ? `${port}<${textOf(other)}` : port
  }
}

/** An external port, and where ports are overloaded, whom it is held towards. */
type Slot = number | string

interface Mapping {
  readonly key: string
  readonly slot: Slot
  readonly internal: Address
  readonly external: Address
  /** Whom the inside has sent to, as far as filtering cares → when that permission ends. */
  readonly contacts: Map<string, number>
  /** However busy it is. */
  readonly diesAt: number
  /** Something has come back through it. */
  replied: boolean
  expires: number
}

/** The part of the other endpoint that state of this kind depends on. */
export function dependentPart(dependence: Dependence, endpoint: Address): string {
  if (dependence === 'endpoint-independent') return ''
  return dependence === 'address-dependent' ? endpoint.ip : textOf(endpoint)
}
