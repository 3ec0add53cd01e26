/** How the signaling server lives in an HTTP server that may be somebody else's, and leaves it as it was. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

type Listener = (...args: unknown[]) => void
const EVENTS = ['request', 'upgrade', 'close', 'listening'] as const

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
