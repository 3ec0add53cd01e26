import { type Address, ipToBytes } from '@floe/stun'

/** Where the IPv4 address begins, for each length that a prefix can have: RFC 6052 §2.2. Byte 8 is none of its. */
const STARTS = [12, 8, 7, 6, 5, 4]
const RESERVED = 8

/**
 * Whether `seen` is how a host behind a NAT64 sees `address`: same port, and the IPv4 address where RFC 6052 has it in an
 * IPv6 one. Which prefix, only its network knows.
 */
export function isSeenThroughNat64(address: Address, seen: Address): boolean {
  if (address.port !== seen.port || address.ip.includes(':') || !seen.ip.includes(':')) return false
  const [inner, outer] = [ipToBytes(address.ip), ipToBytes(seen.ip)]
  if (inner?.length !== 4 || outer?.length !== 16 || outer[RESERVED] !== 0) return false
  return STARTS.some((start) =>
    inner.every((byte, i) => outer[start + i + (start <= RESERVED && start + i >= RESERVED ? 1 : 0)] === byte),
  )
}
