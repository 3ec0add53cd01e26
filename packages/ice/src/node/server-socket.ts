import { createSocket, type Socket } from 'node:dgram'
import { type Address, addressFamily, formatAddress, type Packet } from '@floe/stun'
import { bindNow, closed, DEADLY, enlargeReceiveBuffer, passThrough } from './sockets.ts'

/** Who hears of a server's socket. */
export interface ServerSocketOwner {
  handlePacket(packet: Packet): unknown
  /** The server is not to be had; the socket is closed. */
  handleFailure(local: Address, reason: string): void
}

/**
 * A UDP socket for one TURN server and nobody else: connected, so that the kernel drops what others send, and tells when
 * the server's port is closed.
 */
export class ServerSocket {
  readonly #local: Address
  readonly #remote: Address
  readonly #owner: ServerSocketOwner
  readonly #socket: Socket
  /** The server has said something: there is a way to it. */
  #heard = false
  #closed: Promise<void> | undefined

  /** Bound and connected when it returns. Throws the system's error. */
  constructor(local: Address, remote: Address, owner: ServerSocketOwner) {
    this.#local = local
    this.#remote = remote
    this.#owner = owner
    const family = addressFamily(local.ip)
    this.#socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', lookup: passThrough })
    bindNow(this.#socket, local.ip, local.port)
    enlargeReceiveBuffer(this.#socket)
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('message', (bytes) => this.#receive(bytes))
    this.#socket.connect(remote.port, remote.ip)
  }

  send(bytes: Uint8Array): void {
    if (this.#closed) return
    // A callback costs ChannelData a tick, and the socket's error event tells of a closed port as well.
    const isData = bytes[0]! > 3
    try {
      this.#socket.send(bytes, isData ? undefined : this.#onsent)
    } catch (error) {
      // It is not running any more. Who sends is in the midst of something.
      process.nextTick(() => this.#fail(error as NodeJS.ErrnoException))
    }
  }

  /** Resolves once the system has it back. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= closed(this.#socket)
    return this.#closed
  }

  readonly #onsent = (error: NodeJS.ErrnoException | null) => error && this.#fail(error)

  #receive(bytes: Uint8Array): void {
    this.#heard = true
    if (!this.#closed) this.#owner.handlePacket({ protocol: 'udp', local: this.#local, remote: this.#remote, bytes })
  }

  #fail({ code, message }: NodeJS.ErrnoException): void {
    // A full buffer or a refusing firewall loses this packet; the next one may pass.
    const isFatal = FATAL.has(code ?? '') || (!this.#heard && NO_WAY.has(code ?? ''))
    if (this.#closed || !isFatal) return
    void this.close()
    const reason =
      code === 'ECONNREFUSED' ? `nothing listens at ${formatAddress(this.#remote)} (ECONNREFUSED)` : message
    this.#owner.handleFailure(this.#local, reason)
  }
}

/** The server is gone, or our address is, or the socket: what the system has shut has no destination any more either. */
const FATAL: ReadonlySet<string> = new Set([...DEADLY, 'EDESTADDRREQ', 'ECONNREFUSED', 'EADDRNOTAVAIL'])

/**
 * No way there: known at once in place of after a while. Where there was one it may come back, as when a network is
 * changed; RFC 1122 §4.1.3.3 calls these errors soft. What stays silent the allocation finds out by itself.
 */
const NO_WAY: ReadonlySet<string> = new Set(['ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH'])
