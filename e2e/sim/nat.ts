import { type Address, formatAddress } from '@floe/stun'
import type { Random } from './random.ts'

/** How far state depends on the other endpoint (RFC 4787 §4.1 for mappings, §5 for filters). */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

/** A NAT in the words of RFC 4787. */
export interface NatBehavior {
  readonly mapping: Dependence
  readonly filtering: Dependence
  /** §4.2: the internal port when it is free; the next one up; any free one. Default `preserve`. */
  readonly allocation?: 'preserve' | 'sequential' | 'random'
  /** §6: from inside to its own external address. The peer sees the sender's internal or external endpoint. Default `none`. */
  readonly hairpin?: 'none' | 'internal' | 'external'
  /** §4.3: milliseconds without an outbound packet (REQ-6: inbound ones need not refresh). Default 120 s, REQ-5's floor. */
  readonly mappingTimeout?: number
}

export const MAPPING_TIMEOUT = 120_000

/** A NAT's verdict: the rewritten endpoint, or the reason for a drop. */
export type Verdict = Address | string

/** IPv4 network address and port translation between one inside realm and one external address. No wires: pure state. */
export class Nat {
  readonly behavior: NatBehavior
  readonly externalIp: string
  readonly #random: Random
  readonly #byKey = new Map<string, Mapping>()
  readonly #byPort = new Map<number, Mapping>()
  #nextPort: number

  constructor(behavior: NatBehavior, externalIp: string, random: Random) {
    this.behavior = behavior
    this.externalIp = externalIp
    this.#random = random
    this.#nextPort = random.integer(20_000, 40_000)
  }

  /** An inside endpoint sends outwards: its external endpoint for this destination. */
  outbound(now: number, internal: Address, destination: Address): Address {
    const key = `${formatAddress(internal)}>${dependentPart(this.behavior.mapping, destination)}`
    const mapping = this.#live(now, this.#byKey.get(key)) ?? this.#create(now, key, internal)
    mapping.expires = now + this.#timeout
    mapping.contacts.set(dependentPart(this.behavior.filtering, destination), mapping.expires)
    return mapping.external
  }

  /** A packet arrives from outside for an external port: the internal endpoint, or why it is dropped. */
  inbound(now: number, source: Address, port: number): Verdict {
    const mapping = this.#live(now, this.#byPort.get(port))
    if (mapping === undefined) return 'no mapping'
    if (this.behavior.filtering === 'endpoint-independent') return mapping.internal
    const contact = mapping.contacts.get(dependentPart(this.behavior.filtering, source))
    return contact !== undefined && contact > now ? mapping.internal : `${this.behavior.filtering} filtering`
  }

  /** From inside to `externalIp`: whom it reaches and as whom the sender appears, or why it is dropped (§6). */
  hairpin(now: number, internal: Address, destination: Address): { source: Address; destination: Address } | string {
    const { hairpin = 'none' } = this.behavior
    const external = this.outbound(now, internal, destination)
    if (hairpin === 'none') return 'no hairpinning'
    const reached = this.inbound(now, external, destination.port)
    if (typeof reached === 'string') return reached
    return { source: hairpin === 'external' ? external : internal, destination: reached }
  }

  /** Forgets everything, as a reboot does. */
  flush() {
    this.#byKey.clear()
    this.#byPort.clear()
  }

  get #timeout(): number {
    return this.behavior.mappingTimeout ?? MAPPING_TIMEOUT
  }

  #live(now: number, mapping: Mapping | undefined): Mapping | undefined {
    if (mapping === undefined || mapping.expires > now) return mapping
    this.#byKey.delete(mapping.key)
    this.#byPort.delete(mapping.external.port)
    return undefined
  }

  #create(now: number, key: string, internal: Address): Mapping {
    const external = { ip: this.externalIp, port: this.#allocate(now, internal.port) }
    const mapping = { key, internal, external, contacts: new Map<string, number>(), expires: 0 }
    this.#byKey.set(key, mapping)
    this.#byPort.set(external.port, mapping)
    return mapping
  }

  #allocate(now: number, internalPort: number): number {
    const free = (port: number) => this.#live(now, this.#byPort.get(port)) === undefined
    const { allocation = 'preserve' } = this.behavior
    if (allocation === 'preserve' && free(internalPort)) return internalPort
    if (allocation === 'sequential') {
      while (!free(this.#nextPort)) this.#nextPort++
      return this.#nextPort++
    }
    let port = this.#random.integer(1024, 65_535)
    while (!free(port)) port = this.#random.integer(1024, 65_535)
    return port
  }
}

interface Mapping {
  readonly key: string
  readonly internal: Address
  readonly external: Address
  /** Whom the inside has sent to, as far as filtering cares → when that permission ends. */
  readonly contacts: Map<string, number>
  expires: number
}

/** The part of the other endpoint that state of this kind depends on. */
export function dependentPart(dependence: Dependence, endpoint: Address): string {
  if (dependence === 'endpoint-independent') return ''
  return dependence === 'address-dependent' ? endpoint.ip : formatAddress(endpoint)
}
