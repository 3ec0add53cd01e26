import { type Address, formatAddress, isIPv6, type Packet } from '@floe/stun'
import { Clock } from './clock.ts'
import { Firewall, type FirewallPolicy } from './firewall.ts'
import { Link, type LinkQuality } from './link.ts'
import { Nat, type NatBehavior } from './nat.ts'
import { Random } from './random.ts'
import { type Datagram, Trace } from './trace.ts'

/** Looks at every datagram as its sender emits it; a returned string is the reason to drop it. */
export type Rule = (datagram: Datagram, sender: Host) => string | undefined

/** The test internet: a clock, a trace, and realms of addresses that routers join. All randomness comes from one seed. */
export class Network {
  readonly clock = new Clock()
  readonly trace = new Trace()
  readonly random: Random
  readonly internet: Realm
  /** Faults and taps, asked in order. */
  readonly rules: Rule[] = []
  readonly hosts: Host[] = []
  #datagrams = 0

  constructor(seed: number) {
    this.random = new Random(seed)
    this.internet = new Realm(this, 'internet')
  }

  host(name: string): Host {
    const host = new Host(this, name)
    this.hosts.push(host)
    return host
  }

  link(name: string, quality: LinkQuality): Link {
    return new Link(this.clock, this.random.fork(name), quality)
  }

  datagram(source: Address, destination: Address, bytes: Uint8Array): Datagram {
    return { id: ++this.#datagrams, source, destination, bytes }
  }

  drop(at: string, datagram: Datagram, reason: string) {
    this.trace.packet(this.clock.now, 'drop', at, datagram, reason)
  }
}

/** A space of addresses that reach each other: the internet, a LAN, a carrier's inside. */
export class Realm {
  readonly name: string
  readonly network: Network
  /** Where everything goes that has no address here. */
  gateway: Router | undefined
  readonly #members = new Map<string, Attachment>()

  constructor(network: Network, name: string) {
    this.network = network
    this.name = name
  }

  /** Plugs something in under `ip`, with a wire of this quality in both directions. */
  attach(ip: string, name: string, quality: LinkQuality, receive: (datagram: Datagram) => void): Attachment {
    if (this.#members.has(ip)) throw new Error(`${ip} exists twice in ${this.name}`)
    const up = this.network.link(`${name} ${ip} up`, quality)
    const down = this.network.link(`${name} ${ip} down`, quality)
    const attachment: Attachment = { ip, name, realm: this, up, down, receive }
    this.#members.set(ip, attachment)
    if (this.gateway && (isIPv6(ip) || !this.gateway.nat)) this.gateway.announce(ip)
    return attachment
  }

  detach(ip: string) {
    this.#members.delete(ip)
  }

  /** A datagram is here and wants to its destination. */
  route(datagram: Datagram) {
    const member = this.#members.get(datagram.destination.ip)
    if (member) {
      const lost = member.down.carry(() => member.receive(datagram))
      if (lost) this.network.drop(member.name, datagram, lost)
    } else if (this.gateway) this.gateway.outbound(datagram)
    else this.network.drop(this.name, datagram, `no route to ${datagram.destination.ip}`)
  }
}

/** One address in a realm, and its wire: `up` into the realm, `down` from it. */
export interface Attachment {
  readonly ip: string
  readonly name: string
  readonly realm: Realm
  readonly up: Link
  readonly down: Link
  receive(datagram: Datagram): void
}

/** What a router is made of. IPv4 goes through the NAT where there is one; the firewall sees what is not translated. */
export interface RouterOptions {
  readonly nat?: NatBehavior
  readonly firewall?: FirewallPolicy
  readonly link?: LinkQuality
  /** IPv4 address outside; needed with a NAT. */
  readonly externalIp?: string
}

/** A box between an inside and an outside realm. */
export class Router {
  readonly name: string
  readonly inside: Realm
  readonly outside: Realm
  readonly nat: Nat | undefined
  readonly firewall: Firewall | undefined
  readonly #network: Network
  readonly #quality: LinkQuality
  readonly #wan: Attachment

