/**
 * One end of the whole product: joins a room of the signaling server and connects to everybody in it. The very same code
 * runs in a browser page and in Node, as an application's would.
 */
import { joinRoom, type Peer, type Room } from '@floe/signaling'
import { type Connection, type ConnectOptions, connect, type Signaling } from '@floe/webrtc'
import { BulkSource, CHUNK_BYTES, Checksum } from './bulk.ts'

export interface RoomPeerOptions extends ConnectOptions {
  /** What goes between the room's signaling and connect(): a test's man in the middle. */
  readonly tamper?: (signaling: Signaling) => Signaling
}

export class RoomPeer {
  readonly #options: RoomPeerOptions
  #room: Room | undefined
  /** One for every peer of the room, the latest last. */
  readonly #attempts: Promise<Connection>[] = []
  readonly #waiting: (() => void)[] = []
  readonly #inbox: string[] = []
  #bulk = new Checksum()

  constructor(options: RoomPeerOptions = {}) {
    this.#options = options
  }

  async join(server: string, room: string): Promise<void> {
    this.#room = await joinRoom(server, { room })
    this.#room.onpeer = (peer) => this.#connect(peer)
  }

  /** Resolves when the n-th attempt to connect has made it, and rejects with its error. */
  async connected(n = 1): Promise<void> {
    await this.#connection(n)
  }

  /** Why the n-th connection ended. */
  async closed(n = 1): Promise<string> {
    return (await this.#connection(n)).closed
  }

  async send(text: string, n = 1): Promise<void> {
    await (await this.#connection(n)).send(text)
  }

  /** Resolves when this text has come in. */
  async received(text: string): Promise<void> {
    await this.#until(() => this.#inbox.includes(text))
  }

  async sendBulk(bytes: number, seed: number): Promise<string> {
    const connection = await this.#connection(1)
    const source = new BulkSource(seed)
    const checksum = new Checksum()
    while (checksum.bytes < bytes) {
      const chunk = source.next(Math.min(CHUNK_BYTES, bytes - checksum.bytes))
      checksum.add(chunk)
      await connection.send(chunk)
    }
    return checksum.value
  }

  async receivedBulk(bytes: number): Promise<string> {
    await this.#until(() => this.#bulk.bytes >= bytes)
    const { value } = this.#bulk
    this.#bulk = new Checksum()
    return value
  }

  async leave(): Promise<void> {
    for (const attempt of this.#attempts) {
      await attempt.then((connection) => connection.close()).catch(() => {}) // A failed attempt has nothing to close.
    }
    await this.#room?.leave()
  }

  #connect(peer: Peer): void {
    const { tamper = (signaling: Signaling) => signaling, ...options } = this.#options
    const attempt = connect(tamper(peer), { ...options, polite: peer.polite })
    attempt.then((connection) => this.#listen(connection)).catch(() => {}) // connected() reports it.
    this.#attempts.push(attempt)
    this.#wake()
  }

  #listen(connection: Connection): void {
    connection.onmessage = (data) => {
      if (typeof data === 'string') this.#inbox.push(data)
      else this.#bulk.add(data as Uint8Array<ArrayBuffer>)
      this.#wake()
    }
  }

  async #connection(n: number): Promise<Connection> {
    await this.#until(() => this.#attempts.length >= n)
    return this.#attempts[n - 1]!
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume()
  }
}
