import type { ConnectionOptions } from 'node:tls'
import { IceError } from '../error.ts'

/** A server that makes TCP connections for us: the only way out of some networks. */
export interface ProxyServer {
  /** `http`: RFC 9110 §9.3.6 CONNECT. `https`: the same, over TLS to the proxy. `socks5`: RFC 1928. */
  readonly scheme: 'http' | 'https' | 'socks5'
  /** Name or IP address, without brackets. */
  readonly host: string
  readonly port: number
  /** Sent as Basic credentials (RFC 7617), or as RFC 1929 has it. */
  readonly username?: string
  readonly password?: string
  /** For the TLS connection to an `https` proxy; the one to the server inside has its own. */
  readonly tls?: ConnectionOptions
}

/** Asks a proxy for a connection. Knows no socket: bytes in, steps out. */
export interface ProxyHandshake {
  /** What to send first. */
  start(): Uint8Array
  /** Takes the next bytes from the proxy, cut anywhere. Never throws. Not to be called after `open` or `refused`. */
  push(chunk: Uint8Array): ProxyStep
}

export type ProxyStep =
  | { readonly type: 'more' }
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** The tunnel stands. `rest` has come through it already. */
  | { readonly type: 'open'; readonly rest: Uint8Array }
  /** `reason` says who refused and what to do. */
  | { readonly type: 'refused'; readonly reason: string }

/**
 * Reads `http://user:password@host:port`, `https://…` and `socks5://…` (or `socks5h://…`: names are always left to the
 * proxy to resolve). Default ports: 80, 443 and 1080. Reserved characters of user and password are percent-encoded.
 * Throws ERR_ICE_ARGUMENT.
 */
export function parseProxy(url: string, tls?: ConnectionOptions): ProxyServer {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const scheme = SCHEMES.get(parsed?.protocol ?? '')
  if (!parsed || !scheme || parsed.hostname === '' || !isBare(parsed)) {
    throw malformed(url, 'write http://host:port, https://host:port or socks5://user:password@host:port')
  }
  const port = parsed.port === '' ? DEFAULT_PORT[scheme] : Number(parsed.port)
  if (port === 0) throw malformed(url, 'port 0 cannot be connected to')
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1')
  return { scheme, host, port, ...credentials(parsed, url, scheme), ...(tls && { tls }) }
}

const SCHEMES = new Map<string, ProxyServer['scheme']>([
  ['http:', 'http'],
  ['https:', 'https'],
  ['socks5:', 'socks5'],
  ['socks5h:', 'socks5'],
])

const DEFAULT_PORT = { http: 80, https: 443, socks5: 1080 } as const

/** RFC 1929 §2: user and password have one byte of length each. */
const MAX_SOCKS_CREDENTIAL = 255

function isBare({ pathname, search, hash }: URL): boolean {
  return (pathname === '' || pathname === '/') && search === '' && hash === ''
}

function credentials(
  parsed: URL,
  url: string,
  scheme: ProxyServer['scheme'],
): Pick<ProxyServer, 'username' | 'password'> {
  if (parsed.username === '' && parsed.password === '') return {}
  const [username, password] = [decoded(parsed.username, url), decoded(parsed.password, url)]
  if (username === '') throw malformed(url, 'a password needs a user name before it')
  if (scheme === 'socks5') {
    const longest = Math.max(Buffer.byteLength(username), Buffer.byteLength(password))
    if (longest > MAX_SOCKS_CREDENTIAL) throw malformed(url, 'SOCKS5 allows 255 bytes of user name and of password')
  } else if (username.includes(':')) {
    throw malformed(url, 'a user name with a colon cannot be told from its password (RFC 7617 §2)')
  }
  return { username, password }
}

function decoded(text: string, url: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw malformed(url, 'percent-encode user and password: %25 for a %')
  }
}

function malformed(url: string, advice: string): IceError {
  // Errors end up in logs, where a password has no business.
  const shown = String(url).replace(/\/\/.*@/, '//…@')
  return new IceError('ERR_ICE_ARGUMENT', `"${shown}" is no proxy URL: ${advice}`)
}
