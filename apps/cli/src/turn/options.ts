import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { parseTurnUri } from '@floe/stun'
import { usageError } from '../failure.ts'
import { MAX_URLS } from '../ice-servers.ts'
import { parseInteger, parseSeconds } from '../options.ts'
import type { CertificateFiles } from './certificate.ts'

/** A coturn of our own, which `floe serve` runs beside itself. */
export interface OwnTurn {
  readonly kind: 'own'
  /** UDP and TCP; 0: a free one. */
  readonly port: number
  /** How clients name it; `undefined`: by the address where it listens. */
  readonly host: string | undefined
  /** Behind a 1:1 NAT: the public address. */
  readonly externalIp: string | undefined
  /** UDP ports of the relayed addresses, both ends included. */
  readonly relayPorts: readonly [min: number, max: number]
  /** TLS at a port of its own, 0: a free one. */
  readonly tls: (CertificateFiles & { readonly port: number }) | undefined
}

/** TURN servers that run elsewhere. */
export interface TurnFleet {
  readonly kind: 'fleet'
  readonly urls: readonly string[]
}

export type TurnOptions = (OwnTurn | TurnFleet) & {
  readonly secret: string
  /** Of the credentials, in milliseconds. */
  readonly lifetime: number
}

/** For `parseArgs`. */
export const TURN_OPTIONS = {
  turn: { type: 'boolean' },
  'turn-port': { type: 'string' },
  'turn-host': { type: 'string' },
  'external-ip': { type: 'string' },
  'turn-ports': { type: 'string' },
  'turn-cert': { type: 'string' },
  'turn-key': { type: 'string' },
  'turn-tls-port': { type: 'string' },
  'turn-server': { type: 'string', multiple: true },
  'turn-secret': { type: 'string' },
  'turn-lifetime': { type: 'string', default: '43200' },
} as const

export interface TurnValues {
  readonly turn?: boolean | undefined
  readonly 'turn-port'?: string | undefined
  readonly 'turn-host'?: string | undefined
  readonly 'external-ip'?: string | undefined
  readonly 'turn-ports'?: string | undefined
  readonly 'turn-cert'?: string | undefined
  readonly 'turn-key'?: string | undefined
  readonly 'turn-tls-port'?: string | undefined
  readonly 'turn-server'?: string[] | undefined
  readonly 'turn-secret'?: string | undefined
  readonly 'turn-lifetime': string
}

/** Not on the command line, since that is for everybody on the machine to read. */
const SECRET_VARIABLE = 'FLOE_TURN_SECRET'

/** RFC 8656 §7.2 recommends the ports that IANA leaves to nobody in particular. */
const RELAY_PORTS = '49152-65535'

/** @throws CliError */
export function readTurnOptions(values: TurnValues): TurnOptions | undefined {
  const { turn = false, 'turn-server': urls = [] } = values
  if (turn && urls.length > 0) throw wrong('--turn starts a TURN server and --turn-server names others: take one.')
  if (!turn) for (const name of OWN) if (values[name] !== undefined) throw wrong(`--${name} goes with --turn.`)
  const secret = values['turn-secret'] ?? (process.env[SECRET_VARIABLE] || undefined)
  const lifetime = parseSeconds('serve', 'turn-lifetime', values['turn-lifetime'])
  if (lifetime === 0) throw wrong('--turn-lifetime wants more than 0 seconds.')
  if (turn) return { ...readOwn(values), secret: ownSecret(secret), lifetime }
  if (urls.length > 0) return { ...readFleet(urls), secret: fleetSecret(secret), lifetime }
  if (values['turn-secret'] !== undefined) throw wrong('--turn-secret goes with --turn or --turn-server.')
  return undefined
}

const OWN = ['turn-port', 'turn-host', 'external-ip', 'turn-ports', 'turn-cert', 'turn-key', 'turn-tls-port'] as const

/** RFC 8656 §4.6: the port of `turns`. */
const TLS_PORT = '5349'

function readOwn(values: TurnValues): OwnTurn {
  const { 'turn-port': port = '3478', 'turn-host': host, 'external-ip': externalIp } = values
  if (host !== undefined && parseTurnUri(turnUrl(host, 1)) === undefined) {
    throw wrong(`--turn-host wants a name or an address, not '${host}'.`)
  }
  if (externalIp !== undefined && !isIP(externalIp))
    throw wrong(`--external-ip wants an IP address, not '${externalIp}'.`)
  return {
    kind: 'own',
    port: parseInteger('serve', 'turn-port', port, 0, 65_535),
    host,
    externalIp,
    relayPorts: parsePorts(values['turn-ports'] ?? RELAY_PORTS),
    tls: readTls(values),
  }
}

function readTls({ 'turn-cert': cert, 'turn-key': key, 'turn-tls-port': port }: TurnValues): OwnTurn['tls'] {
  if (cert === undefined && key === undefined && port === undefined) return undefined
  if (cert === undefined || key === undefined) {
    throw wrong('TURN over TLS takes a certificate and its key: --turn-cert and --turn-key.')
  }
  return { cert, key, port: parseInteger('serve', 'turn-tls-port', port ?? TLS_PORT, 0, 65_535) }
}

function readFleet(urls: readonly string[]): TurnFleet {
  const stray = urls.find((url) => parseTurnUri(url) === undefined)
  if (stray !== undefined) {
    throw wrong(`--turn-server wants a URL such as turns:turn.example.org?transport=tcp, not '${stray}'.`)
  }
  if (urls.length > MAX_URLS) throw wrong(`--turn-server takes ${MAX_URLS} URLs; clients would not try more.`)
  return { kind: 'fleet', urls }
}

function parsePorts(text: string): readonly [number, number] {
  const [min = 0, max = 0] = /^(\d{1,5})-(\d{1,5})$/.exec(text)?.slice(1).map(Number) ?? []
  if (min >= 1024 && min <= max && max <= 65_535) return [min, max]
  throw wrong(`--turn-ports wants the first and the last of a range from 1024 on, such as 50000-50999, not '${text}'.`)
}

/** It becomes a line of coturn's configuration file, where quotes and blanks would mean something. */
function ownSecret(secret = randomBytes(32).toString('base64url')): string {
  if (/^[\w.~+/=-]{1,256}$/.test(secret)) return secret
  throw wrong('--turn-secret may have letters, digits and . _ ~ + / = - only.')
}

function fleetSecret(secret: string | undefined): string {
  if (secret !== undefined && secret !== '') return secret
  throw wrong(`--turn-server needs the secret that those servers know: --turn-secret, or ${SECRET_VARIABLE}.`)
}

/** `turn:host:port`, with brackets around an IPv6 address. */
export function turnUrl(host: string, port: number, scheme: 'turn' | 'turns' = 'turn'): string {
  return `${scheme}:${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

function wrong(message: string): Error {
  return usageError(message, 'serve')
}
