/** The TURN servers of `floe serve`: its own or others, and credentials for them. */
import { addressScope } from '@floe/ice'
import { type IceServerOffer, issueTurnCredentials } from '@floe/signaling/server'
import { usageError } from '../failure.ts'
import type { Output } from '../output.ts'
import { turnAddresses } from './addresses.ts'
import { checkCertificate } from './certificate.ts'
import { Coturn } from './coturn.ts'
import { type OwnTurn, type TurnOptions, turnUrl } from './options.ts'

export interface TurnSupply {
  readonly urls: readonly string[]
  /** What this peer needs to use them, good for a while. */
  issue(user: string): IceServerOffer
  stop(): Promise<void>
}

/**
 * Starts our own server, if that is what was asked for, beside an HTTP server that listens at `httpIp`.
 * @throws CliError
 */
export async function startTurn(options: TurnOptions, httpIp: string, output: Output): Promise<TurnSupply> {
  const { secret, lifetime } = options
  const { urls, stop } =
    options.kind === 'fleet' ? { ...options, stop: async () => {} } : await own(options, httpIp, output)
  return { urls, stop, issue: (user) => issueTurnCredentials({ secret, urls, user, lifetime }) }
}

async function own(
  options: OwnTurn & { readonly secret: string },
  httpIp: string,
  output: Output,
): Promise<{ urls: string[]; stop: () => Promise<void> }> {
  const { host, externalIp } = options
  if ((host ?? externalIp) !== undefined && addressScope(httpIp) === 'loopback') {
    // Whoever came in from outside would be let through to what trusts this machine alone.
    throw usageError('--turn-host and --external-ip are for a server that others reach: see --host.', 'serve')
  }
  const ips = await turnAddresses(httpIp)
  const hosts = host !== undefined ? [host] : externalIp !== undefined ? [externalIp] : ips
  const tls = options.tls && { ...options.tls, ...checkCertificate(options.tls, hosts) }
  const coturn = await Coturn.start({ ...options, tls, ips }, output)
  return { urls: hosts.flatMap((name) => urlsOf(name, coturn)), stop: () => coturn.stop() }
}

function urlsOf(host: string, { port, tlsPort }: Coturn): string[] {
  const plain = ['udp', 'tcp'].map((by) => `${turnUrl(host, port)}?transport=${by}`)
  return tlsPort === undefined ? plain : [...plain, `${turnUrl(host, tlsPort, 'turns')}?transport=tcp`]
}
