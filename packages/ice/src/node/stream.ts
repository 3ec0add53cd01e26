import type { Socket } from 'node:net'
import { type Address, formatAddress, type Packet } from '@floe/stun'
import type { FrameDecoder, Framing } from '../tcp.ts'
import { connectFailure } from './connect-failure.ts'
import { Dial, type DialOptions, destroyed } from './dial.ts'

/** The owner of streams: one for all of them, so that a stream brings no closures of its own. */
export interface StreamOwner {
  /** What it sends arrives from now on. `address` is the socket's own. */
  handleConnect(stream: Stream, address: Address): void
  /** Called for each message, `packet.local` and `packet.remote` being the stream's objects. */
  handlePacket(packet: Packet): unknown
  /** Called once, after which nothing else is. `error` says why in words; without one the owner closed it. */
  handleClose(stream: Stream, error?: Error): void
}

export interface StreamIdentity {
  /** The owner's name for this end; packets carry this object, which may be a Map key. */
  readonly local: Address
  /** The peer; `ip` is a name where only a proxy knows better. Packets carry this object. */
  readonly remote: Address
  readonly framing: Framing
}

export interface StreamOptions extends StreamIdentity, DialOptions {}

/**
 * What may wait for the network, bytes, beyond the kernel's buffer. It holds the whole window of an SCTP association
 * (1 MiB in werift and libwebrtc), so that its congestion control meets delay before it meets loss.
 */
export const HIGH_WATER_MARK = 1024 * 1024

/** Beyond it for STUN requests and answers: they are few, and data must not starve consent, refreshes and permissions. */
export const STUN_RESERVE = 64 * 1024

/** Milliseconds from close() to the end of a connection whose peer does not take our last bytes, or does not close. */
export const CLOSE_DEADLINE = 500

/** One TCP or TLS connection that carries messages. It behaves as a lossy network: what cannot be sent is dropped. */
export class Stream {
  readonly local: Address
  readonly remote: Address
  readonly #framing: Framing
  readonly #decoder: FrameDecoder
  readonly #owner: StreamOwner
  #dial: Dial | undefined
  /** From connected to closed. */
  #socket: Socket | undefined
  /** Frames of this turn of the event loop: they leave together at its end, in one segment and one TLS record. */
  #batch: Uint8Array[] = []
  #batchBytes = 0
  #hasSent = false
  #closed: Promise<void> | undefined

  private constructor({ local, remote, framing }: StreamIdentity, owner: StreamOwner) {
    this.local = local
    this.remote = remote
    this.#framing = framing
    this.#decoder = framing.decoder()
    this.#owner = owner
  }

  /** Whether anything was ever sent over it. */
  get hasSent(): boolean {
    return this.#hasSent
  }

  /** Begins to connect. How it went the owner hears later, never before this returns. Throws as `new Dial()`. */
  static connect(options: StreamOptions, owner: StreamOwner): Stream {
    const stream = new Stream(options, owner)
    const dial = new Dial(options, (result) => {
      stream.#dial = undefined
      if (result instanceof Error) stream.#end(dial.cancel(), result)
      else stream.#adopt(result)
    })
    stream.#dial = dial
    return stream
  }

  /** Takes over a connected socket. Calls `handleConnect` before it returns. */
  static accept(socket: Socket, identity: StreamIdentity, owner: StreamOwner): Stream {
    const stream = new Stream(identity, owner)
    stream.#adopt(socket)
    return stream
  }

  /**
   * Queues a message; never waits. `false`, and it is dropped: not connected, longer than the framing can carry, or too
   * much is waiting already.
   */
  send(bytes: Uint8Array): boolean {
    const socket = this.#socket
    if (!socket || this.#closed || !this.#hasRoom(socket, bytes)) return false
    const encoded = this.#framing.encode(bytes)
    if (encoded === undefined) return false
    this.#hasSent = true
    if (this.#batch.length === 0) process.nextTick(Stream.#endTurn, this)
    for (const part of encoded instanceof Uint8Array ? [encoded] : encoded) {
      this.#batch.push(part)
      this.#batchBytes += part.length
    }
    return true
  }

  /**
   * What was sent still leaves, if the peer takes it within CLOSE_DEADLINE; nothing is received any more. Resolves once
   * the system has everything back. Idempotent.
   */
  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  /** Ends it now, in the middle of what was sent; the owner hears why. After close() it only hastens the end. */
  abort(reason: string): void {
    this.#fail(new Error(`${this.#peer}: ${reason}`))
  }

  async #close(): Promise<void> {
    await (this.#dial ? this.#dial.cancel() : this.#finish(this.#socket as Socket))
    this.#owner.handleClose(this)
  }

  async #finish(socket: Socket): Promise<void> {
    this.#flush(socket)
    socket.end()
    const timer = setTimeout(() => socket.destroy(), CLOSE_DEADLINE)
    await destroyed(socket)
    clearTimeout(timer)
  }

  #adopt(socket: Socket): void {
    this.#socket = socket
    socket.on('data', (chunk) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(connectFailure(error, { peer: this.#peer, tls: false, name: '' })))
    socket.on('end', () => this.abort('the peer closed the connection'))
    socket.on('close', () => this.abort('the connection is closed'))
    this.#owner.handleConnect(this, { ip: socket.localAddress ?? '', port: socket.localPort ?? 0 })
    socket.resume()
  }

  get #peer(): string {
    return formatAddress(this.remote)
  }

  #receive(chunk: Uint8Array): void {
    if (this.#closed) return
    const { local, remote } = this
    const { frames, error } = this.#decoder.push(chunk)
    for (const bytes of frames) {
      this.#owner.handlePacket({ protocol: 'tcp', local, remote, bytes })
      if (this.#closed) return
    }
    if (error !== undefined) this.abort(`the peer sent something ${error}`)
  }

  #fail(error: Error): void {
    const gone = this.#dial ? this.#dial.cancel() : destroyed((this.#socket as Socket).destroy())
    // After close() it is what was wanted.
    if (!this.#closed) this.#end(gone, error)
  }

  #end(closed: Promise<void>, error: Error): void {
    this.#closed = closed
    this.#owner.handleClose(this, error)
  }

  #hasRoom(socket: Socket, bytes: Uint8Array): boolean {
    const waiting = socket.writableLength + this.#batchBytes
    return waiting + bytes.length <= (isTransaction(bytes) ? HIGH_WATER_MARK + STUN_RESERVE : HIGH_WATER_MARK)
  }

  #flush(socket: Socket): void {
    if (this.#batch.length === 0) return
    const [first] = this.#batch as [Uint8Array]
    // One copy of everything is cheaper than one write for each.
    socket.write(this.#batch.length === 1 ? first : Buffer.concat(this.#batch, this.#batchBytes))
    this.#batch = []
    this.#batchBytes = 0
  }

  /** One function for all streams instead of a closure for each turn. */
  static #endTurn(stream: Stream): void {
    stream.#flush(stream.#socket as Socket)
  }
}

/** STUN requests and answers (RFC 8489 §5): indications can carry a relay's data. */
function isTransaction(bytes: Uint8Array): boolean {
  const [first = 4, second = 0] = bytes
  return first < 4 && ((first & 1) === 1 || (second & 0x10) === 0)
}
