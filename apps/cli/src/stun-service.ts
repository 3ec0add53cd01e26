/** The STUN server of `floe serve`: who listens beyond this machine gets one, since peers out there need one. */
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { addressScope } from '@floe/ice'
import { NatError, StunServer } from '@floe/nat/node'
import { parseStunUri } from '@floe/stun'
import { CliError, EXIT, usageError } from './failure.ts'
import { parseInteger } from './options.ts'
import type { Output } from './output.ts'
import { turnAddresses } from './turn/addresses.ts'

export interface StunOptions {
  /** UDP; 0: a free one; `undefined`: 3478, where it is of use and free. */
  readonly port: number | undefined
  /** How clients name it; `undefined`: by its addresses. */
  readonly host: string | undefined
}

export interface StunSupply {
  readonly urls: string[]
  stop(): Promise<void>
}

/** For `parseArgs`. */
export const STUN_OPTIONS = { 'stun-port': { type: 'string' }, 'stun-host': { type: 'string' } } as const

export interface StunValues {
  readonly 'stun-port'?: string | undefined
  readonly 'stun-host'?: string | undefined
  readonly stun: readonly string[]
  readonly turn?: boolean | undefined
}

/** `undefined`: none is wanted. Throws CliError. */
export function readStunOptions(values: StunValues): StunOptions | undefined {
  const { 'stun-port': port, 'stun-host': host, stun, turn = false } = values
  if (host !== undefined && parseStunUri(stunUrl(host, 1)) === undefined) {
    throw usageError(`--stun-host wants a name or an address, not '${host}'.`, 'serve')
  }
  if (port === 'none') return undefined
  if (port !== undefined) return { port: parseInteger('serve', 'stun-port', port, 0, 65_535), host }
  // Others were named; or coturn, which is a STUN server too, has the port.
  return stun.length > 0 || turn ? undefined : { port: undefined, host }
}

/**
 * Starts it beside an HTTP server that listens at `httpIp`. Unless it was asked for by its port it is left out on
 * loopback, where it could tell nobody anything, and where the port is taken. Throws CliError.
 */
export async function startStun(
  { port, host }: StunOptions,
  httpIp: string,
  output: Output,
): Promise<StunSupply | undefined> {
  if (port === undefined && addressScope(httpIp) === 'loopback') return undefined
  const addresses = await turnAddresses(httpIp)
  const other = addressScope(httpIp) === 'unspecified' ? secondAddress(addresses) : undefined
  try {
    const server = new StunServer({
      addresses: other === undefined ? addresses : [...addresses, other],
      ...(port === undefined ? {} : { port, alternatePort: 0 }),
    })
    const urls = host === undefined ? server.urls.slice(0, addresses.length) : [stunUrl(host, portOf(server))]
    const more = server.discoversBehavior ? ', and what their NAT does (RFC 5780)' : ''
    output.event(
      'stun',
      { urls, rfc5780: server.discoversBehavior },
      `${urls.join(' ')} tells peers their address${more}`,
    )
    return { urls, stop: () => server.close() }
  } catch (error) {
    if (!(error instanceof NatError)) throw error
    if (port === undefined) {
      output.event('stun-unavailable', { reason: error.message }, `Without a STUN server of its own: ${error.message}`)
      return undefined
    }
    const hint = 'Take another with --stun-port, or any free one with --stun-port 0.'
    throw new CliError('ERR_CLI_LISTEN', EXIT.signaling, `${error.message}.`, hint, { cause: error })
  }
}

/**
 * Another IPv4 address on the interface of the first: packets from it take the same way to everybody. IPv6 addresses
 * come and go by the day.
 */
function secondAddress(addresses: readonly string[]): string | undefined {
  for (const infos of Object.values(networkInterfaces())) {
    const own = (infos ?? []).filter(({ family }) => family === 'IPv4').map(({ address }) => address)
    const first = own.find((ip) => addresses.includes(ip))
    if (first === undefined) continue
    return own.find((ip) => ip !== first && addressScope(ip) === addressScope(first))
  }
  return undefined
}

function portOf({ urls }: StunServer): number {
  return parseStunUri(urls[0]!)!.port
}

function stunUrl(host: string, port: number): string {
  return `stun:${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}
