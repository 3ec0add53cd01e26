/** RFC 8832: how a data channel is opened in its own stream. Never throws on what it reads. */

/** What both ends of a channel agree on. */
export interface ChannelParameters {
  readonly label: string
  readonly protocol: string
  readonly ordered: boolean
  /** null: no limit. At most one of the two is a number. */
  readonly maxRetransmits: number | null
  /** Milliseconds. */
  readonly maxPacketLifeTime: number | null
}

/** SCTP payload protocol identifiers, RFC 8831 §8. */
export const Ppid = { dcep: 50, string: 51, binary: 53, emptyString: 56, emptyBinary: 57 } as const

/** RFC 8832 §5.2. */
export const ACK: Buffer = Buffer.from([0x02])

/** Label and protocol are counted by 16 bits, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 65_535

const OPEN = 0x03
const OPEN_HEADER_BYTES = 12
/** RFC 8832 §8.2.2: the low bits say what is limited, the high bit that order does not matter. */
const RELIABLE = 0x00
const LIMITED_RETRANSMITS = 0x01
const LIMITED_LIFE_TIME = 0x02
const UNORDERED = 0x80
/** RFC 8831 §6.4: `normal`. There is no API for others. */
const PRIORITY = 256
/** W3C's `unsigned short`; the wire has 32 bits. */
const MAX_RELIABILITY = 65_535

/** DATA_CHANNEL_OPEN, RFC 8832 §5.1. Names longer than {@link MAX_NAME_BYTES} are the caller's to refuse. */
export function formatOpen(parameters: ChannelParameters): Buffer {
  const { ordered, maxRetransmits, maxPacketLifeTime } = parameters
  const label = Buffer.from(parameters.label)
  const protocol = Buffer.from(parameters.protocol)
  const limit =
    maxRetransmits !== null ? LIMITED_RETRANSMITS : maxPacketLifeTime !== null ? LIMITED_LIFE_TIME : RELIABLE
  const header = Buffer.alloc(OPEN_HEADER_BYTES)
  header[0] = OPEN
  header[1] = limit | (ordered ? 0 : UNORDERED)
  header.writeUInt16BE(PRIORITY, 2)
  header.writeUInt32BE(maxRetransmits ?? maxPacketLifeTime ?? 0, 4)
  header.writeUInt16BE(label.length, 8)
  header.writeUInt16BE(protocol.length, 10)
  return Buffer.concat([header, label, protocol])
}

/** `undefined` for anything but a whole DATA_CHANNEL_OPEN of a known type. */
export function parseOpen(message: Buffer): ChannelParameters | undefined {
  if (message.length < OPEN_HEADER_BYTES || message[0] !== OPEN) return undefined
  const protocolStart = OPEN_HEADER_BYTES + message.readUInt16BE(8)
  const end = protocolStart + message.readUInt16BE(10)
  const limit = message[1]! & ~UNORDERED
  if (end > message.length || limit > LIMITED_LIFE_TIME) return undefined
  const reliability = Math.min(message.readUInt32BE(4), MAX_RELIABILITY)
  return {
    label: message.toString('utf8', OPEN_HEADER_BYTES, protocolStart),
    protocol: message.toString('utf8', protocolStart, end),
    ordered: (message[1]! & UNORDERED) === 0,
    maxRetransmits: limit === LIMITED_RETRANSMITS ? reliability : null,
    maxPacketLifeTime: limit === LIMITED_LIFE_TIME ? reliability : null,
  }
}

/** DATA_CHANNEL_ACK, RFC 8832 §5.2. */
export function isAck(message: Buffer): boolean {
  return message[0] === ACK[0]
}
