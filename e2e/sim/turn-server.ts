import {
  type Address,
  type Attributes,
  type DecodedMessage,
  decode,
  encode,
  type Method,
  newTransactionId,
  type Packet,
} from '@floe/stun'
import type { LinkQuality } from '../topology/behavior.ts'
import { copyOf, roomFor } from './copy.ts'
import { textOf } from './endpoint.ts'
import { isV6 } from './link.ts'
import type { Host, Network, Socket } from './network.ts'
import type { Random } from './random.ts'
import { STUN_PORT } from './stun-server.ts'
import { type Authentic, Challenge, type ChallengeBehavior } from './turn-challenge.ts'
import { Relay } from './turn-relay.ts'

/** What a model server does wrong, or does without. May change while it runs. */
export interface TurnBehavior extends ChallengeBehavior {
  /** Refuses what this method asks for, when it is asked properly. With 300 the `alternate` server is named. */
  readonly refuse?: Partial<Record<Method, number>>
  /** Of the requests that `refuse` is about, only these: by the IP of a peer. */
  readonly refusePeers?: readonly string[]
  readonly alternate?: Address
  readonly alternateDomain?: string
  /** Relays no such addresses: ADDRESS-ERROR-CODE when asked for beside another, 440 when alone. */
  readonly withoutFamily?: 4 | 6
  /** Knows RFC 5766 only: neither families nor DONT-FRAGMENT (420 for the latter, and for REQUESTED-ADDRESS-FAMILY). */
  readonly old?: boolean
  /** Grants whatever is asked without credentials. */
  readonly open?: boolean
  /** Knows RFC 8016. */
  readonly mobility?: boolean
  /** The longest lifetime it grants, in ms. */
  readonly longestLifetime?: number
  /** Ends a connection over TCP so many ms after it has served it an Allocate or a Refresh. */
  readonly hangsUpAfter?: number
}

export interface TurnServerOptions {
  readonly ip: string
  /** IPv6 for clients and relayed addresses. */
  readonly ip6?: string
  readonly users?: Readonly<Record<string, string>>
  readonly realm?: string
  readonly behavior?: TurnBehavior
  readonly link?: LinkQuality
}

/** A request that came, retransmissions included, and what became of it. */
export interface ServedRequest {
  readonly time: number
  readonly method: Method
  readonly from: Address
  readonly signed: boolean
  readonly attributes: Attributes
  /** 0: success. */
  readonly code: number
}

/** Where TURN servers listen for TCP: the one port that the strictest networks let out. */
export const TCP_PORT = 443

/** A TURN server (RFC 8656) over UDP and TCP on a host of its own; honest and complete unless its behavior says otherwise. */
export class TurnServer {
  readonly host: Host
  readonly address: Address
  readonly address6: Address | undefined
  readonly url: string
  /** Of the first user. */
  readonly username: string
  readonly credential: string
  readonly requests: ServedRequest[] = []
  /** By client. */
  readonly relays = new Map<string, Relay>()
  /** Packets with data that came from clients: how they were framed. */
  readonly framed = { channelData: 0, sendIndications: 0 }
  readonly #options: TurnServerOptions
  readonly #challenge: Challenge
  readonly #random: Random
  #behavior: TurnBehavior
  #dead = false

