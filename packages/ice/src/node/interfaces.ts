import { readFileSync } from 'node:fs'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { ipToBytes, withoutScope } from '@floe/stun'
import { addressScope } from '../candidate.ts'

/** One address of one network interface, as the filter and the agent see it. */
export interface InterfaceAddress {
  /** The system's name of the interface: `eth0`, `en0`, `Wi-Fi`. */
  readonly name: string
  /** With a scope id when it is link-local IPv6: `fe80::1%eth0`. */
  readonly ip: string
  readonly family: 4 | 6
  readonly kind: InterfaceKind
  /** The default route of this family leaves through it. Known on Linux only. */
  readonly defaultRoute: boolean
  /** An IPv6 privacy address that changes by the day (RFC 8981). Known on Linux only. */
  readonly temporary: boolean
}

/** `virtual`: a network that exists on this machine alone, for its containers and virtual machines. */
export type InterfaceKind = 'ordinary' | 'vpn' | 'virtual' | 'loopback'

export interface InterfaceOptions {
  /** `false` leaves the address out, whatever its rank. */
  readonly filter?: ((address: InterfaceAddress) => boolean) | undefined
  /** Loopback too, last. Without it loopback is used only when there is nothing else. */
  readonly includeLoopback?: boolean | undefined
}

/** What this machine's system tells. Read by `readSystem()`, or written down in a test. */
export interface System {
  readonly interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>
  /** Names of the interfaces that default routes leave through, the preferred one first. */
  readonly defaultRoutes: { readonly 4: readonly string[]; readonly 6: readonly string[] }
  /** `ip%name` of temporary addresses, and of those that no new flow should start from (deprecated, tentative). */
  readonly temporary: ReadonlySet<string>
  readonly unusable: ReadonlySet<string>
}

/** More host candidates than this make N·M pairs and tell the peer nothing new; iroh #3979 had its slots filled by docker. */
const MAX_ADDRESSES = 10
/** Addresses of local-only networks: enough for a peer in a container, too few to crowd out the others. */
const MAX_VIRTUAL = 2
/** A prefix often has a stable address, a temporary one, and yesterday's temporary one. */
const MAX_IPV6_PER_INTERFACE = 3

/** The addresses to bind, best first. */
export function hostAddresses(options: InterfaceOptions = {}, system: System = readSystem()): InterfaceAddress[] {
  const wanted = list(system).filter((address) => options.filter?.(address) ?? true)
  const [loopback, others] = partition(wanted, ({ kind }) => kind === 'loopback')
  const ranked = capped(others.sort((a, b) => rank(a, system) - rank(b, system)))
  if (ranked.length === 0) return loopback
  return options.includeLoopback ? [...ranked, ...loopback].slice(0, MAX_ADDRESSES) : ranked
}

/**
 * Whether a socket bound to this address still has it. Not whether a new one would be: flows outlive the time in which
 * new ones may start from an IPv6 address (RFC 4862 §5.5.4).
 */
export function isPresent({ ip, name }: InterfaceAddress, { interfaces }: System): boolean {
  const bare = withoutScope(ip)
  return (interfaces[name] ?? []).some((info) => info.address === bare && scopedIp(name, info) === ip)
}

/** Reads interfaces, default routes and address flags, as of now. */
export function readSystem(): System {
  const flags = parseAddressFlags(readProc('if_inet6'))
  return {
    interfaces: networkInterfaces(),
    defaultRoutes: { 4: parseRoutes(readProc('route')), 6: parseRoutes6(readProc('ipv6_route')) },
    ...flags,
  }
}

/** Interface names of the default routes in /proc/net/route, by metric. */
export function parseRoutes(table: string): string[] {
  const routes: [metric: number, name: string][] = []
  for (const line of table.split('\n').slice(1)) {
    const [name, destination, , flags, , , metric, mask] = line.trim().split(/\s+/)
    if (name === undefined || destination !== '00000000' || mask !== '00000000') continue
    if (Number.parseInt(flags ?? '', 16) & ROUTE_UP) routes.push([Number(metric), name])
  }
  return routes.sort((a, b) => a[0] - b[0]).map(([, name]) => name)
}

/** Interface names of the default routes in /proc/net/ipv6_route, by metric. */
export function parseRoutes6(table: string): string[] {
  const routes: [metric: number, name: string][] = []
  for (const line of table.split('\n')) {
    const [destination, length, , , , metric, , , flags, name] = line.trim().split(/\s+/)
    if (name === undefined || length !== '00' || !/^0{32}$/.test(destination ?? '')) continue
    const bits = Number.parseInt(flags ?? '', 16)
    if (bits & ROUTE_UP && !(bits & ROUTE_REJECT)) routes.push([Number.parseInt(metric ?? '', 16), name])
  }
  return routes.sort((a, b) => a[0] - b[0]).map(([, name]) => name)
}

