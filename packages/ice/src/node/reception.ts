import type { Socket } from 'node:net'
import { ipToBytes } from '@floe/stun'
import { FirstRequest } from './first-request.ts'

export interface ReceptionLimits {
  /** Milliseconds from accepting a connection to its first Binding request, and to our first answer. */
  readonly firstPacket: number
  /** Connections that have not named an agent yet, in the whole process. */
  readonly unidentified: number
  /** Those of one remote IPv4 address or IPv6 /64. */
  readonly unidentifiedPerRemote: number
}

/**
 * Who takes a connection that named this ufrag, with all its bytes put back into it. `false`: nobody, or not any more.
 */
export type Identify = (usernameFragment: string, socket: Socket) => boolean

/**
 * Where accepted connections wait until they have said whom they want: not long, and not many. When it is full the
 * oldest has to go: an honest peer is served within a round trip, whoever holds places open waits for nothing.
 */
export class Reception {
  readonly #limits: ReceptionLimits
  /** The oldest first. */
  readonly #visitors = new Set<Visitor>()

  constructor(limits: ReceptionLimits) {
    this.#limits = limits
  }

  /** Takes a socket as accepted. `door` is where it came in, for `clear()`. Nothing here keeps the process alive. */
  admit(socket: Socket, door: object, identify: Identify): void {
    const visitor = new Visitor(socket, door)
    this.#makeRoom(visitor)
    this.#visitors.add(visitor)
    socket.unref()
    const timer = setTimeout(() => socket.destroy(), this.#limits.firstPacket).unref()
    const leave = () => {
      clearTimeout(timer)
      this.#visitors.delete(visitor)
    }
    const read = (chunk: Uint8Array) => {
      const found = visitor.request.push(chunk)
      if (!found) return
      leave()
      socket.off('data', read).off('close', leave).off('error', ignore).pause()
      socket.unshift(visitor.request.received)
      if (found.type === 'garbage' || !identify(found.usernameFragment, socket.ref()))
        socket.on('error', ignore).destroy()
    }
    socket.on('data', read).on('close', leave).on('error', ignore)
  }

  /** Sends away who came in by this door. */
  clear(door: object): void {
    for (const visitor of this.#visitors) if (visitor.door === door) visitor.socket.destroy()
  }

  #makeRoom({ origin }: Visitor): void {
    const { unidentified, unidentifiedPerRemote } = this.#limits
    const neighbours = [...this.#visitors].filter((other) => other.origin === origin)
    let leaving: Visitor | undefined
    if (neighbours.length >= unidentifiedPerRemote) [leaving] = neighbours
    else if (this.#visitors.size >= unidentified) [leaving] = this.#visitors
    if (!leaving) return
    this.#visitors.delete(leaving)
    leaving.socket.destroy()
  }
}

class Visitor {
  readonly socket: Socket
  readonly door: object
  readonly origin: string
  readonly request = new FirstRequest()

  constructor(socket: Socket, door: object) {
    this.socket = socket
    this.door = door
    this.origin = originOf(socket.remoteAddress ?? '')
  }
}

/** One who has an IPv6 address usually has 2^64 of them. */
function originOf(ip: string): string {
  const bytes = ipToBytes(ip)
  return bytes?.length === 16 ? bytes.subarray(0, 8).join(' ') : ip
}

/** A connection that breaks before it has said anything is nobody's loss; 'close' follows. */
function ignore(): void {}