  constructor(network: Network, name: string, options: TurnServerOptions) {
    const { ip, ip6, users = { user: 'secret' }, realm = 'example.org', behavior = {}, link = {} } = options
    this.#options = options
    this.#behavior = behavior
    this.#random = network.random.fork(`turn ${name}`)
    this.#challenge = new Challenge(realm, users, this.#random, behavior)
    ;[[this.username, this.credential]] = Object.entries(users) as [[string, string]]
    this.url = `turn:${ip}`
    this.host = network.host(name)
    const ips = ip6 === undefined ? [ip] : [ip, ip6]
    const [socket, socket6] = ips.map((one) => {
      this.host.attach(network.internet, one, link)
      const bound: Socket = this.host.bind(one, STUN_PORT, (packet) => this.#receive(packet, bound))
      const tcp: Socket = this.host.bind(one, TCP_PORT, (packet) => this.#receive(packet, tcp), true)
      return bound
    })
    this.address = socket!.address
    this.address6 = socket6?.address
  }

  /** Passwords by user name; may change while it runs. */
  get users(): Map<string, string> {
    return this.#challenge.users
  }

  get behavior(): TurnBehavior {
    return this.#behavior
  }

  set behavior(behavior: TurnBehavior) {
    this.#behavior = behavior
    this.#challenge.behavior = behavior
  }

  get allocations(): readonly Relay[] {
    return [...this.relays.values()]
  }

  /** Requests of one method, without retransmissions being told apart. */
  requestsFor(method: Method): readonly ServedRequest[] {
    return this.requests.filter((request) => request.method === method)
  }

  /** No answer to anything from now on; what it knows stays. */
  die() {
    this.#dead = true
  }

  /** Comes (back) up, and has forgotten everything. */
  restart() {
    this.#dead = false
    for (const relay of this.allocations) relay.end()
    this.#challenge.forget()
  }

  get #now(): number {
    return this.host.network.clock.now
  }

  #receive(packet: Packet, socket: Socket) {
    if (this.#dead) return
    if (socket.tcp && packet.bytes.length === 0) return socket.send(packet.remote, packet.bytes.slice())
    const relay = this.relays.get(textOf(packet.remote))
    const bytes = copyOf(packet.bytes)
    if (bytes[0]! >= 0x40 && bytes[0]! <= 0x4f) return this.#relayChannelData(relay, bytes)
    const message = decode(bytes)
    if (message?.method === 'send') return this.#relayIndication(relay, message.attributes)
    if (message?.class !== 'request') return
    if (message.method === 'binding') {
      const { method, transactionId } = message
      const attributes = { xorMappedAddress: packet.remote }
      return socket.send(packet.remote, encode({ method, class: 'success', transactionId, attributes }))
    }
    this.#answer(message, packet, socket, relay)
  }

  #answer(request: DecodedMessage, packet: Packet, socket: Socket, relay: Relay | undefined) {
    const verdict = this.#behavior.open ? OPEN : this.#challenge.check(this.#now, request, packet)
    const attributes =
      'refusal' in verdict ? verdict.refusal : this.#serve(request, packet, socket, relay, verdict.username)
    const { method, transactionId } = request
    const code = attributes.errorCode?.code ?? 0
    this.requests.push({
      time: this.#now,
      method,
      from: packet.remote,
      signed: request.integrityOffset + request.sha256Offset > 0,
      attributes: request.attributes,
      code,
    })
    const message = { method, class: code ? 'error' : 'success', transactionId, attributes } as const
    socket.send(packet.remote, encode(message, 'refusal' in verdict ? {} : verdict))
    const { hangsUpAfter } = this.#behavior
    if (hangsUpAfter === undefined || !socket.tcp || code !== 0 || attributes.lifetime === undefined) return
    // No bytes: the end of the connection, as they are its beginning.
    this.host.network.clock.after(hangsUpAfter, () => socket.send(packet.remote, new Uint8Array()))
  }

