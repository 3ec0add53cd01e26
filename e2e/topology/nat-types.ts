import type { NatBehavior } from './behavior.ts'
import type { Placement } from './placement.ts'

/** A place of the matrix. Its name is its key in `NAT_TYPES`. */
export interface NatType {
  readonly description: string
  /** The host's addresses. Two hosts of one type that name the same `lan` or `carrier` share it. */
  readonly placements: readonly Placement[]
}

const EIM = { mapping: 'endpoint-independent' } as const
const EIM_EIF: NatBehavior = { ...EIM, filtering: 'endpoint-independent' }
const EIM_ADF: NatBehavior = { ...EIM, filtering: 'address-dependent' }
/** The ordinary home router. */
export const EIM_APDF: NatBehavior = { ...EIM, filtering: 'address-and-port-dependent' }
const APDM: NatBehavior = { mapping: 'address-and-port-dependent', filtering: 'address-and-port-dependent' }
/** Two of these never meet by themselves. */
export const APDM_RANDOM: NatBehavior = { ...APDM, allocation: 'random' }

/** What Linux' masquerade is in RFC 4787's terms, with conntrack's own timeouts. */
export const LINUX_MASQUERADE: NatBehavior = {
  ...APDM,
  overloading: true,
  inboundRefresh: true,
  unrepliedTimeout: 30_000,
  mappingTimeout: 120_000,
}

/** Every kind of place that the matrix of part 3 of issue 4 knows, simplest first. */
export const NAT_TYPES = {
  public: { description: 'a public address, nothing in between', placements: [{}] },
  'eim-eif': { description: 'NAT, mapping and filtering endpoint-independent', placements: [{ nat: EIM_EIF }] },
  'eim-adf': { description: 'NAT, mapping endpoint-independent, filtering by address', placements: [{ nat: EIM_ADF }] },
  'eim-apdf': {
    description: 'NAT, mapping endpoint-independent, filtering by address and port',
    placements: [{ nat: EIM_APDF }],
  },
  'apdm-random': {
    description: 'NAT, mapping and filtering by address and port, random ports',
    placements: [{ nat: APDM_RANDOM }],
  },
  'apdm-block': {
    description: 'carrier NAT, mapping and filtering by address and port, random ports of a block of 512',
    placements: [{ nat: { ...APDM, allocation: { low: 20_000, high: 20_511 } } }],
  },
  cgnat: {
    description: 'home NAT (EIM/APDF) behind a carrier NAT (EIM/EIF) that does not hairpin',
    placements: [{ nat: EIM_APDF, carrier: { name: 'carrier', nat: { ...EIM_EIF, hairpin: 'none' } } }],
  },
  'cgnat-hairpin': {
    description: 'home NAT (EIM/APDF) behind a carrier NAT (EIM/EIF) that hairpins with the external source address',
    placements: [{ nat: EIM_APDF, carrier: { name: 'hairpin-carrier', nat: { ...EIM_EIF, hairpin: 'external' } } }],
  },
  'same-lan': { description: 'both on one LAN behind a NAT (EIM/APDF)', placements: [{ nat: EIM_APDF, lan: 'lan' }] },
  'v6-firewall': {
    description: 'IPv6 behind a stateful firewall, and IPv4 behind a NAT (APDM, random ports)',
    placements: [
      { router: 'home', nat: APDM_RANDOM, firewall: {} },
      { router: 'home', family: 6 },
    ],
  },
  nat64: {
    description: 'IPv6 only, behind a stateful firewall, with NAT64 (EIM/APDF) towards IPv4',
    placements: [{ nat64: EIM_APDF, firewall: {} }],
  },
  'no-udp': { description: 'UDP is blocked, TCP may leave', placements: [{ firewall: { outgoingPorts: [] } }] },
  'only-443': {
    description: 'only TCP to port 443 may leave',
    placements: [{ firewall: { outgoingPorts: [], outgoingTcpPorts: [443] } }],
  },
  poisoning: {
    description: 'Linux masquerade whose own INPUT accepts unsolicited UDP and keeps its ports busy with it',
    placements: [{ nat: { ...LINUX_MASQUERADE, unsolicited: 'tracked' } }],
  },
} as const satisfies Record<string, NatType>

export type NatTypeName = keyof typeof NAT_TYPES
