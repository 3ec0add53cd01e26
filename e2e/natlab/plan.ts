/** From a description of places to namespaces, cables, addresses and routes. Pure: nothing is made here. */
import type { LabPlacement } from '../topology/placement.ts'
import { firewallRules, natRules } from './rules.ts'

export interface Plan {
  readonly namespaces: ReadonlyMap<string, NamespacePlan>
  readonly cables: readonly Cable[]
  readonly hosts: ReadonlyMap<string, HostPlan>
  readonly routers: ReadonlyMap<string, RouterPlan>
  /** What hangs on the internet core, each by a line of its own quality. */
  readonly legs: readonly Leg[]
}

/** What to do inside one namespace once its cables are plugged in. */
export interface NamespacePlan {
  /** Lines for `ip -batch`. */
  readonly ip: string[]
  /** Shell patterns of files below /proc/sys, with their values. */
  readonly sysctl: [pattern: string, value: string | number][]
  /** nftables rules. */
  readonly nft: string[]
}

/** A veth pair: namespace and device of each end. */
export type Cable = readonly [End, End]
type End = readonly [namespace: string, device: string]

export interface HostPlan {
  /** In the order of its placements. */
  readonly addresses: readonly string[]
  /** The routers between this host and the internet, the nearest first. */
  readonly routers: readonly string[]
  /** The lines into the core that its packets take. Hosts of one home share one. */
  readonly legs: readonly string[]
  /** Where it asks for names, if anywhere. */
  readonly nameServer?: string
}

export interface RouterPlan {
  readonly outside: readonly string[]
  /** IPv6 address inside, of a router that translates to IPv4. */
  readonly nat64?: string
}

export interface Leg {
  readonly name: string
  /** Of the interface at the core's end. */
  readonly device: string
  /** Addresses and IPv6 /64 networks behind it. */
  readonly networks: readonly string[]
}

/** Two addresses of each family on one host, so that mappings can be compared (RFC 5780 §4.3). */
export const SERVER_ADDRESSES = ['192.0.2.1', '192.0.2.2', '2001:db8:0:5::1', '2001:db8:0:5::2'] as const

/** Tayga 0.9.2 refuses the well-known prefix for documentation addresses. */
export const NAT64_PREFIX = '2001:db8:64:64::'

/** The core's own address on all of its legs. */
const CORE = { 4: '192.0.2.254', 6: '2001:db8:0:5::fe' } as const

/** Plans an internet with the STUN servers and with these hosts. Throws for placements that the kernel lab cannot build. */
export function planInternet(hosts: Readonly<Record<string, readonly LabPlacement[]>>): Plan {
  const planner = new Planner()
  for (const [name, placements] of Object.entries(hosts)) planner.host(name, placements)
  return planner
}

/** A router while it is planned. */
interface Router extends RouterPlan {
  readonly name: string
  readonly n: number
  /** First two numbers of the IPv4 network inside: RFC 1918, or RFC 6598 behind a carrier's NAT. */
  readonly inside: '10.0' | '100.64'
  readonly leg: string
  /** Itself and those beyond it. */
  readonly chain: readonly string[]
  ports: number
}

class Planner implements Plan {
  readonly namespaces = new Map<string, NamespacePlan>()
  readonly cables: Cable[] = []
  readonly hosts = new Map<string, HostPlan>()
  readonly routers = new Map<string, Router>()
  readonly legs: Leg[] = []

  constructor() {
    this.#namespace('core').sysctl.push(...FORWARDING)
    this.#namespace('servers')
    this.#leg('servers', 'eth0', SERVER_ADDRESSES)
  }

