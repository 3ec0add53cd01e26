/**
 * One end of a long stream over connect(): sends and receives at once, and keeps account of both. The very same code runs
 * in a browser page and in Node.
 */
import { joinRoom, type Room } from '@floe/signaling'
import { type Connection, type ConnectionPath, type ConnectOptions, connect } from '@floe/webrtc'
import { BulkSource, CHUNK_BYTES, Checksum } from './bulk.ts'

export interface StreamReport {
  readonly path: ConnectionPath | undefined
  readonly paths: readonly (ConnectionPath | undefined)[]
  readonly sent: number
  readonly received: number
  /** Of what was sent, and of what came in. */
  readonly checksums: { readonly sent: string; readonly received: string }
  /** The longest time in which nothing came in while there was something to come, in ms. */
  readonly longestPause: number
  readonly closed: string | undefined
}

export class StreamPeer {
  #room: Room | undefined
  #connection: Connection | undefined
  readonly #sent = new Checksum()
  readonly #received = new Checksum()
  readonly #paths: (ConnectionPath | undefined)[] = []
  #longestPause = 0
  #expected = Number.POSITIVE_INFINITY
  #lastAt = 0
  #closed: string | undefined

  /** Resolves when the connection is there. */
  async join(server: string, name: string, options: ConnectOptions = {}): Promise<void> {
    const room = await joinRoom(server, { room: name })
    this.#room = room
    this.#connection = await new Promise<Connection>((resolve, reject) => {
      room.onpeer = (peer) => connect(peer, options).then(resolve, reject)
    })
    const connection = this.#connection
    this.#paths.push(connection.path)
    connection.onpathchange = (path) => this.#paths.push(path)
    void connection.closed.then((reason) => (this.#closed = reason))
    connection.onmessage = (data) => this.#receive(data as Uint8Array<ArrayBuffer>)
  }

  /** Begins to send so many bytes, at most `rate` of them per second, and to expect as many. */
  start(bytes: number, rate: number, seed: number): void {
    this.#expected = bytes
    this.#lastAt = performance.now()
    void this.#send(bytes, rate, seed)
  }

  report(): StreamReport {
    const pause = this.#received.bytes < this.#expected ? performance.now() - this.#lastAt : 0
    return {
      path: this.#connection?.path,
      paths: this.#paths,
      sent: this.#sent.bytes,
      received: this.#received.bytes,
      checksums: { sent: this.#sent.value, received: this.#received.value },
      longestPause: Math.max(this.#longestPause, pause),
      closed: this.#closed,
    }
  }

  async leave(): Promise<void> {
    await this.#connection?.close()
    await this.#room?.leave()
  }

  async #send(bytes: number, rate: number, seed: number): Promise<void> {
    const source = new BulkSource(seed)
    const started = performance.now()
    while (this.#sent.bytes < bytes) {
      const chunk = source.next(Math.min(CHUNK_BYTES, bytes - this.#sent.bytes))
      this.#sent.add(chunk)
      await this.#connection!.send(chunk)
      const ahead = (this.#sent.bytes / rate) * 1000 - (performance.now() - started)
      if (ahead > 10) await new Promise((resolve) => setTimeout(resolve, ahead))
    }
  }

  #receive(chunk: Uint8Array<ArrayBuffer>): void {
    const now = performance.now()
    this.#longestPause = Math.max(this.#longestPause, now - this.#lastAt)
    this.#lastAt = now
    this.#received.add(chunk)
  }
}
