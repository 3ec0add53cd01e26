/** What nftables has to do for a NAT or firewall in RFC 4787's words. A router's interfaces are `wan` and `lan`. */
import type { Dependence } from '../sim/nat.ts'
import { BLOCK_PORTS, type RouterFirewall, type RouterNat } from '../topology/placement.ts'

/** RFC 4787 REQ-5, milliseconds. */
const MAPPING_TIMEOUT = 120_000

/** Where the block of the one subscriber begins; any place does. */
const BLOCK_START = 20_000

/** IPv4 network address and port translation to the outside address `external`. */
export function natRules(nat: RouterNat, external: string): string {
  const mapping = nat.mapping === 'address-and-port-dependent' ? masquerade(nat) : endpointIndependent(nat, external)
  const { hairpin = 'none', filtering, unsolicited = 'drop', mappingTimeout = MAPPING_TIMEOUT } = nat
  const own = unsolicited === 'accept' ? '' : unsolicitedRules(external)
  return [mapping, own, filterRules(4, filtering, mappingTimeout, hairpin !== 'none')].join('\n')
}

/** A packet filter without translation, or in addition to it (its port rules). */
export function firewallRules({ filtering, outgoingPorts, outgoingTcpPorts, timeout }: RouterFirewall, family: 4 | 6) {
  const ports = [
    ...portRule('udp', outgoingPorts), //
    ...portRule('tcp', outgoingTcpPorts),
  ]
  const table = `table ${family === 4 ? 'ip' : 'ip6'} firewall {
  chain ports {
    type filter hook forward priority -5
    ${ports.join('\n    ')}
  }
}`
  if (family === 4) return table // Behind NAT, which filters what comes in.
  return `${table}\n${filterRules(6, filtering ?? 'address-and-port-dependent', timeout ?? MAPPING_TIMEOUT, false)}`
}

function portRule(protocol: 'udp' | 'tcp', ports: readonly number[] | undefined): string[] {
  if (ports === undefined) return []
  const others = ports.length > 0 ? `${protocol} dport != { ${ports.join(', ')} } ` : ''
  return [`iifname "lan" oifname "wan" meta l4proto ${protocol} ${others}drop`]
}

/** Another mapping for every flow: what connection tracking does by itself. */
function masquerade({ allocation = 'preserve' }: RouterNat): string {
  const last = BLOCK_START + BLOCK_PORTS - 1
  const udp = {
    preserve: 'masquerade',
    random: 'masquerade fully-random',
    block: `masquerade to :${BLOCK_START}-${last} fully-random`,
    sequential: undefined,
  }[allocation]
  if (!udp) throw new Error('nftables cannot allocate ports one after another')
  return `table ip nat {
  chain pre {
    type nat hook prerouting priority dstnat
  }
  chain post {
    type nat hook postrouting priority srcnat
    oifname "wan" meta l4proto udp ${udp}
    oifname "wan" masquerade
  }
}`
}

/**
 * One mapping for all destinations. Connection tracking alone decides flow by flow, so two maps carry what it decided
 * for the first flow over to the others: `out` from internal to external endpoint, `in` back. They are kept up in a
 * filter chain behind the translation, because nat chains see the first packet of a flow alone, and a mapping lives as
 * long as packets leave (RFC 4787 REQ-6).
 */
function endpointIndependent(nat: RouterNat, external: string): string {
  if (nat.mapping === 'address-dependent') throw new Error('the kernel lab has no address-dependent mapping')
  const { allocation = 'preserve', hairpin = 'none', unsolicited = 'drop', mappingTimeout = MAPPING_TIMEOUT } = nat
  const ports = { preserve: '', random: ':1024-65535 fully-random', block: undefined, sequential: undefined }[
    allocation
  ]
  if (ports === undefined) throw new Error(`the kernel lab has no ${allocation} allocation with this mapping`)
  if (unsolicited === 'accept') return masquerade(nat)
  const timeout = `timeout ${Math.ceil(mappingTimeout / 1_000)}s`
  const map = (name: string, type: string) =>
    `map ${name} {\n    type ${type}\n    flags dynamic,timeout\n    ${timeout}\n    size 65535\n  }`
  const translate = (which: string) => `${which} meta l4proto udp snat ip to ip saddr . udp sport map @out
    ${which} meta l4proto udp snat to ${external}${ports}
    ${which} snat to ${external}`
  const learn = (which: string) => `${which} meta l4proto udp ct direction original jump original
    ${which} meta l4proto udp ct direction reply update @in { udp sport ${timeout} : ct reply ip saddr . ct reply proto-src }`
  const around = hairpin === 'external' ? ['ct mark 1'] : []
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
    ${['oifname "wan"', ...around].map(translate).join('\n    ')}
  }
  chain learn {
    type filter hook postrouting priority 110
    ${['oifname "wan"', ...around].map(learn).join('\n    ')}
  }
  chain original {
    meta l4proto udp update @in { udp sport ${timeout} : ct original ip saddr . ct original proto-src }
    meta l4proto udp update @out { ct original ip saddr . ct original proto-src ${timeout} : ip saddr . udp sport }
  }
}`
}

/** The router's own stack takes nothing from outside, nor from inside by its outside address. */
function unsolicitedRules(external: string): string {
  return `table ip own {
  chain input {
    type filter hook input priority 0
    iifname "wan" ct state new drop
    iifname "lan" ip daddr ${external} drop
  }
}`
}

/**
 * Who may send to an inside endpoint: whom it has sent to itself, as far as `filtering` looks. Behind the translation,
 * where both ends of a hairpinned packet have their outside names. What is not UDP needs an established connection.
 */
function filterRules(family: 4 | 6, filtering: Dependence, timeout: number, hairpin: boolean): string {
  const [table, ip, address] = family === 4 ? ['ip', 'ip', 'ipv4_addr'] : ['ip6', 'ip6', 'ipv6_addr']
  const withPort = filtering === 'address-and-port-dependent'
  const key = (source: string, sport: string, peer: string, pport: string) =>
    `${source} . ${sport} . ${peer}${withPort ? ` . ${pport}` : ''}`
  const ttl = `timeout ${Math.ceil(timeout / 1_000)}s`
  const note = (direction: 'original' | 'reply') => {
    const peer = [`ct ${direction} ${ip} daddr`, `ct ${direction} proto-dst`] as const
    return `iifname "lan" meta l4proto udp ct direction ${direction} update @contacts { ${key(`${ip} saddr`, 'udp sport', ...peer)} ${ttl} }`
  }
  const open = filtering === 'endpoint-independent'
  const check = (
    from: string,
  ) => `${from} meta l4proto udp ${key(`${ip} daddr`, 'udp dport', `${ip} saddr`, 'udp sport')} @contacts accept
    ${from} meta l4proto udp drop`
  return `table ${table} filtering {
  set contacts {
    type ${key(address, 'inet_service', address, 'inet_service')}
    flags dynamic,timeout
    ${ttl}
    size 65535
  }
  chain forward {
    type filter hook forward priority -9
    ${open ? '' : ['original', 'reply'].map((each) => note(each as 'original')).join('\n    ')}
    iifname "wan" meta l4proto != udp ct state established,related accept
    iifname "wan" meta l4proto != udp drop
    iifname "wan" meta l4proto udp meta mark set 1
  }
  chain post {
    type filter hook postrouting priority 120
    ${open ? '' : check('meta mark 1')}
    ${open || !hairpin ? '' : check('ct mark 1')}
  }
}`
}
