import { type Address, decode, encode, type Packet } from '@floe/stun'
import type { LinkQuality } from '../topology/behavior.ts'
import type { Host, Network, Socket } from './network.ts'

export interface StunServerOptions {
  readonly ip: string
  /** A second address makes it an RFC 5780 server: OTHER-ADDRESS, RESPONSE-ORIGIN and CHANGE-REQUEST work. */
  readonly otherIp?: string
  /** Takes requests and never answers. */
  readonly dead?: boolean
  /** Answers each request with this error instead. */
  readonly error?: { readonly code: number; readonly reason: string }
  readonly link?: LinkQuality
}

export const STUN_PORT = 3478
const OTHER_PORT = 3479

/** A public STUN server (RFC 8489 Binding usage, RFC 5780 with two addresses) on a host of its own. */
export class StunServer {
  readonly host: Host
  readonly address: Address
  readonly url: string
  dead: boolean
  /** Requests that arrived, retransmissions included. */
  requests = 0
  readonly #options: StunServerOptions
  /** By [ip][port], the primary one first. */
  readonly #sockets: Socket[][]

  constructor(network: Network, name: string, options: StunServerOptions) {
    const { ip, otherIp, link = {}, dead = false } = options
    this.#options = options
    this.dead = dead
    this.url = `stun:${ip}`
    this.address = { ip, port: STUN_PORT }
    this.host = network.host(name)
    const ips = otherIp === undefined ? [ip] : [ip, otherIp]
    for (const one of ips) this.host.attach(network.internet, one, link)
    this.#sockets = ips.map((one, i) =>
      (otherIp === undefined ? [STUN_PORT] : [STUN_PORT, OTHER_PORT]).map((port, j) =>
        this.host.bind(one, port, (packet) => this.#answer(packet, i, j)),
      ),
    )
  }

  #answer(packet: Packet, ipIndex: number, portIndex: number) {
    const request = decode(packet.bytes)
    if (request?.method !== 'binding' || request.class !== 'request') return
    this.requests++
    if (this.dead) return
    const { method, transactionId } = request
    const { error, otherIp } = this.#options
    const change = otherIp === undefined ? undefined : request.attributes.changeRequest
    const from =
      this.#sockets[change?.changeIp ? 1 - ipIndex : ipIndex]![change?.changePort ? 1 - portIndex : portIndex]!
    const attributes = error
      ? { errorCode: error }
      : {
          xorMappedAddress: packet.remote,
          ...(otherIp && {
            responseOrigin: from.address,
            otherAddress: this.#sockets[1 - ipIndex]![1 - portIndex]!.address,
          }),
        }
    from.send(packet.remote, encode({ method, class: error ? 'error' : 'success', transactionId, attributes }))
  }
}
