import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { type Address, addressFamily, formatAddress, withoutScope } from '@floe/stun'
import { IceError } from '../error.ts'
import { type ConnectStage, connectFailure } from './connect-failure.ts'
import { HttpConnect } from './http-connect.ts'
import type { ProxyServer } from './proxy.ts'
import { Socks5 } from './socks5.ts'

export interface DialOptions {
  /** `ip` may be a name: a proxy resolves it; without a proxy the system does. */
  readonly remote: Address
  /** The address of this machine to connect from. Default: the system's choice. */
  readonly localIp?: string | undefined
  /**
   * TLS to `remote`, through the proxy if there is one; `{}` for the defaults. Without `servername` the certificate must
   * be for `remote.ip`, and SNI (RFC 6066 §3) is sent when that is a name.
   */
  readonly tls?: ConnectionOptions | undefined
  readonly proxy?: ProxyServer | undefined
  /** For all of it: DNS, TCP, proxy and TLS. Milliseconds; default: `CONNECT_DEADLINE`. */
  readonly deadline?: number | undefined
}

/** Milliseconds. Three lost SYNs (RFC 6298: 1, 2, 4 s) and the handshakes on top; people have given up by then too. */
export const CONNECT_DEADLINE = 10_000

/** Makes one connection: TCP, then the proxy's tunnel, then TLS. Nothing in it blocks. */
export class Dial {
  readonly #options: DialOptions
  readonly #done: (result: Socket | Error) => void
  readonly #timer: NodeJS.Timeout
  /** The uppermost layer: TCP, TLS to the proxy, or TLS to the server through either. */
  #socket: Socket
  #stage: ConnectStage
  #ended = false

  /**
   * Calls `done` once, never before it returns, with a connected socket or with why there is none.
   * Throws ERR_ICE_ARGUMENT for a `localIp` that is no IP address.
   */
  constructor(options: DialOptions, done: (result: Socket | Error) => void) {
    this.#options = options
    this.#done = done
    const { proxy, remote, localIp, deadline = CONNECT_DEADLINE } = options
    const { host, port } = proxy ?? { host: remote.ip, port: remote.port }
    const peer = formatAddress({ ip: host, port })
    this.#stage = { peer: proxy ? `the proxy ${peer}` : peer, tls: false, name: host }
    this.#socket = connectTcp({ host, port, noDelay: true, ...(localIp !== undefined && bindTo(localIp)) })
    this.#socket.once('connect', () => this.#connected())
    this.#watch()
    this.#timer = setTimeout(() => this.#fail(`no answer within ${deadline / 1000} s`), deadline)
  }

  /** Gives up: `done` is not called any more. Resolves once the system has everything back. */
  cancel(): Promise<void> {
    this.#end()
    return destroyed(this.#socket)
  }

  #connected(): void {
    const { proxy } = this.#options
    if (proxy?.scheme === 'https') this.#secure(proxy.host, proxy.tls, () => this.#tunnel(proxy))
    else if (proxy) this.#tunnel(proxy)
    else this.#reached()
  }

  /** What is written now goes to the remote. */
  #reached(): void {
    const { remote, tls } = this.#options
    if (!tls) return this.#succeed()
    this.#stage = { ...this.#stage, peer: formatAddress(remote) }
    this.#secure(remote.ip, tls, () => this.#succeed())
  }

  #secure(host: string, tls: ConnectionOptions | undefined, then: () => void): void {
    const name = withoutScope(host)
    // RFC 6066 §3: no IP address in SNI. The certificate is compared with `host` when there is no `servername`.
    const servername = addressFamily(name) === undefined ? name : ''
    this.#stage = { ...this.#stage, tls: true, name: tls?.servername || name }
    try {
      this.#socket = connectTls({ servername, ...tls, socket: this.#socket, host: name })
    } catch (error) {
      // What node:tls refuses: a key or certificate that cannot be read, a version that does not exist.
      return this.#fail(`the tls options are not usable: ${(error as Error).message}`)
    }
    this.#socket.once('secureConnect', then)
    this.#watch()
  }

  #tunnel(proxy: ProxyServer): void {
    const { remote } = this.#options
    const socket = this.#socket
    const handshake = proxy.scheme === 'socks5' ? new Socks5(proxy, remote) : new HttpConnect(proxy, remote)
    const read = () => {
      for (let chunk = socket.read(); chunk !== null && !this.#ended; chunk = socket.read()) {
        const step = handshake.push(chunk)
        if (step.type === 'refused') return this.#fail(step.reason)
        if (step.type === 'send') socket.write(step.bytes)
        if (step.type !== 'open') continue
        socket.off('readable', read)
        if (step.rest.length > 0) socket.unshift(step.rest)
        return this.#reached()
      }
    }
    socket.on('readable', read)
    socket.write(handshake.start())
  }

  /** All layers stay watched until the end: the error of a lower one may come first, and uncaught would end the process. */
  #watch(): void {
    this.#socket.on('error', this.#onerror)
    this.#socket.on('close', this.#onclose)
  }

  readonly #onerror = (error: Error) => this.#settle(connectFailure(error, this.#stage))
  readonly #onclose = () => this.#fail('it closed the connection before it was of use')

  #succeed(): void {
    const socket = this.#socket
    socket.off('error', this.#onerror)
    socket.off('close', this.#onclose)
    this.#settle(socket)
  }

  #fail(reason: string): void {
    this.#settle(new Error(`${this.#stage.peer}: ${reason}`))
  }

  #settle(result: Socket | Error): void {
    if (this.#ended) return
    if (result instanceof Error) this.#end()
    this.#ended = true
    clearTimeout(this.#timer)
    this.#done(result)
  }

  #end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#socket.destroy()
  }
}

/** Resolves once the system has the socket back, which has been destroyed. */
export function destroyed(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())))
}

function bindTo(localIp: string): { localAddress: string; family: number } {
  const family = addressFamily(localIp)
  if (family === undefined) throw new IceError('ERR_ICE_ARGUMENT', `localIp must be an IP address, not "${localIp}"`)
  return { localAddress: localIp, family }
}
