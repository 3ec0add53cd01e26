import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'
import type { Address } from '@floe/stun'

/** A real TCP or TLS server that does with a connection what the test says. Without `serve` it echoes. */
export class StreamServer implements AsyncDisposable {
  readonly sockets: Socket[] = []
  readonly #server: Server
  readonly #ip: string

  private constructor(server: Server, ip: string) {
    this.#server = server
    this.#ip = ip
    server.on('connection', (socket: Socket) => {
      this.sockets.push(socket)
      socket.on('error', () => {})
    })
  }

  static async listen(serve: (socket: Socket) => void = echo, ip = '127.0.0.1'): Promise<StreamServer> {
    return StreamServer.#start(createServer(serve), ip)
  }

  static async listenTls(
    options: TlsOptions,
    serve: (socket: TLSSocket) => void = echo,
    ip = '127.0.0.1',
  ): Promise<StreamServer> {
    const server = createTlsServer(options, (socket) => {
      socket.on('error', () => {})
      serve(socket)
    })
    server.on('tlsClientError', () => {})
    return StreamServer.#start(server, ip)
  }

  get address(): Address {
    return { ip: this.#ip, port: (this.#server.address() as AddressInfo).port }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  static async #start(server: Server, ip: string): Promise<StreamServer> {
    server.listen(0, ip)
    await once(server, 'listening')
    return new StreamServer(server, ip)
  }
}

function echo(socket: Socket): void {
  socket.pipe(socket)
}
