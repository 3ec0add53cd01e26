/** How the signaling server lives in an HTTP server that may be somebody else's, and leaves it as it was. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Door } from './door.ts'
import type { Turns } from './turns.ts'

type Listener = (...args: unknown[]) => void
const EVENTS = ['connection', 'request', 'upgrade', 'close', 'listening'] as const

/**
 * Runs `attach`, which adds listeners to the server and may take over those that are there, as Socket.IO does.
 * Returns what undoes it: Socket.IO itself knows only how to close the whole server.
 */
export function mount(server: Server, attach: () => void): () => void {
  const before = EVENTS.map((event) => server.listeners(event) as Listener[])
  attach()
  const added = EVENTS.map((event, index) =>
    (server.listeners(event) as Listener[]).filter((listener) => !before[index]?.includes(listener)),
  )
  return () => {
    EVENTS.forEach((event, index) => {
      for (const listener of added[index] ?? []) server.off(event, listener)
      const present = server.listeners(event)
      for (const listener of before[index] ?? []) if (!present.includes(listener)) server.on(event, listener)
    })
  }
}

/** What a path of ours answers. */
export interface Report {
  readonly status: number
  readonly type: 'application/json' | 'text/plain; version=0.0.4; charset=utf-8'
  readonly body: string
}

export function jsonReport(status: number, value: unknown): Report {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` }
}

/** Answers GET and HEAD of these paths; leaves all else to the listeners that were there before. */
export function intercept(server: Server, reports: ReadonlyMap<string, () => Report>): void {
  const others = server.listeners('request') as Listener[]
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const readable = request.method === 'GET' || request.method === 'HEAD'
    const report = readable ? reports.get(request.url?.split('?', 1)[0] ?? '') : undefined
    if (report === undefined) {
      for (const listener of others) listener.call(server, request, response)
      return
    }
    const { status, type, body } = report()
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : body)
  })
}

/** Ends connections of the shunned before HTTP has anything to do with them. */
export function guardDoor(server: Server, door: Door): void {
  const listeners = server.listeners('connection') as Listener[]
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (door.isShunned(socket.remoteAddress)) socket.resetAndDestroy()
    else for (const listener of listeners) listener.call(server, socket)
  })
}

interface Queue {
  readonly path: string
  readonly turns: Turns
  /** For requests that begin a session. */
  readonly newcomers: Turns
  addressOf(request: IncomingMessage): string
  readonly door: Door
}

/**
 * Requests and upgrades under `path` wait for their turn before the listeners that are there by now see them. Those of refused
 * addresses are turned away at once, except for what belongs to a long-polling session that they have already.
 */
export function queueRequests(server: Server, { path, turns, newcomers, addressOf, door }: Queue): void {
  for (const event of ['request', 'upgrade'] as const) {
    const listeners = server.listeners(event) as Listener[]
    server.removeAllListeners(event)
    server.on(event, (request: IncomingMessage, ...rest: [ServerResponse] | [Duplex, Buffer]) => {
      const pass = () => {
        for (const listener of listeners) listener.call(server, request, ...rest)
      }
      const { url = '', socket } = request
      if (!url.startsWith(path)) return pass()
      const address = addressOf(request)
      const isNew = !sessionOf(url)
      const seconds = isNew ? door.refusedFor(address) : 0
      if (seconds > 0) return turnAway(rest[0], seconds)
      if (event === 'upgrade') socket.on('error', () => {}) // nobody else listens until it is passed on
      const serve = () => {
        if (!socket.destroyed) pass()
        return false
      }
      const lane = isNew ? newcomers : turns
      lane.ask({ address, serve }, false)
    })
  }
}

/** As Engine.IO reads it, or a URL could be a session's to us and nobody's to it: the last one, if it is not empty. */
function sessionOf(url: string): string | undefined {
  return new URL(url, 'http://localhost').searchParams.getAll('sid').at(-1)
}

function turnAway(answer: ServerResponse | Duplex, seconds: number): void {
  const headers = { 'retry-after': `${seconds}`, 'content-length': '0', connection: 'close' }
  if ('writeHead' in answer) {
    answer.writeHead(429, headers).end()
    return
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  answer.on('error', () => {})
  answer.end(`HTTP/1.1 429 Too Many Requests\r\n${lines.join('')}\r\n`, () => answer.destroy())
}

/** Browsers do not hold WebSockets to the same-origin policy: without this any web page could join our rooms. */
export function foreignOrigin({ headers }: IncomingMessage, origins: readonly string[] | '*'): string | undefined {
  const { origin, host } = headers
  if (origin === undefined || origins === '*' || origins.includes(origin)) return undefined
  if (URL.canParse(origin) && new URL(origin).host === host) return undefined
  return origin
}

/** An unspecified address is one to listen on, not one to connect to. */
export function reachableHost({ address, family }: AddressInfo): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  if (address === '::') return '[::1]'
  return family === 'IPv6' ? `[${address}]` : address
}