  host(name: string, placements: readonly LabPlacement[]) {
    this.#namespace(name)
    const uplinks = byInterface(placements).map((group, i) => this.#uplink(name, `eth${i}`, group))
    const nameServer = uplinks.map(({ router }) => router?.nat64).find((nat64) => nat64 !== undefined)
    this.hosts.set(name, {
      addresses: uplinks.flatMap(({ addresses }) => addresses),
      routers: [...new Set(uplinks.flatMap(({ router }) => router?.chain ?? []))],
      legs: uplinks.map(({ leg }) => leg),
      ...(nameServer && { nameServer }),
    })
  }

  /** One interface of a host, with one address per placement. */
  #uplink(host: string, device: string, group: readonly LabPlacement[]) {
    const router = this.#routerFor(`${host}-${device}`, group)
    const n = this.hosts.size + 1
    if (router) {
      const addresses = this.#plug(router, host, device, families(group))
      return { router, addresses, leg: router.leg }
    }
    const addresses = families(group).map((family) => (family === 4 ? `203.0.113.${n}` : `2001:db8:0:1::${n}`))
    return { router, addresses, leg: this.#leg(host, device, addresses) }
  }

  #routerFor(uplink: string, group: readonly LabPlacement[]): Router | undefined {
    const [first] = group
    if (!group.some(({ nat, firewall, lan }) => nat || firewall || lan !== undefined)) return undefined
    const known = first?.lan === undefined ? undefined : this.routers.get(first.lan)
    return known ?? this.#router(first?.lan ?? `${uplink}-router`, group, '10.0')
  }

  /** A router, outermost first. `sides`: what it does for each family. */
  #router(name: string, sides: readonly LabPlacement[], inside: Router['inside']): Router {
    const carrier = sides.find((side) => side.carrier)?.carrier
    const outer = carrier && (this.routers.get(carrier.name) ?? this.#router(carrier.name, [carrier], '100.64'))
    const n = this.routers.size + 1
    const { ip, sysctl, nft } = this.#namespace(name)
    sysctl.push(...FORWARDING)
    const v6 = families(sides).includes(6)
    const nat64 = sides.some((side) => side.nat64)
    const outside = outer ? this.#plug(outer, name, 'wan', [4]) : this.#outside(name, n, sides)
    ip.push('link add lan type bridge', ...up('lan'))
    if (families(sides).includes(4)) ip.push(`addr add ${inside}.${n}.1/24 dev lan`)
    if (v6) ip.push(`addr add 2001:db8:${n}::1/64 dev lan nodad`)
    nft.push(...sides.flatMap(({ nat, family = 4 }) => (nat && family === 4 ? [natRules(nat, outside[0]!)] : [])))
    nft.push(...sides.flatMap(({ firewall, family = 4 }) => (firewall ? [firewallRules(firewall, family)] : [])))
    const timeout = sides.find(({ nat }) => nat?.mappingTimeout)?.nat?.mappingTimeout
    if (timeout) sysctl.push([`net/netfilter/nf_conntrack_udp_timeout*`, Math.ceil(timeout / 1_000)])
    const router: Router = {
      name,
      n,
      inside,
      outside,
      leg: outer?.leg ?? name,
      chain: [name, ...(outer?.chain ?? [])],
      ports: 0,
      ...(nat64 && { nat64: `2001:db8:${n}::1` }),
    }
    this.routers.set(name, router)
    return router
  }

