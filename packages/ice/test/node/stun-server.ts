import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Address, decode, encode } from '@floe/stun'

/** A real STUN server, RFC 8489 Binding only. */
export class StunServer implements AsyncDisposable {
  /** Repetitions included, as they come when this machine is busy. */
  requests = 0
  readonly #transactions = new Set<string>()
  /** Answers none of the first so many requests. */
  ignore = 0
  /** What it says the sender's address is: that of a NAT in between. */
  mapped: Address | undefined
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (bytes, { address: ip, port }) => {
      const request = decode(bytes)
      if (request?.class !== 'request' || ++this.requests <= this.ignore) return
      const { transactionId } = request
      this.#transactions.add(Buffer.from(transactionId).toString('hex'))
      const attributes = { xorMappedAddress: this.mapped ?? { ip, port } }
      socket.send(encode({ method: 'binding', class: 'success', transactionId, attributes }), port, ip)
    })
  }

  static async listen(ip = '127.0.0.1'): Promise<StunServer> {
    const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4')
    socket.bind(0, ip)
    await once(socket, 'listening')
    return new StunServer(socket)
  }

  get transactions(): number {
    return this.#transactions.size
  }

  get port(): number {
    return this.#socket.address().port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(resolve))
  }
}
