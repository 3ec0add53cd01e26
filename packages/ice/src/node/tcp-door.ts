import type { Address, Packet } from '@floe/stun'
import type { Connections } from './connections.ts'
import type { PortRange, SocketOwner } from './sockets.ts'
import type { Stream } from './stream.ts'
import { type TcpMember, type TcpShare, tcpListeners } from './tcp-listener.ts'

export interface TcpDoorOptions {
  /** Once for each address: peers can connect to it, or (`undefined`) they cannot. */
  readonly onlistening: (address: Address | undefined) => void
}

/** Where peers connect to one transport, RFC 6544 passive: its share of the listeners of this process. */
export class TcpDoor implements TcpMember {
  readonly #connections: Connections
  readonly #owner: SocketOwner
  readonly #options: TcpDoorOptions
  #shares: readonly TcpShare[] = []
  #listening = 0
  #expected = 0

  constructor(connections: Connections, owner: SocketOwner, options: TcpDoorOptions) {
    this.#connections = connections
    this.#owner = owner
    this.#options = options
  }

  /** More addresses may follow later. */
  open(usernameFragments: readonly string[], ips: readonly string[], portRange: PortRange | undefined): void {
    this.#expected += ips.length
    this.#shares = this.#shares.concat(tcpListeners.join(this, usernameFragments, { ips, portRange }))
  }

  /** After a restart: these ufrags, and no others any more. */
  rename(usernameFragments: readonly string[]): void {
    for (const share of this.#shares) share.rename(usernameFragments)
  }

  async close(): Promise<void> {
    await Promise.all(this.#shares.map((share) => share.close()))
  }

  handleListening(address: Address): void {
    this.#listening++
    this.#options.onlistening(address)
  }

  /** Before all have answered it is one that does not listen; afterwards only a failing accept. */
  handleSocketError(local: string, error: NodeJS.ErrnoException): void {
    this.#owner.handleSocketError(local, error)
    if (this.#listening === this.#expected) return
    this.#listening++
    this.#options.onlistening(undefined)
  }

  handleConnect(stream: Stream): void {
    this.#connections.handleConnect(stream)
  }

  handlePacket(packet: Packet): void {
    this.#owner.handlePacket(packet)
  }

  handleClose(stream: Stream, error?: Error): void {
    this.#connections.handleClose(stream, error)
  }
}
