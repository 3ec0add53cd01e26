import { Resolver } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { findPrefixes, IPV4_ONLY_NAME, type Nat64Prefix, WELL_KNOWN_PREFIX } from '../nat64.ts'
import { addressScope } from '../scope.ts'

export interface DiscoverNat64Options {
  /** DNS servers to ask in place of the system's: `ip`, `ip:port` or `[ip]:port`. */
  readonly dnsServers?: readonly string[]
  /** Aborting rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface DiscoveredNat64 {
  /** Where IPv4 addresses are reached from IPv6 sockets, for `synthesize()`. Empty: there is no NAT64 here. */
  readonly prefixes: readonly Nat64Prefix[]
  /** `false`: DNS could not be asked, and the well-known prefix is a guess to be tried. */
  readonly confirmed: boolean
  /** When to ask again, in milliseconds from now, unless the network changes before. */
  readonly lifetime: number
  /**
   * There is a CLAT (RFC 6877): this host has an address of 192.0.0.0/29, and its IPv4 sockets work by themselves.
   */
  readonly clat: boolean
}

/** Asks the network's DNS64 for its prefix (RFC 7050). Takes two seconds at most. */
export async function discoverNat64({ dnsServers, signal }: DiscoverNat64Options = {}): Promise<DiscoveredNat64> {
  signal?.throwIfAborted()
  const resolver = new Resolver({ timeout: TRY_TIMEOUT, tries: TRIES })
  if (dnsServers) resolver.setServers(dnsServers)
  const end = () => resolver.cancel()
  const timer = setTimeout(end, PATIENCE)
  signal?.addEventListener('abort', end, { once: true })
  try {
    const records = await resolver.resolve6(IPV4_ONLY_NAME, { ttl: true })
    const prefixes = findPrefixes(records.map(({ address }) => address))
    const lifetime = Math.min(...records.map(({ ttl }) => ttl * 1000), MAX_LIFETIME)
    return { prefixes, confirmed: true, lifetime: Math.max(lifetime, MIN_LIFETIME), clat: hasClat() }
  } catch (error) {
    signal?.throwIfAborted()
    const { code } = error as NodeJS.ErrnoException
    const isAnswer = code === 'ENODATA' || code === 'ENOTFOUND'
    // Asking nobody is no use for long: the network may only just have come up.
    return isAnswer
      ? { prefixes: [], confirmed: true, lifetime: MAX_LIFETIME, clat: hasClat() }
      : { prefixes: [WELL_KNOWN_PREFIX], confirmed: false, lifetime: MIN_LIFETIME, clat: hasClat() }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
  }
}

/** Milliseconds. */
const TRY_TIMEOUT = 900
const TRIES = 2
const PATIENCE = 2_000
const MIN_LIFETIME = 30_000
const MAX_LIFETIME = 3_600_000

function hasClat(): boolean {
  const infos = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  return infos.some(({ address, family }) => family === 'IPv4' && addressScope(address) === 'translator')
}