  constructor(name: string, inside: Realm, outside: Realm, options: RouterOptions) {
    const { nat, firewall, link = {}, externalIp = `router of ${name}` } = options
    this.name = name
    this.inside = inside
    this.outside = outside
    this.#network = inside.network
    this.#quality = link
    this.nat = nat && new Nat(nat, externalIp, this.#network.random.fork(`nat ${name}`))
    this.firewall = firewall && new Firewall(firewall)
    this.#wan = outside.attach(externalIp, name, link, (datagram) => this.inbound(datagram))
    inside.gateway = this
  }

  /** Makes an inside address reachable from outside: routed, not translated. */
  announce(ip: string) {
    this.outside.attach(ip, this.name, this.#quality, (datagram) => this.inbound(datagram))
  }

  /** The wire to the outside realm, for faults. */
  get wan(): Attachment {
    return this.#wan
  }

  outbound(datagram: Datagram) {
    const { now } = this.#network.clock
    const { source, destination } = datagram
    const blocked = this.firewall?.outbound(now, source, destination)
    if (blocked) return this.#network.drop(this.name, datagram, blocked)
    if (!this.nat || isIPv6(destination.ip)) return this.#toOutside(datagram)
    if (destination.ip === this.nat.externalIp) return this.#hairpin(datagram)
    this.#toOutside(this.#translated(datagram, this.nat.outbound(now, source, destination), destination))
  }

  inbound(datagram: Datagram) {
    const { now } = this.#network.clock
    const { source, destination } = datagram
    if (!this.nat || isIPv6(destination.ip)) return this.#filtered(datagram)
    const internal = this.nat.inbound(now, source, destination.port)
    if (typeof internal === 'string') return this.#network.drop(this.name, datagram, internal)
    this.inside.route(this.#translated(datagram, source, internal))
  }

  #filtered(datagram: Datagram) {
    const { source, destination } = datagram
    const blocked = this.firewall?.inbound(this.#network.clock.now, source, destination)
    if (blocked) this.#network.drop(this.name, datagram, blocked)
    else this.inside.route(datagram)
  }

  #hairpin(datagram: Datagram) {
    const turned = this.nat!.hairpin(this.#network.clock.now, datagram.source, datagram.destination)
    if (typeof turned === 'string') return this.#network.drop(this.name, datagram, turned)
    this.inside.route(this.#translated(datagram, turned.source, turned.destination))
  }

  #toOutside(datagram: Datagram) {
    const lost = this.#wan.up.carry(() => this.outside.route(datagram))
    if (lost) this.#network.drop(this.name, datagram, lost)
  }

  #translated(datagram: Datagram, source: Address, destination: Address): Datagram {
    const translated = { ...datagram, source, destination }
    this.#network.trace.packet(this.#network.clock.now, 'translate', this.name, translated)
    return translated
  }
}

/** A machine with addresses in one or more realms. */
export class Host {
  readonly name: string
  readonly network: Network
  readonly attachments: Attachment[] = []
  readonly #sockets = new Map<string, Socket>()
  readonly #random: Random

  constructor(network: Network, name: string) {
    this.network = network
    this.name = name
    this.#random = network.random.fork(`host ${name}`)
  }

  attach(realm: Realm, ip: string, quality: LinkQuality = {}): Attachment {
    const attachment = realm.attach(ip, this.name, quality, (datagram) => this.#receive(datagram))
    this.attachments.push(attachment)
    return attachment
  }

  /** Opens a UDP socket on one of the host's addresses; without a port an ephemeral one (RFC 6335 §6). */
  bind(ip: string, port?: number, onpacket: (packet: Packet) => void = () => {}): Socket {
    const attachment = this.attachments.find((one) => one.ip === ip)
    if (attachment === undefined) throw new Error(`${this.name} has no address ${ip}`)
    let chosen = port ?? this.#random.integer(49_152, 65_535)
    while (port === undefined && this.#sockets.has(formatAddress({ ip, port: chosen }))) chosen++
    const socket = new Socket(this, attachment, { ip, port: chosen }, onpacket)
    this.#sockets.set(formatAddress(socket.address), socket)
    return socket
  }

  unbind(address: Address) {
    this.#sockets.delete(formatAddress(address))
  }

  #receive(datagram: Datagram) {
    const socket = this.#sockets.get(formatAddress(datagram.destination))
    if (socket) socket.receive(datagram)
    else this.network.drop(this.name, datagram, 'no socket')
  }
}

/** A UDP socket. `address` is the object that incoming packets name as `local`. */
export class Socket {
  readonly host: Host
  readonly address: Address
  onpacket: (packet: Packet) => void
  readonly #attachment: Attachment

  constructor(host: Host, attachment: Attachment, address: Address, onpacket: (packet: Packet) => void) {
    this.host = host
    this.#attachment = attachment
    this.address = address
    this.onpacket = onpacket
  }

  /** Sends; `source` is for attackers who lie about theirs. */
  send(destination: Address, bytes: Uint8Array, source: Address = this.address) {
    const { network, name } = this.host
    const datagram = network.datagram(source, { ip: destination.ip, port: destination.port }, bytes)
    network.trace.packet(network.clock.now, 'send', name, datagram)
    for (const rule of network.rules) {
      const reason = rule(datagram, this.host)
      if (reason !== undefined) return network.drop(name, datagram, reason)
    }
    const { up, realm } = this.#attachment
    const lost = up.carry(() => realm.route(datagram))
    if (lost) network.drop(name, datagram, lost)
  }

  receive(datagram: Datagram) {
    const { network, name } = this.host
    network.trace.packet(network.clock.now, 'deliver', name, datagram)
    const borrowed = datagram.bytes.slice()
    this.onpacket({ protocol: 'udp', local: this.address, remote: datagram.source, bytes: borrowed })
    borrowed.fill(POISON)
  }

  close() {
    this.host.unbind(this.address)
  }
}

/** Incoming bytes are only lent; who keeps them finds this instead (and no STUN message begins so). */
const POISON = 0xee
