import { type Address, bytesToIp, canonicalIp, ipToBytes } from '@floe/stun'
import { isV6 } from './link.ts'

const WELL_KNOWN_PREFIX = '64:ff9b::'

/** RFC 6052 §2.2 with the well-known /96 prefix. */
export function synthesized(ipv4: string): string {
  let ip = synthesizedOf.get(ipv4)
  if (ip === undefined) synthesizedOf.set(ipv4, (ip = canonicalIp(`${WELL_KNOWN_PREFIX}${ipv4}`)!))
  return ip
}

/** By what it stands for: asked for with every packet, of a few addresses. */
const synthesizedOf = new Map<string, string>()

/** The IPv4 address that it stands for. */
export function embeddedIpv4(ip: string): string | undefined {
  return ip.startsWith(WELL_KNOWN_PREFIX) ? bytesToIp(ipToBytes(ip)!, 12, 4) : undefined
}

/** Where a packet for it goes from that address, as a driver behind NAT64 sends it. */
export function outward(from: Address, to: Address): Address {
  return isV6(from.ip) && !isV6(to.ip) ? { ip: synthesized(to.ip), port: to.port } : to
}

/** What the driver says the packet came from. */
export function inward(remote: Address): Address {
  const ip = embeddedIpv4(remote.ip)
  return ip === undefined ? remote : { ip, port: remote.port }
}
