import { type Address, type Packet, sameAddress } from '@floe/stun'
import type { Clock } from './clock.ts'
import { isV6 } from './link.ts'
import type { Host, Socket } from './network.ts'

/** RFC 8656 §9 and §12, in ms. */
const PERMISSION_LIFETIME = 300_000
const CHANNEL_LIFETIME = 600_000

/** One allocation of a model server: relayed sockets, permissions, channels, and when each of them ends. */
export class Relay {
  /** Where the client's packets come from and go to. */
  client: Packet['remote']
  /** The server's socket that the client talks to. */
  socket: Socket
  readonly username: string
  /** Of the Allocate that made it: the same again gets the same answer (RFC 8656 §7.2). */
  readonly transactionId: string
  ticket: Uint8Array | undefined
  readonly sockets: readonly Socket[]
  /** What came for a peer or from one without permission. */
  denied = 0
  readonly #clock: Clock
  readonly #onend: () => void
  readonly #permissions = new Map<string, number>()
  readonly #channels = new Map<number, { readonly peer: Address; until: number }>()
  #until = 0

  constructor(host: Host, ips: readonly string[], client: Address, socket: Socket, more: RelayOptions) {
    this.client = client
    this.socket = socket
    this.username = more.username
    this.transactionId = more.transactionId
    this.#clock = host.network.clock
    this.#onend = more.onend
    this.sockets = ips.map((ip) => host.bind(ip, undefined, ({ remote, bytes }) => this.#receive(remote, bytes, more)))
  }

  get addresses(): Address[] {
    return this.sockets.map(({ address }) => address)
  }

  get alive(): boolean {
    return this.#clock.now < this.#until
  }

  keep(lifetime: number) {
    this.#until = this.#clock.now + lifetime
    this.#clock.at(this.#until, () => this.alive || this.end())
  }

  end() {
    this.#until = this.#clock.now
    for (const socket of this.sockets) socket.close()
    this.#onend()
  }

  permit(ip: string) {
    this.#permissions.set(ip, this.#clock.now + PERMISSION_LIFETIME)
  }

  permits(ip: string): boolean {
    return (this.#permissions.get(ip) ?? 0) > this.#clock.now
  }

  /** False when number or peer is taken (RFC 8656 §12.2). */
  bind(number: number, peer: Address): boolean {
    const now = this.#clock.now
    for (const [other, channel] of this.#channels) if (channel.until <= now) this.#channels.delete(other)
    for (const [other, { peer: its }] of this.#channels) {
      if ((other === number) !== sameAddress(its, peer)) return false
    }
    this.#channels.set(number, { peer, until: now + CHANNEL_LIFETIME })
    this.permit(peer.ip)
    return true
  }

  peerOf(number: number): Address | undefined {
    const channel = this.#channels.get(number)
    return channel && channel.until > this.#clock.now ? channel.peer : undefined
  }

  /** Client to peer. */
  send(peer: Address, bytes: Uint8Array) {
    const socket = this.sockets.find(({ address }) => isV6(address.ip) === isV6(peer.ip))
    if (this.permits(peer.ip) && socket) socket.send(peer, bytes)
    else this.denied++
  }

  #receive(peer: Address, bytes: Uint8Array, { deliver }: RelayOptions) {
    if (!this.alive || !this.permits(peer.ip)) {
      this.denied++
      return
    }
    deliver(this, peer, bytes, this.#channelOf(peer))
  }

  #channelOf(peer: Address): number | undefined {
    for (const [number, channel] of this.#channels) {
      if (channel.until > this.#clock.now && sameAddress(channel.peer, peer)) return number
    }
    return undefined
  }
}

export interface RelayOptions {
  readonly username: string
  readonly transactionId: string
  /** Peer to client. The bytes are borrowed. */
  deliver(relay: Relay, peer: Address, bytes: Uint8Array, channel: number | undefined): void
  onend(): void
}
