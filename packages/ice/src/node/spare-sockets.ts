import type { Address, Packet } from '@floe/stun'
import type { InterfaceAddress } from './interfaces.ts'
import { openSockets, type PortRange, type SocketOwner, type UdpSocket } from './sockets.ts'

/** Sockets that the agent has asked for beyond those it gathered on: one in place of another, or many for a search. */
export class SpareSockets {
  readonly #owner: SocketOwner
  readonly #portRange: PortRange | undefined
  /** Made with the first: most agents need none. */
  #sockets: Map<Address, UdpSocket> | undefined
  #closing: Set<Promise<void>> | undefined

  constructor(owner: SocketOwner, portRange?: PortRange) {
    this.#owner = owner
    this.#portRange = portRange
  }

  /** Fewer when the system has no more: ports of the range, or file descriptors (`ulimit -n`). Failures go to the owner. */
  open(host: InterfaceAddress, count: number): Address[] {
    const addresses: Address[] = []
    try {
      while (addresses.length < count) {
        for (const socket of openSockets([host], this.#owner, this.#portRange)) {
          this.#sockets ??= new Map()
          this.#sockets.set(socket.address, socket)
          addresses.push(socket.address)
        }
      }
    } catch {} // Told to the owner already.
    return addresses
  }

  /** The interface that the socket is on, if it is one of these. */
  hostOf(local: Address): InterfaceAddress | undefined {
    return this.#sockets?.get(local)?.host
  }

  /** These addresses of the machine are gone, and with them the sockets on them; others that died are bound again. */
  closeOn(hosts: readonly InterfaceAddress[]): Address[] {
    const isGone = ({ ip }: InterfaceAddress) => hosts.some((host) => host.ip === ip)
    const isLost = (socket: UdpSocket) => isGone(socket.host) || (socket.isDead && !socket.revive())
    const gone = [...(this.#sockets ?? [])].filter(([, socket]) => isLost(socket)).map(([local]) => local)
    for (const local of gone) this.close(local)
    return gone
  }

  /** `false`: the packet is not from one of these. */
  send({ local, remote, bytes }: Packet, ttl?: number): boolean {
    const socket = this.#sockets?.get(local)
    socket?.send(bytes, remote, ttl)
    return socket !== undefined
  }

  close(local: Address): void {
    const socket = this.#sockets?.get(local)
    if (!socket) return
    this.#sockets?.delete(local)
    const pending = (this.#closing ??= new Set())
    const closing = socket.close().then(() => void pending.delete(closing))
    pending.add(closing)
  }

  /** Resolves once the system has everything back. */
  async closeAll(): Promise<void> {
    for (const local of [...(this.#sockets?.keys() ?? [])]) this.close(local)
    await Promise.all(this.#closing ?? [])
  }
}
