import type { Address, Packet } from '@floe/stun'
import type { LinkQuality } from '../topology/behavior.ts'
import { type Appointment, Clock } from './clock.ts'
import { copyOf } from './copy.ts'
import { Endpoint, Endpoints, textOf } from './endpoint.ts'
import { Link } from './link.ts'
import { Random } from './random.ts'
import { type Datagram, Trace } from './trace.ts'

/** Looks at every datagram as its sender emits it; a returned string is the reason to drop it. */
export type Rule = (datagram: Datagram, sender: Host) => string | undefined

/** Sees every datagram as it leaves a host and as it reaches a socket. */
export interface Observer {
  sent(datagram: Datagram, sender: Host): void
  delivered(datagram: Datagram, receiver: Host): void
}

/** The test internet: a clock, a trace, and realms of addresses that routers join. All randomness comes from one seed. */
export class Network {
  readonly clock = new Clock()
  readonly trace: Trace
  readonly random: Random
  readonly internet: Realm
  /** Faults and taps, asked in order. */
  readonly rules: Rule[] = []
  readonly observers: Observer[] = []
  readonly hosts: Host[] = []
  readonly endpoints = new Endpoints()
  #datagrams = 0

  constructor(seed: number, trace = new Trace()) {
    this.trace = trace
    this.random = new Random(seed)
    this.internet = new Realm(this, 'internet')
  }

  host(name: string): Host {
    const host = new Host(this, name)
    this.hosts.push(host)
    return host
  }

  link(name: string, quality: LinkQuality): Link {
    return new Link(this.clock, () => this.random.fork(name), quality)
  }

  datagram(source: Address, destination: Address, bytes: Uint8Array, tcp = false, ttl?: number): Datagram {
    return { id: ++this.#datagrams, tcp, source, destination, bytes, ttl }
  }

  drop(at: string, datagram: Datagram, reason: string) {
    this.trace.packet(this.clock.now, 'drop', at, datagram, reason)
  }
}

/** The box that leads out of a realm. */
export interface Gateway {
  /** An address has appeared inside: perhaps the outside must be told where it is. */
  announce(ip: string): void
  withdraw(ip: string): void
  outbound(datagram: Datagram): void
}

/** A space of addresses that reach each other: the internet, a LAN, a carrier's inside. */
export class Realm {
  readonly name: string
  readonly network: Network
  /** Where everything goes that has no address here. */
  gateway: Gateway | undefined
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
    this.gateway?.announce(ip)
    return attachment
  }

  detach(ip: string) {
    this.#members.delete(ip)
    this.gateway?.withdraw(ip)
  }

  /** `route`, to be handed on. */
  readonly arrive = (datagram: Datagram) => this.route(datagram)

