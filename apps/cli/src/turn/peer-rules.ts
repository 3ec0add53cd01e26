/** Whom a relay may send to on behalf of its users: without rules it is a door into every network of its machine. */
import { isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { addressScope } from '@floe/ice'
import { bytesToIp, ipToBytes } from '@floe/stun'

/** Link-local networks, where clouds keep the credentials of their machines (169.254.169.254, fe80::a9fe:a9fe). */
const LINK_LOCAL = ['169.254.0.0/16', 'fe80::/10']

/** Not of the internet: IANA's special-purpose registries (RFC 6890), and the ways to write IPv4 in IPv6. */
const SPECIAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10', // carrier-grade NAT, and the metadata service of Alibaba
  '127.0.0.0/8',
  '172.16.0.0/12',
  '192.0.0.0/24', // protocol assignments, and the metadata service of Oracle
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '240.0.0.0/4',
  '::/127', // unspecified and loopback
  '::ffff:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32', // Teredo
  '2001:db8::/32',
  '2002::/16', // 6to4
  'fc00::/7', // private, and the metadata service of AWS over IPv6
]

/**
 * Lines of coturn's configuration for a server that listens at `ips`, which are of this machine as `own` lists it.
 * - On loopback only, this machine is all there is, and its users may send anywhere by themselves.
 * - In private networks only, those networks and the internet.
 * - With a public address, or behind one (`isPublic`), the internet and the relay itself, as two of its users meet there.
 */
export function peerRules(ips: readonly string[], own: readonly NetworkInterfaceInfo[], isPublic: boolean): string[] {
  const always = ['no-multicast-peers', ...LINK_LOCAL.map(denied)]
  if (!isPublic && ips.every((ip) => addressScope(ip) === 'loopback')) return [...always, 'allow-loopback-peers']
  const onInternet = isPublic || ips.some((ip) => addressScope(ip) === 'global')
  const networks = ips.map((ip) => {
    const cidr = onInternet ? undefined : own.find(({ address }) => address === ip)?.cidr
    return cidr ?? `${ip}/${isIPv6(ip) ? 128 : 32}`
  })
  // What is allowed is so although it is denied: coturn asks in this order.
  return [...always, ...SPECIAL.map(denied), ...networks.map((network) => `allowed-peer-ip=${rangeOf(network)}`)]
}

function denied(network: string): string {
  return `denied-peer-ip=${rangeOf(network)}`
}

/** `first-last`: coturn 4.6 knows no prefix lengths. */
export function rangeOf(network: string): string {
  const [ip = '', length = ''] = network.split('/')
  const first = ipToBytes(ip)!
  const last = first.slice()
  for (let bit = Number(length); bit < first.length * 8; bit++) {
    const mask = 0x80 >> (bit % 8)
    first[bit >> 3]! &= ~mask
    last[bit >> 3]! |= mask
  }
  return [first, last].map((bytes) => bytesToIp(bytes, 0, bytes.length)).join('-')
}
