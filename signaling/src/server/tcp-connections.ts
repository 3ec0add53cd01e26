/** What an HTTP server has open, beneath requests and WebSockets: connections that have not said anything yet, or never will. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { countedAs } from './addresses.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { SignalingServerOptions } from './options.ts'

/** A client that polls has two, one for each direction; who looks at a page as well has some more for a moment. */
const PER_CLIENT = 2

/**
 * Milliseconds for the head of a request, and for all of it: messages are short, and a network may be bad. Node looks every
 * half minute (`connectionsCheckingInterval`, which is for who makes the server).
 */
const TIMEOUTS = { headers: 10_000, request: 30_000 } as const

/**
 * The options of the signaling server: two of its `limits` count here. With `trustedProxies` all come from the proxies'
 * addresses, which have no bound of their own.
 */
export type ConnectionBounds = Pick<SignalingServerOptions, 'limits' | 'trustedProxies'>

/**
 * Bounds the TCP connections of an HTTP server to twice `connections`, and to twice `connectionsPerAddress` from one address;
 * what is beyond is ended before anything is read. `createSignalingServer()` does it with a server of its own; for a server of
 * yours it is yours to do, before it listens.
 */
export function boundConnections(server: Server, { limits, trustedProxies = 0 }: ConnectionBounds = {}): void {
  const { connections, connectionsPerAddress } = { ...DEFAULT_LIMITS, ...limits }
  server.maxConnections = PER_CLIENT * connections
  server.headersTimeout = TIMEOUTS.headers
  server.requestTimeout = TIMEOUTS.request
  if (trustedProxies > 0) return
  const open = new Map<string, number>()
  // Before HTTP's own listener: nothing is made for those who are turned away.
  server.prependListener('connection', (socket: Socket) => {
    const address = countedAs(socket.remoteAddress ?? '')
    const count = (open.get(address) ?? 0) + 1
    open.set(address, count)
    socket.once('close', () => {
      const left = open.get(address)! - 1
      if (left === 0) open.delete(address)
      else open.set(address, left)
    })
    if (count > PER_CLIENT * connectionsPerAddress) socket.destroy()
  })
}
