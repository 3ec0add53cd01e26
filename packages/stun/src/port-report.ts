import { bytesToIp, parseIPv4 } from './address.ts'
import type { Address } from './machine.ts'
import { type Codec, REFUSED, readUint16, writeUint16, writeUint32 } from './values.ts'

/** FLOE-PORT-REPORT: what a peer's NAT does with ports, as the peer knows it, for the search of `@floe/ice`. */
export interface PortReport {
  /** It takes part in a search for ports. */
  readonly willing: boolean
  /** Of its NAT, RFC 4787 §4.1. */
  readonly mapping: (typeof MAPPINGS)[number]
  /** It sends from so many sockets to the other side's address; 0: it does not. */
  readonly sockets: number
  /** Its external IPv4 address; the port counts where the mapping is endpoint-independent. */
  readonly address: Address
  /** Lowest and highest external port that those sockets may have got. */
  readonly low: number
  readonly high: number
  /** The external port that one of those sockets has for whoever sends there, where that can be foretold; 0 where not. */
  readonly aim: number
}

const MAPPINGS = ['unknown', 'endpoint-independent', 'endpoint-dependent'] as const
const LENGTH = 16

/** Willing and mapping (one byte each), sockets, IPv4 address, port, lowest and highest port, aim (0 of agents that know none). */
export const portReport: Codec<PortReport> = {
  decode: (bytes, at, length) => {
    const mapping = length === LENGTH ? MAPPINGS[bytes[at + 1]!] : undefined
    if (mapping === undefined) return undefined
    return {
      willing: bytes[at] === 1,
      mapping,
      sockets: readUint16(bytes, at + 2),
      address: { ip: bytesToIp(bytes, at + 4, 4), port: readUint16(bytes, at + 8) },
      low: readUint16(bytes, at + 10),
      high: readUint16(bytes, at + 12),
      aim: readUint16(bytes, at + 14),
    }
  },
  encode: (bytes, at, { willing, mapping, sockets, address, low, high, aim }) => {
    const ip = parseIPv4(address.ip)
    if (ip === undefined || ![sockets, address.port, low, high, aim].every(isShort)) return REFUSED
    bytes[at] = willing ? 1 : 0
    bytes[at + 1] = MAPPINGS.indexOf(mapping)
    writeUint16(bytes, at + 2, sockets)
    writeUint32(bytes, at + 4, ip)
    writeUint16(bytes, at + 8, address.port)
    writeUint16(bytes, at + 10, low)
    return writeUint32(bytes, at + 12, high * 0x10000 + aim)
  },
}

function isShort(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff
}
