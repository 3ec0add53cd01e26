import { randomInt } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { type Address, addressFamily, canonicalIp } from '@floe/stun'
import { BindingServer, type BindingServerStats } from '../binding-server.ts'
import { NatError } from '../error.ts'
import { clock } from './clock.ts'
import { openSocket, sendFrom } from './udp.ts'

export interface StunServerOptions {
  /** IP addresses of this machine, one of a family or two; two make it an RFC 5780 server for that family. */
  readonly addresses: readonly string[]
  /** UDP port. Default: 3478 (RFC 8489 §8). 0: a free one. */
  readonly port?: number
  /** The second port of RFC 5780, where there are two addresses. Default: 3479. 0: a free one. */
  readonly alternatePort?: number
}

/** A STUN server for small deployments and tests: Binding over UDP, bounded in what it can be made to send. */
export class StunServer implements AsyncDisposable {
  /** What clients are told: `stun:192.0.2.1:3478`, one for each address. */
  readonly urls: readonly string[]
  readonly #machine: BindingServer
  readonly #sockets = new Map<Address, Socket>()
  #closed: Promise<void> | undefined

  /**
   * Listens when it returns, and keeps the process alive until it is closed. Throws ERR_NAT_ARGUMENT; ERR_NAT_LISTEN
   * with the system's error as its cause when a port is taken or an address not ours.
   */
  constructor({ addresses, port = 3478, alternatePort = 3479 }: StunServerOptions) {
    const ips = addresses.map(checkIp)
    const groups = ([4, 6] as const).map((family) => ips.filter((ip) => addressFamily(ip) === family))
    if (ips.length === 0 || groups.some(({ length }) => length > 2)) {
      throw new NatError(
        'ERR_NAT_ARGUMENT',
        `addresses must be one or two of a family, not ${ips.join(', ') || 'none'}`,
      )
    }
    const hasOther = groups.some(({ length }) => length === 2)
    this.#listen(groups, hasOther ? [port, alternatePort] : [port])
    const locals = [...this.#sockets.keys()]
    this.#machine = new BindingServer({ locals })
    const main = locals[0]!.port
    this.urls = ips.map((ip) => `stun:${ip.includes(':') ? `[${ip}]` : ip}:${main}`)
    for (const [local, socket] of this.#sockets) {
      socket.on('message', (bytes, from) => {
        const remote = { ip: canonicalIp(from.address) ?? from.address, port: from.port }
        this.#machine.handlePacket(clock(), { protocol: 'udp', local, remote, bytes })
        this.#settle()
      })
    }
  }

  get stats(): BindingServerStats {
    return this.#machine.stats
  }

  /** Whether it tells clients about filtering too (RFC 5780). */
  get discoversBehavior(): boolean {
    return [...this.#sockets.keys()].some((local) => this.#machine.otherAddress(local) !== undefined)
  }

  /** Resolves once the system has its ports back. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= closeAll([...this.#sockets.values()])
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #settle(): void {
    for (let output = this.#machine.poll(); output; output = this.#machine.poll()) {
      const { local, remote, bytes } = output.packet
      const socket = this.#sockets.get(local)
      if (socket && !this.#closed) sendFrom(socket, bytes, remote)
    }
  }

  /** A port that is free on one address may be taken on the next one: a free one is looked for on all of them. */
  #listen(groups: readonly (readonly string[])[], ports: readonly number[]): void {
    for (let attempt = 1; ; attempt++) {
      const chosen = ports.map((port) => port || randomInt(FREE_PORTS[0], FREE_PORTS[1]))
      try {
        for (const ips of groups) {
          for (const port of ips.length === 2 ? chosen : chosen.slice(0, 1)) {
            for (const ip of ips) this.#sockets.set(Object.freeze({ ip, port }), openSocket({ ip, port }))
          }
        }
        return
      } catch (error) {
        void closeAll([...this.#sockets.values()])
        this.#sockets.clear()
        const { code, message } = error as NodeJS.ErrnoException
        if (code === 'EADDRINUSE' && ports.includes(0) && attempt < ATTEMPTS) continue
        const hint = code === 'EADDRINUSE' ? ': take another port' : ''
        throw new NatError('ERR_NAT_LISTEN', `a STUN server cannot listen, ${message}${hint}`, { cause: error })
      }
    }
  }
}

/** Where nobody listens by convention and systems seldom take ports from by themselves. */
const FREE_PORTS = [10_000, 30_000] as const
const ATTEMPTS = 20

function checkIp(text: string): string {
  const ip = canonicalIp(text)
  if (ip !== undefined) return ip
  throw new NatError('ERR_NAT_ARGUMENT', `addresses must be IP addresses, not ${text}`)
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))))
}
