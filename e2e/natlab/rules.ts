/** What nftables has to do for a NAT or firewall in RFC 4787's words. A router's interfaces are `wan` and `lan`. */
import type { Dependence, FirewallPolicy, NatBehavior } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'

/** Default of NatBehavior.mappingTimeout and FirewallPolicy.timeout, milliseconds. */
const TIMEOUT = 120_000

/** IPv4 network address and port translation to the address `external`. Throws for what nftables cannot do. */
export function natRules(nat: NatBehavior, external: string): string {
  const impossible = whyImpossible(nat)
  if (impossible) throw new Error(`the kernel lab has no NAT with ${impossible}`)
  const { mapping, hairpin = 'none', filtering, unsolicited = 'dropped', mappingTimeout = TIMEOUT } = nat
  return [
    mapping === 'endpoint-independent' ? endpointIndependent(nat, external) : masquerade(nat),
    ...(unsolicited === 'dropped' ? [ownStackRules(external)] : []),
    filterRules(4, filtering, mappingTimeout, hairpin !== 'none'),
  ].join('\n')
}

/** A packet filter without translation. `both`: of IPv4 too, which no NAT filters here. */
export function firewallRules(policy: FirewallPolicy, both: boolean): string {
  const { filtering = 'address-and-port-dependent', outgoingPorts, outgoingTcpPorts, timeout = TIMEOUT } = policy
  const ports = [portRule('udp', outgoingPorts), portRule('tcp', outgoingTcpPorts)].filter((rule) => rule !== undefined)
  const families = both ? ([4, 6] as const) : ([6] as const)
  return [
    `table inet firewall {
  chain ports {
    type filter hook forward priority -20
    ${ports.join('\n    ')}
  }
}`,
    ...families.map((family) => filterRules(family, filtering, timeout, false)),
  ].join('\n')
}

/** The kernel's own timeouts for a flow, as lines for a NamespacePlan. */
export function timeouts({ mappingTimeout, unrepliedTimeout }: NatBehavior): [string, number][] {
  const seconds = (ms: number) => Math.ceil(ms / 1_000)
  const unreplied = unrepliedTimeout ?? mappingTimeout ?? TIMEOUT
  return [
    ['net/netfilter/nf_conntrack_udp_timeout', seconds(unreplied)],
    ['net/netfilter/nf_conntrack_udp_timeout_stream', seconds(mappingTimeout ?? TIMEOUT)],
  ]
}

function whyImpossible(nat: NatBehavior): string | undefined {
  const { mapping, allocation, hairpin = 'none', portQuota, maximumLifetime } = nat
  if (mapping === 'address-dependent') return 'address-dependent mapping'
  if (allocation === 'sequential') return 'sequential allocation'
  if (portQuota !== undefined) return 'a port quota'
  if (maximumLifetime !== undefined) return 'a maximum lifetime of mappings'
  return mapping !== 'endpoint-independent' && hairpin !== 'none' ? 'hairpinning of this mapping' : undefined
}

function portRule(protocol: 'udp' | 'tcp', ports: readonly number[] | undefined): string | undefined {
  if (ports === undefined) return undefined
  const others = ports.length > 0 ? `${protocol} dport != { ${ports.join(', ')} } ` : ''
  return `iifname "lan" meta l4proto ${protocol} ${others}drop`
}

/** The external ports of new mappings, as the end of a nat statement. */
function portRange({ allocation = 'preserve' }: NatBehavior): string {
  if (typeof allocation === 'object') return `:${allocation.low}-${allocation.high} fully-random`
  return allocation === 'random' ? ':1024-65535 fully-random' : ''
}

/** Another mapping for every flow: what connection tracking does by itself. */
function masquerade(nat: NatBehavior): string {
  const range = portRange(nat)
  return `table ip nat {
  chain pre {
    type nat hook prerouting priority dstnat
  }
  chain post {
    type nat hook postrouting priority srcnat
    oifname "wan" meta l4proto udp masquerade ${range && `to ${range}`}
    oifname "wan" masquerade
  }
}`
}

/**
 * One mapping for all destinations. Connection tracking alone decides flow by flow, so two maps carry what it decided
 * for the first flow over to the others: `out` from internal to external endpoint, `in` back. They are kept up in a
 * filter chain behind the translation, because nat chains see the first packet of a flow alone, and a mapping lives as
 * long as packets leave (RFC 4787 REQ-6). A port that another inside endpoint has already is not given twice.
 */
