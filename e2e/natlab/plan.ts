/** From a description of places to namespaces, cables, addresses and routes. Pure: nothing is made here. */
import type { LinkQuality, NatBehavior } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'
import { firewallRules, mappingRules, natRules, timeouts } from './rules.ts'

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
  readonly attachments: readonly Attachment[]
  /** All routers between this host and the internet, the nearest first. */
  readonly routers: readonly string[]
  /** Where it asks for names, if anywhere. */
  readonly nameServer?: string
}

/** One address of a host. */
export interface Attachment {
  readonly address: string
  /** The interface it is on. */
  readonly device: string
  /** The line into the core that its packets take. Hosts of one home share one. */
  readonly leg: string
  /** From the home's to the outermost. */
  readonly routers: readonly string[]
}

export interface RouterPlan {
  readonly outside: readonly string[]
  /** IPv6 address inside, of a router that translates to IPv4. */
  readonly nat64?: string
  readonly mappingProtocols?: Placement['mappingProtocols']
}

export interface Leg {
  readonly name: string
  /** Of the interface at the core's end. */
  readonly device: string
  /** Addresses and IPv6 /64 networks behind it. */
  readonly networks: string[]
  /** Of its first host's placement. */
  readonly link?: LinkQuality
}

/** Two addresses of each family on one host, so that mappings can be compared (RFC 5780 §4.3). */
export const SERVER_ADDRESSES = ['192.0.2.1', '192.0.2.2', '2001:db8:0:5::1', '2001:db8:0:5::2'] as const

/** Plans an internet with the STUN servers and with these hosts. Throws for placements that the kernel lab cannot build. */
export function planInternet(hosts: Readonly<Record<string, readonly Placement[]>>): Plan {
  const planner = new Planner()
  for (const [name, placements] of Object.entries(hosts)) planner.host(name, placements)
  return planner
}

/** A router while it is planned. */
interface Router extends RouterPlan {
  readonly name: string
  readonly n: number
  /** `squatter`: a carrier whose inside has addresses that belong to others. */
  readonly kind: 'home' | 'carrier' | 'squatter'
  readonly translates: boolean
  readonly leg: Leg
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
  #open = 0

  constructor() {
    this.#namespace('core').sysctl.push(...FORWARDING)
    this.#namespace('servers')
    this.#leg('servers', 'eth0', SERVER_ADDRESSES)
  }

