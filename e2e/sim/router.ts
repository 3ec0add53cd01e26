import type { Address } from '@floe/stun'
import type { FirewallPolicy, LinkQuality, NatBehavior } from '../topology/behavior.ts'
import { Firewall } from './firewall.ts'
import { isV6 } from './link.ts'
import { Nat, type Verdict } from './nat.ts'
import { embeddedIpv4, synthesized } from './nat64.ts'
import type { Attachment, Gateway, Realm } from './network.ts'
import type { Datagram } from './trace.ts'

/** What a router is made of. IPv4 goes through the NAT where there is one; the firewall sees what is not translated. */
export interface RouterOptions {
  readonly nat?: NatBehavior
  /** Translates from IPv6 inside to IPv4 outside, for destinations under 64:ff9b::/96. */
  readonly nat64?: NatBehavior
  readonly firewall?: FirewallPolicy
  readonly link?: LinkQuality
  /** IPv4 address outside; needed with a NAT. */
  readonly externalIp?: string
}

/** A box between an inside and an outside realm. */
export class Router implements Gateway {
  readonly name: string
  readonly inside: Realm
  readonly outside: Realm
  readonly nat: Nat | undefined
  readonly nat64: Nat | undefined
  readonly firewall: Firewall | undefined
  readonly #quality: LinkQuality
  #wan: Attachment

  constructor(name: string, inside: Realm, outside: Realm, options: RouterOptions) {
    const { nat, nat64, firewall, link = {}, externalIp = `router of ${name}` } = options
    const { random } = inside.network
    this.name = name
    this.inside = inside
    this.outside = outside
    this.#quality = link
    this.nat = nat && new Nat(nat, externalIp, random.fork(`nat ${name}`))
    this.nat64 = nat64 && new Nat(nat64, externalIp, random.fork(`nat64 ${name}`))
    this.firewall = firewall && new Firewall(firewall)
    this.#wan = this.#attach(externalIp)
    inside.gateway = this
  }

  /** The wire to the outside realm, for faults. */
  get wan(): Attachment {
    return this.#wan
  }

  /** Makes an inside address reachable from outside where it is routed, not translated. */
  announce(ip: string) {
    if (isV6(ip) || !this.nat) this.#attach(ip)
  }

  withdraw(ip: string) {
    if (isV6(ip) || !this.nat) this.outside.detach(ip)
  }

  /** All mappings and permissions are forgotten. */
  reboot() {
    this.nat?.flush()
    this.nat64?.flush()
    this.firewall?.flush()
  }

  /** The box gets another address outside. */
  renumber(externalIp: string) {
    this.outside.detach(this.#wan.ip)
    this.#wan = this.#attach(externalIp)
    this.nat?.renumber(externalIp)
    this.nat64?.renumber(externalIp)
  }

  outbound(datagram: Datagram) {
    const { destination } = datagram
    const blocked = this.firewall?.outbound(this.#now, datagram)
    if (blocked) return this.#drop(datagram, blocked)
    const embedded = this.nat64 && embeddedIpv4(destination.ip)
    if (embedded) return this.#translate(datagram, this.nat64!, this.#endpoint(embedded, destination.port))
    if (!this.nat || isV6(destination.ip)) return this.#toOutside(datagram)
    if (destination.ip === this.nat.externalIp) return this.#hairpin(datagram, this.nat)
    this.#translate(datagram, this.nat, destination)
  }

  inbound(datagram: Datagram) {
    const { source, destination } = datagram
    const nat = isV6(destination.ip) ? undefined : (this.nat64 ?? this.nat)
    if (!nat) return this.#filtered(datagram)
    const internal = nat.inbound(this.#now, source, destination.port)
    if (typeof internal === 'string') return this.#drop(datagram, internal)
    const seen = nat === this.nat64 ? this.#endpoint(synthesized(source.ip), source.port) : source
    this.inside.route(this.#translated(datagram, seen, internal))
  }

  get #now(): number {
    return this.inside.network.clock.now
  }

  #endpoint(ip: string, port: number): Address {
    return this.inside.network.endpoints.of({ ip, port })
  }

  #attach(ip: string): Attachment {
    return this.outside.attach(ip, this.name, this.#quality, (datagram) => this.inbound(datagram))
  }

  #drop(datagram: Datagram, reason: string) {
    this.inside.network.drop(this.name, datagram, reason)
  }

  #filtered(datagram: Datagram) {
    const { source, destination } = datagram
    const blocked = this.firewall?.inbound(this.#now, source, destination)
    if (blocked) this.#drop(datagram, blocked)
    else this.inside.route(datagram)
  }

  #translate(datagram: Datagram, nat: Nat, destination: Address) {
    const external: Verdict = nat.outbound(this.#now, datagram.source, destination)
    if (typeof external === 'string') this.#drop(datagram, external)
    else this.#toOutside(this.#translated(datagram, external, destination))
  }

  #hairpin(datagram: Datagram, nat: Nat) {
    const turned = nat.hairpin(this.#now, datagram.source, datagram.destination)
    if (typeof turned === 'string') return this.#drop(datagram, turned)
    this.inside.route(this.#translated(datagram, turned.source, turned.destination))
  }

  #toOutside(datagram: Datagram) {
    if ((datagram.ttl ?? DISTANCE) < DISTANCE) return this.#drop(datagram, 'TTL exceeded on the way')
    const lost = this.#wan.up.carry(datagram, this.outside.arrive)
    if (lost) this.#drop(datagram, lost)
  }

  #translated(datagram: Datagram, source: Address, destination: Address): Datagram {
    const { id, tcp, bytes, ttl } = datagram
    const translated = { id, tcp, source, destination, bytes, ttl }
    this.inside.network.trace.packet(this.#now, 'translate', this.name, translated)
    return translated
  }
}

/** Hops between two routers. */
const DISTANCE = 8
