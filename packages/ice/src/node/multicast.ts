import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { scopeId } from './interfaces.ts'
import { bindNow, passThrough } from './sockets.ts'

/** RFC 6762 §3. */
export const MDNS_PORT = 5353
const GROUP = { 4: '224.0.0.251', 6: 'ff02::fb' } as const

/** Called for each datagram; `reply` sends back to where it came from alone. */
export type MulticastListener = (bytes: Buffer, from: RemoteInfo, reply: (bytes: Uint8Array) => void) => void

/** The multicast groups of mDNS, on every interface of this machine and in both families, as far as the system allows. */
export class MulticastLink {
  readonly #sockets: Member[]
  #failure = 'no network interface'

  constructor(listener: MulticastListener) {
    this.#sockets = ([4, 6] as const).flatMap((family) => {
      try {
        return [new Member(family, listener)]
      } catch (error) {
        this.#failure = (error as Error).message
        return []
      }
    })
    this.refresh()
  }

  /** Why nothing can be sent, or `undefined`. */
  get failure(): string | undefined {
    return this.#sockets.some(({ joined }) => joined) ? undefined : this.#failure
  }

  /** Joins on interfaces that have come since. */
  refresh(): void {
    const found = Object.entries(networkInterfaces()).flatMap(([name, infos = []]) =>
      infos.map((info) => ({ name, info })),
    )
    const network = found.filter(({ info }) => !info.internal)
    for (const socket of this.#sockets) {
      for (const { name, info } of network.length > 0 ? network : found) {
        try {
          if (info.family === (socket.family === 4 ? 'IPv4' : 'IPv6')) {
            socket.join(socket.family === 4 ? info.address : scopeId(name, info))
          }
        } catch (error) {
          this.#failure = (error as Error).message
        }
      }
    }
  }

  send(bytes: Uint8Array): void {
    for (const socket of this.#sockets) socket.multicast(bytes)
  }

  close(): void {
    for (const socket of this.#sockets) socket.close()
  }
}

/** One family's socket. */
class Member {
  readonly family: 4 | 6
  readonly #socket: Socket
  /** IPv4 names interfaces by an address of theirs, IPv6 by scope id. */
  readonly #interfaces = new Set<string>()

  constructor(family: 4 | 6, listener: MulticastListener) {
    this.family = family
    this.#socket = bindShared(family)
    this.#socket.setMulticastTTL(255) // RFC 6762 §11: proof for old receivers that it came from this link.
    this.#socket.setMulticastLoopback(true) // The browser may well run on this machine.
    this.#socket.on('error', ignore) // A receive error of one interface is the loss of one packet.
    this.#socket.on('message', (bytes, from) => {
      listener(bytes, from, (reply) => from.port > 0 && this.#socket.send(reply, from.port, from.address))
    })
  }

  get joined(): boolean {
    return this.#interfaces.size > 0
  }

  join(networkInterface: string): void {
    if (this.#interfaces.has(networkInterface)) return
    this.#socket.addMembership(GROUP[this.family], this.family === 4 ? networkInterface : `::%${networkInterface}`)
    this.#interfaces.add(networkInterface)
  }

  /** One copy per interface. The system takes each before the next interface is set: a lookup that answers at once. */
  multicast(bytes: Uint8Array): void {
    for (const networkInterface of this.#interfaces) {
      try {
        this.#socket.setMulticastInterface(this.family === 4 ? networkInterface : `::%${networkInterface}`)
        this.#socket.send(bytes, MDNS_PORT, GROUP[this.family])
      } catch {
        this.#interfaces.delete(networkInterface) // It is gone; should it come back, refresh() joins anew.
      }
    }
  }

  close(): void {
    this.#socket.close()
  }
}

/**
 * Port 5353 together with the system's own responder. Where that one does not share, any port: queries are then one-shot
 * ones, answered by unicast (RFC 6762 §5.1, §6.7). Throws when there is no such family.
 */
function bindShared(family: 4 | 6): Socket {
  const type = family === 6 ? 'udp6' : 'udp4'
  const any = family === 6 ? '::' : '0.0.0.0'
  const make = (port: number) => {
    const socket = createSocket({ type, reuseAddr: true, ipv6Only: family === 6, lookup: passThrough })
    bindNow(socket, any, port)
    return socket
  }
  try {
    return make(MDNS_PORT)
  } catch {
    return make(0)
  }
}

function ignore(): void {}