  /** A leg for a router's outside, and the networks routed to it. Returns the router's own addresses. */
  #outside(name: string, n: number, sides: readonly LabPlacement[]): string[] {
    const own = families(sides).includes(4) || sides.some(({ nat64 }) => nat64) ? [`198.51.100.${n}`] : []
    if (families(sides).includes(6)) own.push(`2001:db8:0:2::${n}`)
    this.#leg(name, 'wan', own, families(sides).includes(6) ? [`2001:db8:${n}::/64`] : [])
    return own
  }

  /** A cable from the core to `device` of `namespace`. Returns the leg's name. */
  #leg(namespace: string, device: string, own: readonly string[], routed: readonly string[] = []): string {
    const leg = { name: namespace, device: `leg${this.legs.length + 1}`, networks: [...own, ...routed] }
    this.legs.push(leg)
    this.cables.push([
      ['core', leg.device],
      [namespace, device],
    ])
    const core = this.namespaces.get('core')!.ip
    const end = this.namespaces.get(namespace)!.ip
    core.push(...up(leg.device))
    end.push(...up(device))
    for (const family of [4, 6] as const) {
      const mine = own.filter((address) => familyOf(address) === family)
      if (mine.length === 0) continue
      core.push(addressOn(leg.device, CORE[family]))
      end.push(...mine.map((address) => addressOn(device, address)))
      end.push(`route add ${CORE[family]} dev ${device}`, `route add default via ${CORE[family]} dev ${device}`)
    }
    // By way of the leg's first address, since a network beyond a router answers no neighbour discovery of ours.
    core.push(...own.map((address) => `route add ${address} dev ${leg.device}`))
    const gateway = own.find((address) => familyOf(address) === 6)
    core.push(...routed.map((network) => `route add ${network} via ${gateway} dev ${leg.device}`))
    return leg.name
  }

  /** A cable from the inside of `router` to `device` of `namespace`. Returns the addresses that the device has now. */
  #plug(router: Router, namespace: string, device: string, wanted: readonly (4 | 6)[]): string[] {
    const port = `lan${++router.ports}`
    this.cables.push([
      [router.name, port],
      [namespace, device],
    ])
    this.namespaces.get(router.name)!.ip.push(`link set dev ${port} master lan`, ...up(port))
    const { ip } = this.namespaces.get(namespace)!
    ip.push(...up(device))
    return wanted.map((family) => {
      const network = family === 4 ? `${router.inside}.${router.n}.` : `2001:db8:${router.n}::`
      const address = network + (router.ports + 1)
      ip.push(`addr add ${address}/${family === 4 ? 24 : '64'} dev ${device} ${family === 4 ? '' : 'nodad'}`)
      ip.push(`route add default via ${network}1 dev ${device} metric ${100 + Number(device.slice(3) || 0)}`)
      return address
    })
  }

  #namespace(name: string): NamespacePlan {
    if (this.namespaces.has(name))
      throw new Error(`${name} stands for two things: give hosts and networks unlike names`)
    const plan: NamespacePlan = { ip: ['link set dev lo up'], sysctl: [], nft: [] }
    this.namespaces.set(name, plan)
    return plan
  }
}

/** The core and the routers. No redirects: a router that hairpins must not tell its hosts of a shorter way. */
const FORWARDING: [string, number][] = [
  ['net/ipv4/ip_forward', 1],
  ['net/ipv6/conf/all/forwarding', 1],
  ['net/ipv4/conf/*/send_redirects', 0],
  // The way through the delay line is not the way back.
  ['net/ipv4/conf/*/rp_filter', 0],
]

/** A host has one interface for both families, and another one for each further address. */
function byInterface(placements: readonly LabPlacement[]): LabPlacement[][] {
  const groups: LabPlacement[][] = []
  for (const placement of placements) {
    const { family = 4, nat, firewall } = placement
    if (family === 4 && firewall && !nat) throw new Error('the kernel lab has no IPv4 firewall without NAT')
    const group = groups.find((members) => !families(members).includes(family))
    if (group) group.push(placement)
    else groups.push([placement])
  }
  return groups
}

function families(placements: readonly LabPlacement[]): (4 | 6)[] {
  return placements.map(({ family = 4 }) => family)
}

function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4
}

function addressOn(device: string, address: string): string {
  return familyOf(address) === 4
    ? `addr add ${address}/32 dev ${device}`
    : `addr add ${address}/128 dev ${device} nodad`
}

/** Without link-local addresses: they would come and go as candidates for seconds, and reach nobody here. */
function up(device: string): string[] {
  return [`link set dev ${device} addrgenmode none`, `link set dev ${device} up`]
}