  host(name: string, placements: readonly Placement[]) {
    this.#namespace(name)
    const attachments: Attachment[] = []
    for (const [i, group] of byInterface(placements).entries()) {
      const made = this.#interface(
        name,
        `eth${i}`,
        group.map((index) => placements[index]!),
      )
      for (const [k, index] of group.entries()) attachments[index] = made[k]!
    }
    const routers = [...new Set(attachments.flatMap((attachment) => attachment.routers))]
    const nameServer = routers.map((router) => this.routers.get(router)?.nat64).find((nat64) => nat64 !== undefined)
    this.hosts.set(name, { attachments, routers, ...(nameServer && { nameServer }) })
  }

  /** One interface of a host, with one address per placement. */
  #interface(host: string, device: string, group: readonly Placement[]): Attachment[] {
    const [first] = group as readonly [Placement]
    const families = group.map(familyOf)
    const router = isOpen(first) ? undefined : this.#routerFor(host, device, first, families)
    const addresses = families.map((family) =>
      router ? this.#plug(router, host, device, family) : this.#openAddress(family),
    )
    const { name: leg } = router?.leg ?? this.#leg(host, device, addresses, first.link)
    return addresses.map((address) => ({ address, device, leg, routers: router?.chain ?? [] }))
  }

  #routerFor(host: string, device: string, placement: Placement, families: readonly (4 | 6)[]): Router {
    const known = placement.lan === undefined ? undefined : this.routers.get(placement.lan)
    return known ?? this.#home(placement.lan ?? `${host}-${device}-router`, placement, families)
  }

  #openAddress(family: 4 | 6): string {
    const n = ++this.#open
    return family === 4 ? `203.0.113.${n}` : `2001:db8:0:1::${n}`
  }

  #home(name: string, placement: Placement, families: readonly (4 | 6)[]): Router {
    const { carrier, nat, nat64, firewall, link, mappingProtocols } = placement
    const outer = carrier && (this.routers.get(carrier.name) ?? this.#carrier(carrier, placement))
    const router = this.#router(name, 'home', { nat, nat64, families, outer, link, mappingProtocols })
    const { nft } = this.namespaces.get(name)!
    if (firewall) nft.push(firewallRules(firewall, nat === undefined))
    return router
  }

  #carrier({ name, nat }: NonNullable<Placement['carrier']>, { link, mappingProtocols }: Placement): Router {
    return this.#router(name, mappingProtocols ? 'squatter' : 'carrier', { nat, families: [4], link })
  }

  #router(
    name: string,
    kind: Router['kind'],
    { nat, nat64, families, outer, link, mappingProtocols }: RouterSides & { readonly outer?: Router | undefined },
  ): Router {
    const n = this.routers.size + 1
    const { ip, sysctl, nft } = this.#namespace(name)
    sysctl.push(...FORWARDING)
    const outside4 = mappingProtocols ? `11.22.33.${n}` : `198.51.100.${n}`
    const own = [...(nat || nat64 ? [outside4] : []), ...(families.includes(6) ? [`2001:db8:0:2::${n}`] : [])]
    // Something to route by, where the router itself has no use for an address.
    if (own.length === 0) own.push(`198.51.100.${n}`)
    const outside = outer ? [this.#plug(outer, name, 'wan', 4)] : own
    const leg = outer?.leg ?? this.#leg(name, 'wan', own, link)
    ip.push('link add lan type bridge', ...up('lan'), `addr add ${insideOf(kind, n, 4)}1/24 dev lan`)
    if (families.includes(6)) {
      ip.push(`addr add ${insideOf(kind, n, 6)}1/64 dev lan nodad`, linkLocal('lan', 1), linkLocal('wan', 2))
      this.#route(leg, `2001:db8:${n}::/64`, own.at(-1)!)
    }
    const translation = nat ?? nat64
    if (translation) {
      nft.push(natRules(translation, outside[0]!))
      sysctl.push(...timeouts(translation))
    }
    if (mappingProtocols) nft.push(mappingRules(mappingProtocols))
    const chain = [name, ...(outer?.chain ?? [])]
    const translator = nat64 && { nat64: `${insideOf(kind, n, 6)}1` }
    const maps = mappingProtocols && { mappingProtocols }
    const router = {
      name,
      n,
      kind,
      outside,
      leg,
      chain,
      ports: 0,
      translates: nat !== undefined,
      ...translator,
      ...maps,
    }
    this.routers.set(name, router)
    return router
  }

  /** A cable from the core to `device` of `namespace`, which has these addresses. */
  #leg(namespace: string, device: string, own: readonly string[], link?: LinkQuality): Leg {
    const name = this.legs.some((leg) => leg.name === namespace) ? `${namespace}-${device}` : namespace
    const leg: Leg = { name, device: `leg${this.legs.length + 1}`, networks: [...own], ...(link && { link }) }
    this.legs.push(leg)
    this.cables.push([
      ['core', leg.device],
      [namespace, device],
    ])
    const core = this.namespaces.get('core')!.ip
    const end = this.namespaces.get(namespace)!.ip
    core.push(...up(leg.device), linkLocal(leg.device, 1))
    end.push(...up(device))
    for (const gateway of ['192.0.2.254', `2001:db8:0:6::${this.legs.length}`]) {
      const mine = own.filter((address) => isV6(address) === isV6(gateway))
      if (mine.length === 0) continue
      core.push(addressOn(leg.device, gateway), ...mine.map((address) => `route add ${address} dev ${leg.device}`))
      end.push(...mine.map((address) => addressOn(device, address)))
      end.push(`route add ${gateway} dev ${device} metric ${metricOf(device)}`, ...waysOut(device, mine, gateway))
    }
    return leg
  }

  /** What is behind a router without translation. */
  #route(leg: Leg, network: string, router: string) {
    leg.networks.push(network)
    this.namespaces.get('core')!.ip.push(`route add ${network} via ${router} dev ${leg.device}`)
  }

  /** A cable from the inside of `router` to `device` of `namespace`, for the first address. Returns the address. */
  #plug(router: Router, namespace: string, device: string, family: 4 | 6): string {
    const { ip } = this.namespaces.get(namespace)!
    const lan = this.namespaces.get(router.name)!.ip
    const port = `lan${router.ports + 1}`
    const isNew = !this.cables.some(([, [name, plugged]]) => name === namespace && plugged === device)
    if (isNew) {
      router.ports++
      this.cables.push([
        [router.name, port],
        [namespace, device],
      ])
      lan.push(`link set dev ${port} master lan`, ...up(port))
      ip.push(...up(device))
    }
    const network = insideOf(router.kind, router.n, family)
    if (family === 4 && !router.translates) {
      const address = `203.0.113.${100 + this.hosts.size}`
      this.#route(router.leg, address, router.outside[0]!)
      lan.push(`route add ${address} dev lan`)
      ip.push(addressOn(device, address), `route add ${network}1 dev ${device}`)
      ip.push(...waysOut(device, [address], `${network}1`))
      return address
    }
    const address = `${network}${router.ports + 1}`
    ip.push(family === 4 ? `addr add ${address}/24 dev ${device}` : `addr add ${address}/64 dev ${device} nodad`)
    ip.push(...waysOut(device, [address], `${network}1`))
    return address
  }

  #namespace(name: string): NamespacePlan {
    if (!/^[\w-]+$/.test(name)) throw new Error(`"${name}" is no name for a namespace: letters, digits and - are`)
    if (this.namespaces.has(name))
      throw new Error(`${name} stands for two things: give hosts and networks unlike names`)
    const plan: NamespacePlan = { ip: ['link set dev lo up'], sysctl: [], nft: [] }
    this.namespaces.set(name, plan)
    return plan
  }
}

