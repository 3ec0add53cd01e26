import type { Address } from '@floe/stun'
import { addressFamily } from '@floe/stun'
import { RELAY_PREFERENCE, TCP_DIRECTION_PREFERENCE } from './defaults.ts'
import type { LocalBase } from './gatherer.ts'
import type { RelayProtocol } from './servers.ts'

/** RFC 6544 §4.2: the direction in the upper three bits, the rest as over UDP. */
export function tcpPreference(tcpType: 'active' | 'passive', rank: number): number {
  return TCP_DIRECTION_PREFERENCE[tcpType] * 2 ** 13 + 2 ** 13 - 1 - rank
}

/** Unique among the relayed candidates: by the way to the server, then IPv6 before IPv4, then in order of arrival. */
export function relayPreference(protocol: RelayProtocol, family: 4 | 6 | undefined, index: number): number {
  return RELAY_PREFERENCE[protocol] * 2 ** 14 + 2 ** 14 - 1 - 2 * index - (family === 4 ? 1 : 0)
}

/** RFC 8839 §5.1: what stands for an address that is not to be told. */
export function blankAddress(family: 4 | 6 | undefined): Address {
  return { ip: family === 6 ? '::' : '0.0.0.0', port: 9 }
}

/** Where the base is hidden behind an mDNS name its address must not leak through raddr. */
export function relatedAddress({ address, hostname }: LocalBase): Address {
  if (hostname === undefined) return address
  return blankAddress(addressFamily(address.ip))
}