  #serve(
    request: DecodedMessage,
    packet: Packet,
    socket: Socket,
    relay: Relay | undefined,
    username: string,
  ): Attributes {
    const { method, attributes } = request
    const refusal = this.#refusal(request, relay, username)
    if (refusal) return refusal
    const extras = this.#challenge.extras(this.#now, packet)
    if (method === 'allocate') return { ...extras, ...this.#allocate(request, packet, socket, relay, username) }
    if (method === 'refresh') return { ...extras, ...this.#refresh(attributes, packet, socket, relay) }
    if (method === 'createPermission') {
      for (const { ip } of attributes.xorPeerAddress ?? []) relay!.permit(ip)
      return extras
    }
    const [peer] = attributes.xorPeerAddress ?? []
    const number = attributes.channelNumber ?? 0
    if (!peer || number < 0x4000 || number > 0x4fff || !relay!.bind(number, peer)) return failure(400)
    return extras
  }

  #refusal({ method, attributes, transactionId }: DecodedMessage, relay: Relay | undefined, username: string) {
    const { refuse = {}, refusePeers, alternate, alternateDomain } = this.#behavior
    const peers = attributes.xorPeerAddress ?? []
    const release = method === 'refresh' && attributes.lifetime === 0
    const code = release ? undefined : refuse[method]
    if (code !== undefined && (!refusePeers || peers.some(({ ip }) => refusePeers.includes(ip)))) {
      return {
        ...failure(code),
        ...(code === 300 && alternate && { alternateServer: alternate }),
        ...(code === 300 && alternateDomain !== undefined && { alternateDomain }),
      }
    }
    if (method === 'allocate') return relay && relay.transactionId !== transactionId ? failure(437) : undefined
    if (attributes.mobilityTicket && this.#behavior.mobility) return undefined
    if (!relay) return failure(437)
    if (relay.username !== username) return failure(441)
    const families = relay.addresses.map(({ ip }) => isV6(ip))
    return peers.some(({ ip }) => !families.includes(isV6(ip))) ? failure(443) : undefined
  }

  #allocate(
    { attributes, transactionId }: DecodedMessage,
    { remote }: Packet,
    socket: Socket,
    existing: Relay | undefined,
    username: string,
  ): Attributes {
    const { old, withoutFamily, mobility } = this.#behavior
    const { requestedAddressFamily, additionalAddressFamily, dontFragment } = attributes
    if (attributes.requestedTransport !== 17) return failure(442)
    if (old && dontFragment) return { ...failure(420), unknownAttributes: [0x001a] }
    if (old && requestedAddressFamily) return { ...failure(420), unknownAttributes: [0x0017] }
    const wanted = additionalAddressFamily && !old ? ([4, 6] as const) : ([requestedAddressFamily ?? 4] as const)
    const { ip, ip6 } = this.#options
    const ips = { 4: withoutFamily === 4 ? undefined : ip, 6: withoutFamily === 6 ? undefined : ip6 }
    const given = wanted.map((family) => ips[family]).filter((one) => one !== undefined)
    if (given.length === 0) return failure(440)
    const missing = wanted.find((family) => ips[family] === undefined)
    const relay = existing ?? this.#relay(given, remote, socket, username, transactionId)
    if (mobility && attributes.mobilityTicket) relay.ticket ??= this.#random.bytes(16)
    const lifetime = this.#grant(relay, attributes)
    return {
      xorRelayedAddress: relay.addresses,
      lifetime,
      xorMappedAddress: remote,
      ...(missing && { addressErrorCode: { ...failure(440).errorCode, family: missing } }),
      ...(relay.ticket && { mobilityTicket: relay.ticket }),
    }
  }

  #refresh(attributes: Attributes, { remote }: Packet, socket: Socket, relay: Relay | undefined): Attributes {
    const ticket = String(attributes.mobilityTicket)
    const moved = attributes.mobilityTicket && this.allocations.find((one) => String(one.ticket) === ticket)
    const kept = moved ?? relay
    if (!kept) return failure(437)
    if (attributes.lifetime === 0) {
      kept.end()
      return { lifetime: 0 }
    }
    if (moved) {
      this.relays.delete(textOf(moved.client))
      this.relays.set(textOf(remote), moved)
      moved.client = remote
      moved.socket = socket
      moved.ticket = this.#random.bytes(16)
    }
    const lifetime = this.#grant(kept, attributes)
    return { lifetime, ...(moved?.ticket && { mobilityTicket: moved.ticket }) }
  }

  #relay(ips: readonly string[], client: Address, socket: Socket, username: string, transactionId: string): Relay {
    const relay: Relay = new Relay(this.host, ips, client, socket, {
      username,
      transactionId,
      deliver: (to, peer, bytes, channel) => this.#deliver(to, peer, bytes, channel),
      onend: () => this.relays.delete(textOf(relay.client)),
    })
    this.relays.set(textOf(client), relay)
    return relay
  }

  /** In seconds. */
  #grant(relay: Relay, { lifetime = 600 }: Attributes): number {
    const granted = Math.min(lifetime * 1_000, this.#behavior.longestLifetime ?? 3_600_000)
    relay.keep(granted)
    return granted / 1_000
  }

  #relayChannelData(relay: Relay | undefined, bytes: Uint8Array) {
    this.framed.channelData++
    const peer = relay?.peerOf((bytes[0]! << 8) | bytes[1]!)
    const length = (bytes[2]! << 8) | bytes[3]!
    if (relay && peer && 4 + length <= bytes.length) relay.send(peer, bytes.subarray(4, 4 + length))
  }

  #relayIndication(relay: Relay | undefined, { xorPeerAddress, data }: Attributes) {
    this.framed.sendIndications++
    if (relay && xorPeerAddress && data) relay.send(xorPeerAddress[0]!, data)
  }

  #deliver({ client, socket }: Relay, peer: Address, bytes: Uint8Array, channel: number | undefined) {
    if (this.#dead) return
    if (channel !== undefined) return socket.send(client, channelData(channel, bytes))
    const attributes = { xorPeerAddress: [peer], data: bytes }
    const transactionId = newTransactionId(this.#random.bytes)
    socket.send(client, encode({ method: 'data', class: 'indication', transactionId, attributes }))
  }
}

/** RFC 8656 §12.4. */
function channelData(channel: number, bytes: Uint8Array): Uint8Array {
  const framed = roomFor(4 + bytes.length)
  framed.set([channel >> 8, channel & 255, bytes.length >> 8, bytes.length & 255])
  framed.set(bytes, 4)
  return framed
}

/** Anybody is anybody. */
const OPEN: Authentic = { username: '', key: undefined, integrity: 'sha1' }

const REASONS: Partial<Record<number, string>> = {
  300: 'Try Alternate',
  400: 'Bad Request',
  403: 'Forbidden',
  420: 'Unknown Attribute',
  437: 'Allocation Mismatch',
  440: 'Address Family not Supported',
  441: 'Wrong Credentials',
  442: 'Unsupported Transport Protocol',
  443: 'Peer Address Family Mismatch',
  486: 'Allocation Quota Reached',
  508: 'Insufficient Capacity',
}

function failure(code: number) {
  return { errorCode: { code, reason: REASONS[code] ?? 'Error' } }
}