function endpointIndependent(nat: NatBehavior, external: string): string {
  const { hairpin = 'none', mappingTimeout = TIMEOUT } = nat
  const timeout = `timeout ${Math.ceil(mappingTimeout / 1_000)}s`
  const map = (name: string, type: string) =>
    `map ${name} {\n    type ${type}\n    flags dynamic,timeout\n    ${timeout}\n    size 65535\n  }`
  const translate = (which: string) => `${which} meta l4proto udp snat ip to ip saddr . udp sport map @out
    ${which} meta l4proto udp udp sport @in snat to ${external}:1024-65535 fully-random
    ${which} meta l4proto udp snat to ${external}${portRange(nat)}
    ${which} snat to ${external}`
  const learn = (which: string) => `${which} meta l4proto udp ct direction original jump original
    ${which} meta l4proto udp ct direction reply update @in { udp sport ${timeout} : ct reply ip saddr . ct reply proto-src }`
  // A packet that turns round in the router is marked on its way, so that it can be told from one that came in.
  const leaving = ['oifname "wan"', ...(hairpin === 'external' ? ['ct mark 1'] : [])]
  return `table ip nat {
  ${map('out', 'ipv4_addr . inet_service : ipv4_addr . inet_service')}
  ${map('in', 'inet_service : ipv4_addr . inet_service')}
  chain pre {
    type nat hook prerouting priority dstnat
    ${hairpin === 'none' ? 'iifname "wan" ' : ''}ip daddr ${external} meta l4proto udp dnat ip to udp dport map @in
  }
  chain around {
    type filter hook forward priority -10
    iifname "lan" oifname "lan" ct status dnat ct mark set 1
  }
  chain post {
    type nat hook postrouting priority srcnat
    ${leaving.map(translate).join('\n    ')}
  }
  chain learn {
    type filter hook postrouting priority 110
    ${leaving.map(learn).join('\n    ')}
  }
  chain original {
    meta l4proto udp update @in { udp sport ${timeout} : ct original ip saddr . ct original proto-src }
    meta l4proto udp update @out { ct original ip saddr . ct original proto-src ${timeout} : ip saddr . udp sport }
  }
}`
}

/** The router's own stack takes nothing from outside, nor from inside by its outside address. */
function ownStackRules(external: string): string {
  return `table ip own {
  chain input {
    type filter hook input priority 0
    iifname "wan" ct state new drop
    iifname "lan" ip daddr ${external} drop
  }
}`
}

/**
 * Who may send to an inside endpoint: whom it has sent to itself, as far as `filtering` looks. Checked behind the
 * translation, where both ends of a hairpinned packet have their outside names. What is not UDP needs an established
 * connection.
 */
function filterRules(family: 4 | 6, filtering: Dependence, timeout: number, hairpin: boolean): string {
  const ip = family === 4 ? 'ip' : 'ip6'
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const ttl = `timeout ${Math.ceil(timeout / 1_000)}s`
  const [open, withPort] = [filtering === 'endpoint-independent', filtering === 'address-and-port-dependent']
  const key = (...[ip, port, peer, peerPort]: string[]) => [ip, port, peer, ...(withPort ? [peerPort] : [])].join(' . ')
  const note = (direction: string) =>
    `iifname != "wan" meta l4proto udp ct direction ${direction} update @contacts ` +
    `{ ${key(`${ip} saddr`, 'udp sport', `ct ${direction} ${ip} daddr`, `ct ${direction} proto-dst`)} ${ttl} }`
  const check = (which: string) =>
    `${which} meta l4proto udp ${key(`${ip} daddr`, 'udp dport', `${ip} saddr`, 'udp sport')} @contacts accept
    ${which} meta l4proto udp drop`
  const turning = hairpin ? check('ct mark 1') : ''
  return `table ${ip} filtering {
  set contacts {
    type ${key(address, 'inet_service', address, 'inet_service')}
    flags dynamic,timeout
    ${ttl}
    size 65535
  }
  chain forward {
    type filter hook forward priority -9
    ${open ? '' : `${note('original')}\n    ${note('reply')}`}
    iifname "wan" meta l4proto != udp ct state established,related accept
    iifname "wan" meta l4proto != udp drop
    iifname "wan" meta l4proto udp meta mark set 1
  }
  chain post {
    type filter hook postrouting priority 120
    ${open ? '' : `${check('meta mark 1')}\n    ${turning}`}
  }
}`
}

/**
 * Chains that miniupnpd fills. What it has translated passes where it also says `accept`, and nothing else does; the
 * router's own filter, which knows answers only, leaves those packets alone. For routers whose own mappings are connection
 * tracking's, where a translated destination is miniupnpd's work.
 */
export function mappingRules(protocols: NonNullable<Placement['mappingProtocols']>): string {
  // miniupnpd has one switch for both: a router that knows no PCP drops its version byte.
  const [hasPcp, hasNatPmp] = [protocols.includes('pcp'), protocols.includes('nat-pmp')]
  const version = hasPcp === hasNatPmp ? '' : `udp dport 5351 @th,64,8 ${hasPcp ? 0 : 2} drop`
  return `table inet mapping {
  chain versions {
    type filter hook input priority 0
    ${version}
  }
  chain prerouting {
    type nat hook prerouting priority -101
    iifname "wan" jump prerouting_miniupnpd
  }
  chain prerouting_miniupnpd {
  }
  chain postrouting_miniupnpd {
  }
  chain forward {
    type filter hook forward priority -5
    iifname "wan" ct status dnat meta mark set 0
    iifname "wan" ct status dnat ct state new jump miniupnpd
    iifname "wan" ct status dnat ct state new drop
  }
  chain miniupnpd {
  }
}`
}
