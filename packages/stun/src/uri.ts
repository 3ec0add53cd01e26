import { canonicalIp, isIPv6 } from './address.ts'

/** A server as its URI names it; `host` is a name or an IP address without brackets. */
export interface ServerUri {
  readonly scheme: 'stun' | 'stuns' | 'turn' | 'turns'
  readonly host: string
  /** As given, or the scheme's default: 3478, and 5349 over (D)TLS. */
  readonly port: number
  /** Only for TURN and only when given. RFC 7065 §3.1: without it the client resolves and tries what it can. */
  readonly transport?: 'udp' | 'tcp'
}

/** Reads `stun:host[:port]` and `stuns:…` (RFC 7064). `undefined` when it is neither. */
export function parseStunUri(uri: string): ServerUri | undefined {
  const parsed = parse(uri)
  return parsed?.scheme.startsWith('stun') && parsed.transport === undefined ? parsed : undefined
}

/** Reads `turn:host[:port][?transport=udp|tcp]` and `turns:…` (RFC 7065). `undefined` when it is neither. */
export function parseTurnUri(uri: string): ServerUri | undefined {
  const parsed = parse(uri)
  return parsed?.scheme.startsWith('turn') ? parsed : undefined
}

const DEFAULT_PORT = { stun: 3478, turn: 3478, stuns: 5349, turns: 5349 } as const
const URI = /^(stuns?|turns?):(?:\[([^\]]+)\]|([^\s:/?#@[\]]+))(?::([0-9]{1,5}))?(?:\?transport=(udp|tcp))?$/i

function parse(uri: string): ServerUri | undefined {
  const match = URI.exec(uri)
  if (match === null) return undefined
  const scheme = match[1]!.toLowerCase() as ServerUri['scheme']
  const host = hostOf(match[2], match[3])
  const port = match[4] === undefined ? DEFAULT_PORT[scheme] : Number(match[4])
  if (host === undefined || port < 1 || port > 0xffff) return undefined
  const transport = match[5]?.toLowerCase() as 'udp' | 'tcp' | undefined
  return transport === undefined ? { scheme, host, port } : { scheme, host, port, transport }
}

function hostOf(literal: string | undefined, name: string | undefined): string | undefined {
  if (literal !== undefined) return isIPv6(literal) ? canonicalIp(literal) : undefined
  return name
}
