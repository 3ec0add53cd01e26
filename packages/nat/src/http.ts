import { canonicalIp } from '@floe/stun'

/** An HTTP/1.1 request that a driver makes for a machine: no redirects, no cookies, one connection, plain text. */
export interface HttpRequest {
  /** For `handleResponse`. */
  readonly id: number
  readonly method: 'GET' | 'POST'
  /** IP address, with a scope id when it is link-local. */
  readonly host: string
  readonly port: number
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** ASCII. */
  readonly body: string
  /** How long the machine waits for the response, in milliseconds: a later one is of no use to anybody. */
  readonly timeout: number
}

export interface HttpResponse {
  readonly status: number
  /** Decoded as UTF-8. */
  readonly body: string
}

/** What an HTTP URL comes to, once it is settled which host is asked. */
export interface HttpTarget {
  readonly port: number
  /** Path and query. */
  readonly path: string
}

/** The longest path that a router may give us, in characters. */
const MAX_PATH = 512

/**
 * Reads a URL out of a router's mouth: `http://host:port/path`, or a reference relative to `base` (RFC 3986 §4.2, §5.3
 * without dot segments). The host is dropped: we talk to the gateway and nobody else, whoever it names. `undefined`:
 * not HTTP, or nothing that could stand in a request line.
 */
export function parseTarget(text: string, base: HttpTarget = { port: 80, path: '/' }): HttpTarget | undefined {
  if (!/^[!-~]+$/.test(text) || text.length > MAX_PATH) return undefined
  const absolute = /^http:\/\/(?:\[[0-9a-f:.%]+\]|[^/:?#[\]]+)(?::([0-9]{1,5}))?([/?][^#]*)?(?:#.*)?$/i.exec(text)
  if (absolute !== null) {
    const port = Number(absolute[1] ?? 80)
    const path = absolute[2] ?? '/'
    return port >= 1 && port <= 65535 ? { port, path: path.startsWith('/') ? path : `/${path}` } : undefined
  }
  if (/^[a-z][a-z0-9+.-]*:|^\/\//i.test(text)) return undefined
  const path = text.replace(/#.*/, '')
  const folder = base.path.replace(/\?.*/, '').replace(/[^/]*$/, '')
  return { port: base.port, path: path.startsWith('/') ? path : folder + path }
}

/** The host that an HTTP URL names, canonical when it is an IP address. */
export function urlHost(text: string): string | undefined {
  const host = /^http:\/\/(?:\[([0-9a-f:.%]+)\]|([^/:?#[\]]+))/i.exec(text)
  const name = host?.[1] ?? host?.[2]
  return name === undefined ? undefined : (canonicalIp(name) ?? name)
}

/** As a Host header and a URL write it: IPv6 in brackets, without the scope id, which means nothing to others. */
export function hostHeader(ip: string, port: number): string {
  const bare = ip.replace(/%.*/, '')
  return bare.includes(':') ? `[${bare}]:${port}` : `${bare}:${port}`
}
