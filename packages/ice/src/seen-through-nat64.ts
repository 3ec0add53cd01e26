import { type Address, ipToBytes } from '@floe/stun'

/**
 * Whether `seen` is how a host behind a NAT64 sees `address`: same port, and the IPv4 address in the last 32 bits of the
 * IPv6 one (RFC 6052 §2.2, a prefix of 96 bits as all deployed ones are). Which prefix, only its network knows.
 */
export function isSeenThroughNat64(address: Address, seen: Address): boolean {
  if (address.port !== seen.port || address.ip.includes(':') || !seen.ip.includes(':')) return false
  const [inner, outer] = [ipToBytes(address.ip), ipToBytes(seen.ip)]
  return inner?.length === 4 && outer?.length === 16 && inner.every((byte, i) => outer[12 + i] === byte)
}
