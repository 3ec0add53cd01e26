import { addressFamily, formatAddress } from '@floe/stun'
import { type LocalBase, reaches } from './local-base.ts'
import type { ServerAddress } from './servers.ts'

/** URLs of servers that cannot be asked from any of these bases, at none of their addresses, and why. */
export function unreachable(
  servers: readonly ServerAddress[],
  bases: readonly LocalBase[],
): { readonly url: string; readonly reason: string }[] {
  const reached = new Set(servers.filter((server) => bases.some((base) => canAsk(base, server))).map(({ url }) => url))
  const lost = new Map(servers.filter(({ url }) => !reached.has(url)).map((server) => [server.url, server]))
  return [...lost.values()].map(({ url, address }) => ({ url, reason: reasonFor(address, bases) }))
}

function canAsk(base: LocalBase, server: ServerAddress): boolean {
  if (server.scheme === 'turn' && server.viaProxy) return true
  if (server.scheme === 'stun' && (base.relayOnly || base.tcpType)) return false
  return reaches(base, server.address.ip)
}

function reasonFor(address: ServerAddress['address'], bases: readonly LocalBase[]): string {
  const to = formatAddress(address)
  if (bases.length === 0) return `There is no local address to reach ${to} from`
  const family = addressFamily(address.ip)
  const hasFamily = bases.some((base) => addressFamily(base.address.ip) === family)
  if (!hasFamily) return `There is no local IPv${family} address to reach ${to} from`
  return `No local address reaches ${to}: loopback reaches loopback, and nothing else does`
}
