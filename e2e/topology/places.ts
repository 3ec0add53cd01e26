import type { LabPlacement, RouterNat } from './placement.ts'

/** A kind of access to the internet: a row and a column of the matrix. */
export interface Place {
  /** In a table's header, and in words for its legend. */
  readonly title: string
  readonly legend: string
  /** One per address of the host. */
  readonly placements: readonly LabPlacement[]
}

const EASY: RouterNat = { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' }
const HARD: RouterNat = {
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  allocation: 'random',
}
const CARRIER: RouterNat = { ...EASY, allocation: 'random' }

/** Every kind of access that the matrix knows. */
export const PLACES = {
  public: {
    title: 'public',
    legend: 'a server: public addresses of both families, no filter',
    placements: [{}, { family: 6 }],
  },
  eif: {
    title: 'EIM/EIF',
    legend: 'NAT, endpoint-independent mapping and filtering',
    placements: [{ nat: { mapping: 'endpoint-independent', filtering: 'endpoint-independent' } }],
  },
  adf: {
    title: 'EIM/ADF',
    legend: 'NAT, endpoint-independent mapping, address-dependent filtering',
    placements: [{ nat: { mapping: 'endpoint-independent', filtering: 'address-dependent' } }],
  },
  easy: {
    title: 'EIM/APDF',
    legend: 'NAT, endpoint-independent mapping, address-and-port-dependent filtering: what RFC 4787 asks for at least',
    placements: [{ nat: EASY }],
  },
  hard: {
    title: 'APDM',
    legend: 'NAT, another random port for every destination',
    placements: [{ nat: HARD }],
  },
  block: {
    title: 'APDM-512',
    legend: 'carrier NAT, another port for every destination out of a block of 512',
    placements: [{ nat: { ...HARD, allocation: 'block' } }],
  },
  cgnat: {
    title: 'CGNAT',
    legend: 'EIM/APDF at home behind EIM/APDF at the carrier, which hairpins (RFC 6888 REQ-1)',
    placements: [{ nat: EASY, carrier: { name: 'isp', nat: { ...CARRIER, hairpin: 'external' } } }],
  },
  'cgnat-flat': {
    title: 'CGNAT without hairpin',
    legend: 'the same, but the carrier does not hairpin',
    placements: [{ nat: EASY, carrier: { name: 'flat-isp', nat: CARRIER } }],
  },
  lan: {
    title: 'LAN',
    legend: 'one home network behind one EIM/APDF NAT without hairpin, shared by both ends',
    placements: [{ nat: EASY, lan: 'home' }],
  },
  v6: {
    title: 'IPv6',
    legend: 'IPv6 alone behind a stateful firewall (RFC 6092)',
    placements: [{ family: 6, firewall: {} }],
  },
  dual: {
    title: 'dual stack',
    legend: 'IPv6 behind a stateful firewall, and IPv4 behind an APDM NAT, as with DS-Lite',
    placements: [{ nat: HARD }, { family: 6, firewall: {} }],
  },
  nat64: {
    title: 'NAT64',
    legend: 'IPv6 alone, IPv4 through NAT64 and DNS64',
    placements: [{ family: 6, firewall: {}, nat64: true }],
  },
  poison: {
    title: 'poisoning',
    legend: 'a Linux masquerade whose own stack accepts unsolicited UDP, so that early packets spoil the mapping',
    placements: [{ nat: { ...EASY, unsolicited: 'accept' } }],
  },
  blocked: {
    title: 'UDP blocked',
    legend: 'EIM/APDF NAT, no UDP leaves but to port 53',
    placements: [{ nat: EASY, firewall: { outgoingPorts: [53] } }],
  },
  only443: {
    title: 'only 443',
    legend: 'NAT, no UDP, and TCP leaves to ports 80 and 443 alone',
    placements: [{ nat: EASY, firewall: { outgoingPorts: [], outgoingTcpPorts: [80, 443] } }],
  },
} as const satisfies Record<string, Place>

export type PlaceName = keyof typeof PLACES

export const PLACE_NAMES = Object.keys(PLACES) as PlaceName[]

export function place(name: PlaceName): Place {
  return PLACES[name]
}