/** Address flags from /proc/net/if_inet6, which os.networkInterfaces() does not tell. */
export function parseAddressFlags(table: string): Pick<System, 'temporary' | 'unusable'> {
  const temporary = new Set<string>()
  const unusable = new Set<string>()
  for (const line of table.split('\n')) {
    const [hex, , , , flags, name] = line.trim().split(/\s+/)
    if (hex === undefined || flags === undefined || name === undefined) continue
    const bits = Number.parseInt(flags, 16)
    if (bits & ADDRESS_TEMPORARY) temporary.add(`${hex}%${name}`)
    if (bits & (ADDRESS_DEPRECATED | ADDRESS_TENTATIVE | ADDRESS_DAD_FAILED)) unusable.add(`${hex}%${name}`)
  }
  return { temporary, unusable }
}

/** From linux/route.h and linux/if_addr.h. */
const ROUTE_UP = 0x1
const ROUTE_REJECT = 0x200
const ADDRESS_TEMPORARY = 0x01
const ADDRESS_DAD_FAILED = 0x08
const ADDRESS_DEPRECATED = 0x20
const ADDRESS_TENTATIVE = 0x40

function readProc(name: string): string {
  try {
    return readFileSync(`/proc/net/${name}`, 'latin1')
  } catch {
    return '' // Not Linux, or no IPv6: the order of the system stands.
  }
}

function list(system: System): InterfaceAddress[] {
  const addresses: InterfaceAddress[] = []
  for (const [name, infos = []] of Object.entries(system.interfaces)) {
    for (const info of infos) {
      const key = info.family === 'IPv6' ? `${hexOf(info.address)}%${name}` : ''
      if (system.unusable.has(key)) continue
      const family = info.family === 'IPv6' ? 6 : 4
      addresses.push({
        name,
        ip: scopedIp(name, info),
        family,
        kind: info.internal ? 'loopback' : kindOf(name),
        defaultRoute: system.defaultRoutes[family].includes(name),
        temporary: system.temporary.has(key),
      })
    }
  }
  return addresses
}

function scopedIp(name: string, info: NetworkInterfaceInfo): string {
  const isScoped = info.family === 'IPv6' && addressScope(info.address) === 'link-local'
  return isScoped ? `${info.address}%${scopeId(name, info)}` : info.address
}

/** Windows names zones by number, everything else by interface (RFC 4007 §11.2). */
export function scopeId(name: string, info: NetworkInterfaceInfo): string {
  return process.platform === 'win32' && info.family === 'IPv6' ? String(info.scopeid) : name
}

const VIRTUAL =
  /^(docker|br-|veth|virbr|vmnet|vboxnet|vnet|lxc|lxd|incus|podman|cni|cbr|cali|flannel|kube|weave|waydroid|awdl|llw|ap\d|bridge\d|vEthernet|VMware|VirtualBox)/i
const VPN = /^(tun|tap|utun|wg|ppp|ipsec|tailscale|zt|nebula|nordlynx|proton|OpenVPN|WireGuard|Tailscale|ZeroTier)/i

function kindOf(name: string): InterfaceKind {
  if (VIRTUAL.test(name)) return 'virtual'
  return VPN.test(name) ? 'vpn' : 'ordinary'
}

/**
 * Lower is better. The default route outranks what the name suggests: on a hypervisor host it leaves through a bridge.
 * IPv4 and IPv6 are not weighed against each other: the agent interleaves them (RFC 8421).
 */
function rank(address: InterfaceAddress, { defaultRoutes }: System): number {
  const { family, kind, ip, name, temporary } = address
  const linkLocal = addressScope(ip) === 'link-local'
  if (linkLocal && family === 4) return 900 // An interface that waits in vain for its DHCP server.
  const route = defaultRoutes[family].indexOf(name)
  const network = route >= 0 ? Math.min(route, 9) : kind === 'ordinary' ? 10 : kind === 'vpn' ? 20 : 30
  // RFC 6724 §5 rule 7: temporary before stable. Link-local reaches the fewest peers.
  return network * 10 + (linkLocal ? 5 : family === 6 && !temporary ? 1 : 0)
}

function capped(ranked: readonly InterfaceAddress[]): InterfaceAddress[] {
  const ipv6 = new Map<string, number>()
  let virtual = 0
  const kept = ranked.filter((address) => {
    if (address.kind === 'virtual' && !address.defaultRoute && ++virtual > MAX_VIRTUAL) return false
    if (address.family === 4) return true
    const count = (ipv6.get(address.name) ?? 0) + 1
    ipv6.set(address.name, count)
    return count <= MAX_IPV6_PER_INTERFACE
  })
  return kept.slice(0, MAX_ADDRESSES)
}

function partition<T>(items: readonly T[], first: (item: T) => boolean): [T[], T[]] {
  return [items.filter(first), items.filter((item) => !first(item))]
}

/** As /proc/net/if_inet6 writes it: 32 hexadecimal digits. */
function hexOf(ip: string): string {
  let hex = ''
  for (const byte of ipToBytes(ip) ?? []) hex += byte.toString(16).padStart(2, '0')
  return hex
}