interface RouterSides {
  readonly nat?: NatBehavior | undefined
  readonly nat64?: NatBehavior | undefined
  readonly families: readonly (4 | 6)[]
  readonly link?: LinkQuality | undefined
  readonly mappingProtocols?: Placement['mappingProtocols']
}

/** The core and the routers. No redirects: a router that hairpins must not tell its hosts of a shorter way. */
const FORWARDING: [string, number][] = [
  ['net/ipv4/ip_forward', 1],
  ['net/ipv6/conf/all/forwarding', 1],
  ['net/ipv4/conf/*/send_redirects', 0],
  // The way through the delay line is not the way back.
  ['net/ipv4/conf/*/rp_filter', 0],
]

/** Indexes, grouped: addresses behind one router share an interface; so do one of each family right on the internet. */
function byInterface(placements: readonly Placement[]): number[][] {
  const groups = new Map<string, number[]>()
  for (const [i, placement] of placements.entries()) {
    const before = placements.slice(0, i)
    const alike = before.filter((other) => isOpen(other) && familyOf(other) === familyOf(placement))
    const key = placement.lan ?? placement.router ?? (isOpen(placement) ? `open ${alike.length}` : `own ${i}`)
    groups.set(key, [...(groups.get(key) ?? []), i])
  }
  return [...groups.values()]
}

function isOpen({ nat, nat64, firewall, lan, router }: Placement): boolean {
  return !nat && !nat64 && !firewall && lan === undefined && router === undefined
}

function familyOf({ nat64, family = nat64 ? 6 : 4 }: Placement): 4 | 6 {
  return family
}

/**
 * The network inside a router, but for the last number: RFC 1918, or RFC 6598 behind a carrier's NAT. miniupnpd maps for
 * neither, so homes that have one stand behind a carrier that takes the addresses of others, as some do, or on them.
 */
function insideOf(kind: Router['kind'], n: number, family: 4 | 6): string {
  if (family === 6) return `2001:db8:${n}::`
  return { home: `10.0.${n}.`, carrier: `100.64.${n}.`, squatter: `11.64.${n}.` }[kind]
}

/** The first interface is the default; what is sent from another one's IPv4 address leaves through that. */
function waysOut(device: string, addresses: readonly string[], gateway: string): string[] {
  const metric = metricOf(device)
  const others = device === 'wan' || metric === FIRST_METRIC ? [] : addresses.filter((address) => !isV6(address))
  return [
    `route add default via ${gateway} dev ${device} metric ${metric}`,
    ...others.flatMap((address) => [
      `route add default via ${gateway} dev ${device} table ${metric}`,
      `rule add from ${address} lookup ${metric}`,
    ]),
  ]
}

const FIRST_METRIC = 100

function metricOf(device: string): number {
  return FIRST_METRIC + (Number(/^eth(\d+)$/.exec(device)?.[1]) || 0)
}

function isV6(address: string): boolean {
  return address.includes(':')
}

function addressOn(device: string, address: string): string {
  return isV6(address) ? `addr add ${address}/128 dev ${device} nodad` : `addr add ${address}/32 dev ${device}`
}

/** What forwards IPv6 asks for its neighbours under this address, and under no other. */
function linkLocal(device: string, n: number): string {
  return `addr add fe80::${n}/64 dev ${device} nodad`
}

/** Without the link-local address of its own making: on hosts it would come and go as a candidate, and reach nobody. */
function up(device: string): string[] {
  return [`link set dev ${device} addrgenmode none`, `link set dev ${device} up`]
}
