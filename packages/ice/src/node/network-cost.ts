import type { NetworkInfo } from '@floe/stun'
import type { InterfaceAddress } from './interfaces.ts'

/**
 * The order of libwebrtc's `rtc_base/network_constants.h`, which is all that counts, at the upper end of its scale: where it
 * controls, and the pair that it has chosen dies, another one that costs nothing is what it moves to. That has to outweigh
 * what its own networks differ by, 900 between Wi-Fi and cellular; 999 is the most that it takes.
 */
const COST = { wired: 900, wifi: 910, unknown: 950, cellular: 999 } as const
/** A VPN runs over one of the other networks, and that is nearer. */
const VPN_SURCHARGE = 1

/**
 * What the name of an interface says of its kind. Linux (systemd's predictable names and the kernel's), Android, Windows.
 * macOS calls wired and wireless ones alike `en0`, and libwebrtc does not know them apart by name either.
 */
const KINDS: readonly (readonly [name: RegExp, cost: number])[] = [
  [/^(wl|wi-?fi)/i, COST.wifi],
  [/^(ww|rmnet|ccmni|pdp_ip|ppp|cellular)/i, COST.cellular],
  [/^eth/i, COST.wired],
]
/** `eno1`, `enp3s0`, `ens5`, `enx001122334455`. */
const PREDICTABLE = /^en[opsx]/

/** For GOOG-NETWORK-INFO and candidate lines: which of this machine's networks an address is in, and what it costs. */
export function networkInfo({ name, kind }: Pick<InterfaceAddress, 'name' | 'kind'>): NetworkInfo {
  return { id: idOf(name), cost: costOf(name, kind) }
}

function costOf(name: string, kind: InterfaceAddress['kind']): number {
  if (kind === 'loopback') return COST.wired
  const [, cost] = KINDS.find(([pattern]) => pattern.test(name)) ?? []
  if (cost !== undefined) return cost
  if (PREDICTABLE.test(name)) return COST.wired
  return kind === 'vpn' ? COST.unknown + VPN_SURCHARGE : COST.unknown
}

/** By interface, from 1 on, the same in all transports of the process. Numbers are 16 bits: containers come and go. */
const ids = new Map<string, number>()
const HIGHEST_ID = 0xffff

function idOf(name: string): number {
  const known = ids.get(name)
  if (known !== undefined) return known
  if (ids.size === HIGHEST_ID) ids.clear()
  const id = ids.size + 1
  ids.set(name, id)
  return id
}
