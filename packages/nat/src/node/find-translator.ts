import { extract, type Nat64Prefix, synthesize } from '../nat64.ts'
import { discoverNat64 } from './discover-nat64.ts'

/** Where a NAT64 has IPv4 addresses, in the form that `nat64` of @floe/ice's `IceTransport` takes. */
export interface Nat64Translator {
  /** How many translators the network has. Which of them works, packets will show. */
  readonly count: number
  /** The IPv6 address that stands for it, at the `choice`th of them or the next that has one; `undefined`: none does. */
  toIpv6(ipv4: string, choice?: number): string | undefined
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
  return clat ? undefined : translatorOf(prefixes)
}

/** `undefined`: without a prefix there is no translator. */
export function translatorOf(prefixes: readonly Nat64Prefix[]): Nat64Translator | undefined {
  const count = prefixes.length
  if (count === 0) return undefined
  return {
    count,
    toIpv6(ipv4, choice = 0) {
      for (let turn = 0; turn < count; turn++) {
        // The well-known prefix is for global addresses only (RFC 6052 §3.1), a network's own is for all.
        const ipv6 = synthesize(prefixes[(choice + turn) % count]!, ipv4)
        if (ipv6 !== undefined) return ipv6
      }
      return undefined
    },
    toIpv4(ipv6) {
      for (const prefix of prefixes) {
        const ipv4 = extract(prefix, ipv6)
        if (ipv4 !== undefined) return ipv4
      }
      return undefined
    },
  }
}
