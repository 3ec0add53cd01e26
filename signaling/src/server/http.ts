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

/** Answers GET `path` with `report()` as JSON; leaves all else to the listeners that were there before. */
export function interceptHealth(server: Server, path: string, report: () => unknown): void {
  const others = server.listeners('request') as Listener[]
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'GET' || request.url?.split('?', 1)[0] !== path) {
      for (const listener of others) listener.call(server, request, response)
      return
    }
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(`${JSON.stringify(report())}\n`)
  })
}
