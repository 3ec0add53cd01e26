import { extract, synthesize } from '../nat64.ts'
import { discoverNat64 } from './discover-nat64.ts'

/** Where a NAT64 has IPv4 addresses, in the form that `nat64` of @floe/ice's `IceTransport` takes. */
export interface Nat64Translator {
  /** The IPv6 address that stands for it; `undefined`: none does. */
  toIpv6(ipv4: string): string | undefined
  /** The IPv4 address that it stands for; `undefined`: it stands for none. */
  toIpv4(ipv6: string): string | undefined
}

/**
 * The network's NAT64, found by its DNS64 (RFC 7050), or guessed at RFC 6052's well-known prefix when DNS does not answer.
 * `undefined`: there is none, or a CLAT (RFC 6877) makes IPv4 work without anybody's help. Two seconds at most.
 */
export async function findTranslator(
  options: { readonly signal?: AbortSignal } = {},
): Promise<Nat64Translator | undefined> {
  const { prefixes, clat } = await discoverNat64(options)
  const [first] = prefixes
  if (first === undefined || clat) return undefined
  return {
    toIpv6: (ipv4) => synthesize(first, ipv4),
    toIpv4(ipv6) {
      for (const prefix of prefixes) {
        const ipv4 = extract(prefix, ipv6)
        if (ipv4 !== undefined) return ipv4
      }
      return undefined
    },
  }
}