  /** A datagram is here and wants to its destination. */
  route(datagram: Datagram) {
    const member = this.#members.get(datagram.destination.ip)
    if (member) {
      const lost = member.down.carry(datagram, member.receive)
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
  readonly receive: (datagram: Datagram) => void
}

/** Small packets that a socket's buffer holds by default on Linux (rmem_default of 212,992 bytes with their overhead). */
const RECEIVE_BUFFER = 256

/** A machine with addresses in one or more realms. */
export class Host {
  readonly name: string
  readonly network: Network
  readonly attachments: Attachment[] = []
  /** By the text of their addresses. */
  readonly #sockets = { udp: new Map<string, Socket>(), tcp: new Map<string, Socket>() }
  readonly #random: Random
  /** What waits while the process stands still. */
  #suspended: { readonly timers: Errand[]; readonly packets: Datagram[] } | undefined

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

  /** The address goes away, and its sockets with it. */
  detach(ip: string) {
    const index = this.attachments.findIndex((one) => one.ip === ip)
    if (index < 0) return
    this.attachments.splice(index, 1)[0]!.realm.detach(ip)
    for (const sockets of [this.#sockets.udp, this.#sockets.tcp])
      for (const [key, { address }] of sockets) if (address.ip === ip) sockets.delete(key)
  }

  /** An appointment of the process on this host: while that stands still, it waits. */
  at(time: number, action: () => void): Appointment {
    return new Errand(this.network.clock, time, action, (errand) => {
      if (this.#suspended) this.#suspended.timers.push(errand)
      else errand.run()
    })
  }

  get suspended(): boolean {
    return this.#suspended !== undefined
  }

  /** The process stands still: timers wait, and packets in the kernel's buffer. */
  suspend() {
    this.#suspended ??= { timers: [], packets: [] }
  }

  /** It goes on: first all that is overdue, then what has arrived, as Node's event loop does. */
  resume() {
    const { timers = [], packets = [] } = this.#suspended ?? {}
    this.#suspended = undefined
    const { clock } = this.network
    for (const timer of timers) clock.after(0, () => timer.run())
    for (const datagram of packets) clock.after(0, () => this.#receive(datagram))
  }

  /** Opens a UDP or TCP socket on one of the host's addresses; without a port an ephemeral one (RFC 6335 §6). */
  bind(ip: string, port?: number, onpacket: (packet: Packet) => void = () => {}, tcp = false): Socket {
    const attachment = this.attachments.find((one) => one.ip === ip)
    if (attachment === undefined) throw new Error(`${this.name} has no address ${ip}`)
    let chosen = port ?? this.#random.integer(49_152, 65_535)
    const sockets = this.#sockets[tcp ? 'tcp' : 'udp']
    while (port === undefined && sockets.has(textOf({ ip, port: chosen }))) chosen++
    const socket = new Socket(this, attachment, new Endpoint(ip, chosen), onpacket, tcp)
    sockets.set(textOf(socket.address), socket)
    return socket
  }

  unbind({ address, tcp }: Socket) {
    this.#sockets[tcp ? 'tcp' : 'udp'].delete(textOf(address))
  }

  #receive(datagram: Datagram) {
    if (this.#suspended) {
      if (this.#suspended.packets.push(datagram) <= RECEIVE_BUFFER) return
      this.#suspended.packets.pop()
      return this.network.drop(this.name, datagram, 'receive buffer full')
    }
    const { tcp, destination } = datagram
    const socket = (tcp ? this.#sockets.tcp : this.#sockets.udp).get(textOf(destination))
    if (socket) socket.receive(datagram)
    else this.network.drop(this.name, datagram, 'no socket')
  }
}

/** An appointment of a process, which may be forgotten also while it waits for the process to go on. */
class Errand implements Appointment {
  readonly time: number
  readonly #event: Appointment
  #action: (() => void) | undefined

  constructor(clock: Clock, time: number, action: () => void, ondue: (errand: Errand) => void) {
    this.#action = action
    this.#event = clock.at(time, () => ondue(this))
    this.time = this.#event.time
  }

  run() {
    this.#action?.()
  }

  cancel() {
    this.#action = undefined
    this.#event.cancel()
  }
}

/** A UDP socket, or one for the messages of TCP streams. `address` is the object that incoming packets name as `local`. */
export class Socket {
  readonly host: Host
  readonly address: Address
  readonly tcp: boolean
  onpacket: (packet: Packet) => void
  readonly #attachment: Attachment

  constructor(host: Host, attachment: Attachment, address: Address, onpacket: (packet: Packet) => void, tcp: boolean) {
    this.host = host
    this.tcp = tcp
    this.#attachment = attachment
    this.address = address
    this.onpacket = onpacket
  }

  /** Sends; `source` is for attackers who lie about theirs. */
  send(destination: Address, bytes: Uint8Array, source: Address = this.address, ttl?: number) {
    const { network, name } = this.host
    const datagram = network.datagram(source, network.endpoints.of(destination), bytes, this.tcp, ttl)
    network.trace.packet(network.clock.now, 'send', name, datagram)
    for (const observer of network.observers) observer.sent(datagram, this.host)
    for (const rule of network.rules) {
      const reason = rule(datagram, this.host)
      if (reason !== undefined) return network.drop(name, datagram, reason)
    }
    const { up, realm } = this.#attachment
    const lost = up.carry(datagram, realm.arrive)
    if (lost) network.drop(name, datagram, lost)
  }

  receive(datagram: Datagram) {
    const { network, name } = this.host
    network.trace.packet(network.clock.now, 'deliver', name, datagram)
    for (const observer of network.observers) observer.delivered(datagram, this.host)
    const borrowed = copyOf(datagram.bytes)
    this.onpacket({ protocol: this.tcp ? 'tcp' : 'udp', local: this.address, remote: datagram.source, bytes: borrowed })
    borrowed.fill(POISON)
  }

  close() {
    this.host.unbind(this)
  }
}

/** Incoming bytes are only lent; who keeps them finds this instead (and no STUN message begins so). */
const POISON = 0xee
