import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { bytesToIp, canonicalIp } from '@floe/stun'

/**
 * The router that the host's default route leads through from this local address: on the same interface, of the same
 * family, with a scope id when it is link-local. `undefined`: there is none, or this system does not tell (only Linux
 * does, in /proc/net).
 */
export function defaultGateway(localIp: string): string | undefined {
  const name = interfaceOf(localIp)
  if (name === undefined) return undefined
  const routes = localIp.includes(':') ? parseRoutes6(readTable('ipv6_route')) : parseRoutes4(readTable('route'))
  return routes.find((route) => route.interface === name)?.gateway
}

/** A default route. */
export interface Route {
  readonly interface: string
  readonly gateway: string
  readonly metric: number
}

/** Default routes through a gateway in /proc/net/route, best first. */
export function parseRoutes4(table: string): Route[] {
  const routes: Route[] = []
  for (const line of table.split('\n').slice(1)) {
    const [name, destination, hex, flags, , , metric, mask] = line.trim().split(/\s+/)
    if (name === undefined || destination !== '00000000' || mask !== '00000000') continue
    if (!isUpThroughGateway(flags) || !/^[0-9A-F]{8}$/i.test(hex ?? '')) continue
    const bytes = Buffer.from(hex!, 'hex')
    // The kernel prints a 32-bit number in the host's byte order, and every host that Node runs on nowadays is
    // little-endian but s390x.
    if (IS_LITTLE_ENDIAN) bytes.reverse()
    routes.push({ interface: name, gateway: bytesToIp(bytes, 0, 4), metric: Number(metric) })
  }
  return routes.sort((a, b) => a.metric - b.metric)
}

/** Default routes through a gateway in /proc/net/ipv6_route, best first. */
export function parseRoutes6(table: string): Route[] {
  const routes: Route[] = []
  for (const line of table.split('\n')) {
    const [destination, length, , , hex, metric, , , flags, name] = line.trim().split(/\s+/)
    if (name === undefined || length !== '00' || !/^0{32}$/.test(destination ?? '')) continue
    if (!isUpThroughGateway(flags) || !/^[0-9a-f]{32}$/i.test(hex ?? '')) continue
    const ip = bytesToIp(Buffer.from(hex!, 'hex'), 0, 16)
    const gateway = /^fe[89ab]/.test(ip) ? `${ip}%${name}` : ip
    routes.push({ interface: name, gateway, metric: Number.parseInt(metric ?? '', 16) })
  }
  return routes.sort((a, b) => a.metric - b.metric)
}

/** The interface that has this address. */
export function interfaceOf(localIp: string): string | undefined {
  const ip = canonicalIp(localIp.replace(/%.*/, ''))
  for (const [name, infos = []] of Object.entries(networkInterfaces())) {
    if (infos.some(({ address }) => canonicalIp(address) === ip)) return name
  }
  return undefined
}

/** From linux/route.h. */
const ROUTE_UP = 0x1
const ROUTE_GATEWAY = 0x2
const ROUTE_REJECT = 0x200
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function isUpThroughGateway(flags: string | undefined): boolean {
  return (Number.parseInt(flags ?? '', 16) & (ROUTE_UP | ROUTE_GATEWAY | ROUTE_REJECT)) === (ROUTE_UP | ROUTE_GATEWAY)
}

function readTable(name: string): string {
  try {
    return readFileSync(`/proc/net/${name}`, 'latin1')
  } catch {
    return '' // Not Linux, or no IPv6.
  }
}
