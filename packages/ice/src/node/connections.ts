import type { ConnectionOptions } from 'node:tls'
import { type Address, addressFamily, type Packet } from '@floe/stun'
import type { AgentOutput } from '../outputs.ts'
import { rfc4571 } from '../tcp.ts'
import { turnFraming } from '../turn-framing.ts'
import type { ProxyServer } from './proxy.ts'
import { ServerSocket, type ServerSocketOwner } from './server-socket.ts'
import { Stream, type StreamOwner } from './stream.ts'

export type ConnectRequest = Extract<AgentOutput, { type: 'connect' }>

/** Who asked for the connections. Nothing of this is called before `open()` returns. */
export interface ConnectionsOwner {
  handlePacket(packet: Packet): unknown
  handleConnected(local: Address): void
  handleDisconnected(local: Address, reason: string): void
}

export interface ConnectionsOptions {
  /** For TURN servers over TLS. */
  readonly tls?: ConnectionOptions | undefined
  /** The way to TURN servers over TCP and TLS. */
  readonly proxy?: ProxyServer | undefined
  /** Where an address is on the wire: another one behind a NAT64. */
  readonly outward?: (remote: Address, local: Address) => Address
}

/**
 * The connections that an agent has asked for, by the names that it gave them: to TURN servers over UDP, TCP and TLS, to
 * the peer over TCP, and those that the peer has opened.
 */
export class Connections implements StreamOwner, ServerSocketOwner {
  readonly #owner: ConnectionsOwner
  readonly #options: ConnectionsOptions
  #byName: Map<Address, Stream | ServerSocket> | undefined
  /** By name: whom the agent has asked for, where that is another address on the wire. */
  #asked: Map<Address, Address> | undefined
  #closing: Set<Promise<void>> | undefined
  #onchange: () => void = () => {}

  constructor(owner: ConnectionsOwner, options: ConnectionsOptions) {
    this.#owner = owner
    this.#options = options
  }

  open(asked: ConnectRequest): void {
    const { local, protocol } = asked
    const remote = this.#options.outward?.(asked.remote, local) ?? asked.remote
    const request = { ...asked, remote }
    if (remote !== asked.remote) (this.#asked ??= new Map()).set(local, asked.remote)
    try {
      if (protocol === 'udp') {
        this.#add(local, new ServerSocket(local, remote, this))
        process.nextTick(() => this.#byName?.has(local) && this.#owner.handleConnected(local))
      } else this.#add(local, Stream.connect(this.#streamOptions(request), this))
    } catch (error) {
      process.nextTick(() => this.#owner.handleDisconnected(local, (error as Error).message))
    }
  }

  /** The agent does not want it any more: nobody is told. */
  close(local: Address): void {
    const connection = this.#byName?.get(local)
    this.#byName?.delete(local)
    this.#asked?.delete(local)
    if (connection) this.#await(connection.close())
  }

  /** `false`: not one of these. What a connection cannot take is lost, like any datagram. */
  send({ local, bytes }: Packet): boolean {
    const connection = this.#byName?.get(local)
    connection?.send(bytes)
    return connection !== undefined
  }

  /** Resolves once no connection is left, those included that are open now. */
  async closed(): Promise<void> {
    while (this.#byName?.size || this.#closing?.size) {
      if (this.#closing?.size) await Promise.all(this.#closing)
      else await new Promise<void>((resolve) => (this.#onchange = resolve))
    }
  }

  handlePacket(packet: Packet): void {
    const asked = this.#asked?.get(packet.local)
    this.#owner.handlePacket(asked ? { ...packet, remote: asked } : packet)
  }

  handleConnect(stream: Stream): void {
    // The peer's own connections are new here; the agent knows those that it has asked for.
    if (this.#byName?.has(stream.local)) this.#owner.handleConnected(stream.local)
    else this.#add(stream.local, stream)
  }

  handleClose(stream: Stream, error?: Error): void {
    if (this.#byName?.get(stream.local) === stream) this.handleFailure(stream.local, error?.message ?? 'closed')
  }

  handleFailure(local: Address, reason: string): void {
    this.#byName?.delete(local)
    this.#asked?.delete(local)
    this.#owner.handleDisconnected(local, reason)
    this.#onchange()
  }

  #add(local: Address, connection: Stream | ServerSocket): void {
    this.#byName ??= new Map()
    this.#byName.set(local, connection)
  }

  #streamOptions({ local, remote, protocol, framing, server }: ConnectRequest) {
    const { tls, proxy } = this.#options
    const isBound = local.ip !== '0.0.0.0' && local.ip !== '::'
    const name = server?.hostname
    const options = {
      local,
      remote,
      framing: framing === 'turn' ? turnFraming : rfc4571,
      localIp: isBound ? local.ip : undefined,
    }
    if (framing !== 'turn') return options
    // RFC 6066 §3 allows no IP address as a server name.
    const servername = name !== undefined && addressFamily(name) === undefined ? { servername: name } : {}
    return { ...options, proxy, tls: protocol === 'tls' ? { ...servername, ...tls } : undefined }
  }

  #await(closing: Promise<void>): void {
    this.#closing ??= new Set()
    const done = closing.finally(() => {
      this.#closing?.delete(done)
      this.#onchange()
    })
    this.#closing.add(done)
    this.#onchange()
  }
}
