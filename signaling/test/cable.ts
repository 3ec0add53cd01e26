import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP relay in front of a server, to pull and plug in like a network cable. */
export class Cable implements AsyncDisposable {
  readonly #relay: Server
  readonly #sockets = new Set<Socket>()
  readonly #port: number
  #target: string
  #plugged = true

  static async to(target: string): Promise<Cable> {
    const relay = createServer()
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    return new Cable(relay, target)
  }

  private constructor(relay: Server, target: string) {
    this.#relay = relay
    this.#target = target
    this.#port = (relay.address() as AddressInfo).port
    relay.on('connection', (socket) => this.#relayTo(socket))
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  pull(): void {
    this.#plugged = false
    for (const socket of this.#sockets) socket.destroy()
  }

  plug(target = this.#target): void {
    this.#target = target
    this.#plugged = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pull()
    this.#relay.close()
    await once(this.#relay, 'close')
  }

  #relayTo(near: Socket): void {
    near.on('error', () => {})
    if (!this.#plugged) {
      near.destroy()
      return
    }
    const far = connect(Number(new URL(this.#target).port), '127.0.0.1')
    far.on('error', () => near.destroy())
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  }
}
