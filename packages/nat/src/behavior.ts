/** What a NAT does, in the words of RFC 4787, and how that is judged from what STUN servers saw. */
import { type Address, sameAddress } from '@floe/stun'
import { addressScope } from './scope.ts'

/**
 * RFC 4787 §4.1. `endpoint-dependent`: one of the last two, and the servers at hand could not tell which, since none of
 * them has two ports on one address. `unknown`: it takes servers on two addresses.
 */
export type MappingBehavior =
  | 'endpoint-independent'
  | 'address-dependent'
  | 'address-and-port-dependent'
  | 'endpoint-dependent'
  | 'unknown'

/** RFC 4787 §5. `unknown`: it takes a server with RFC 5780's second address, and most have none. */
export type FilteringBehavior = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent' | 'unknown'

/** RFC 4787 §6. `internal`: it works, but the packet comes from the sender's internal address, against REQ-9. */
export type HairpinningBehavior = 'external' | 'internal' | 'none' | 'unknown'

/** How external ports are chosen for new mappings: what there is to predict. */
export interface PortAllocation {
  /**
   * `preserving`: the internal port (RFC 4787 §4.2.1). `sequential`: `step` apart. `block`: within 4096 ports, as
   * carriers hand them out (RFC 7422). `random`: anywhere.
   */
  readonly kind: 'preserving' | 'sequential' | 'block' | 'random'
  /** Lowest and highest external port that was seen. The real range is at least as wide. */
  readonly low: number
  readonly high: number
  /** Of `sequential`: from one new mapping to the next. */
  readonly step?: number
}

/** One local address family's report. It describes; nothing is decided by it. */
export interface NatBehavior {
  /** The first of the sockets that were used. */
  readonly local: Address
  /** Whether any server answered at all. */
  readonly reachable: boolean
  /** What the servers saw of that socket; the first answer, when they differ. */
  readonly mapped?: Address
  /** Whether that is another address than `local`: there is a NAT. */
  readonly translated?: boolean
  readonly mapping: MappingBehavior
  readonly filtering: FilteringBehavior
  readonly hairpinning: HairpinningBehavior
  readonly allocation?: PortAllocation
  /** Whether all sockets of this host get the same external IP address, as REQ-2 of RFC 4787 asks ("paired"). */
  readonly pooling: 'paired' | 'arbitrary' | 'unknown'
  /** How many NATs there are on the way out; 2 stands for more. Needs `gatewayExternalIp`, unless there is none. */
  readonly layers?: 0 | 1 | 2
  /** There is a carrier-grade NAT (RFC 6888): its shared address space 100.64.0.0/10 was met on the way. */
  readonly carrierGrade: boolean
  /** Every server that was asked, and how long it took, in milliseconds; `undefined`: no answer. */
  readonly servers: readonly { readonly address: Address; readonly roundTripTime: number | undefined }[]
}

/** What one server saw of one socket. */
export interface Observation {
  readonly server: Address
  readonly mapped: Address
}

/** From what several servers saw of one and the same socket. */
export function judgeMapping(observations: readonly Observation[]): MappingBehavior {
  let [severalAddresses, sameAddressDiffers, sameAddressAgrees, differs] = [false, false, false, false]
  for (const [index, a] of observations.entries()) {
    for (const b of observations.slice(index + 1)) {
      if (sameAddress(a.server, b.server)) continue
      const agrees = sameAddress(a.mapped, b.mapped)
      differs ||= !agrees
      if (a.server.ip !== b.server.ip) severalAddresses = true
      else if (agrees) sameAddressAgrees = true
      else sameAddressDiffers = true
    }
  }
  if (sameAddressDiffers) return 'address-and-port-dependent'
  if (!severalAddresses) return 'unknown'
  if (!differs) return 'endpoint-independent'
  return sameAddressAgrees ? 'address-dependent' : 'endpoint-dependent'
}

/** A socket's internal and external port. */
export interface PortSample {
  readonly internal: number
  readonly external: number
}

/** From several sockets at one server, in the order in which they sent. `undefined`: too few to say anything. */
export function judgeAllocation(samples: readonly PortSample[]): PortAllocation | undefined {
  if (samples.length < MIN_SAMPLES) return undefined
  const ports = samples.map(({ external }) => external)
  const range = { low: Math.min(...ports), high: Math.max(...ports) }
  const preserved = samples.filter(({ internal, external }) => internal === external).length
  if (preserved >= samples.length * MOSTLY) return { kind: 'preserving', ...range }
  const gaps = ports.slice(1).map((port, index) => port - ports[index]!)
  const sequential = gaps.every(
    (gap) => Math.sign(gap) === Math.sign(gaps[0]!) && gap !== 0 && Math.abs(gap) <= MAX_STEP,
  )
  if (sequential) return { kind: 'sequential', ...range, step: median(gaps) }
  return { kind: range.high - range.low <= MAX_BLOCK ? 'block' : 'random', ...range }
}

/** `gatewayExternalIp`: what the home router says its outside is, as a port mapping protocol tells it. */
export function countLayers(local: Address, mapped: Address, gatewayExternalIp?: string): 0 | 1 | 2 | undefined {
  if (sameAddress(local, mapped)) return 0
  if (gatewayExternalIp === undefined) return undefined
  return gatewayExternalIp === mapped.ip ? 1 : 2
}

/** Whether one of these addresses belongs to a carrier's inside. */
export function isCarrierGrade(...ips: (string | undefined)[]): boolean {
  return ips.some((ip) => ip !== undefined && addressScope(ip) === 'shared')
}

const MIN_SAMPLES = 3
/** Linux preserves ports but for those that are taken. */
const MOSTLY = 0.75
/** Other hosts behind the same NAT take ports in between. */
const MAX_STEP = 20
/** Carriers' blocks have 64 to 4096 ports. Eight random ports lie so close together once in 10⁷ runs. */
const MAX_BLOCK = 4_096

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!
}
