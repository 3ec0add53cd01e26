/** SCTP packets as seen from below werift, RFC 9260 §3. Never throws on what it reads. */

const COMMON_HEADER_BYTES = 12
const PARAMETER_HEADER_BYTES = 4

/** RFC 9260 §3.2, RFC 6525 §3.1, RFC 3758 §3.2. */
export const ChunkType = {
  data: 0,
  init: 1,
  initAck: 2,
  sack: 3,
  heartbeat: 4,
  heartbeatAck: 5,
  abort: 6,
  shutdown: 7,
  error: 9,
  reconfig: 130,
  forwardTsn: 192,
} as const

/** Length of what comes before the parameters, of the chunks that have parameters. Bytes, without the chunk header. */
const PARAMETERS_AT = new Map<number, number>([
  [ChunkType.init, 16],
  [ChunkType.initAck, 16],
  [ChunkType.heartbeat, 0],
  [ChunkType.heartbeatAck, 0],
  [ChunkType.abort, 0],
  [ChunkType.error, 0],
  [ChunkType.reconfig, 0],
])

export interface SctpPacket {
  readonly hasInit: boolean
  /** It has data and acknowledgements, and nothing else. */
  readonly isData: boolean
  /** The peer gives the association up; with the first cause that it names, RFC 9260 §3.3.10. */
  readonly abort: { readonly causeCode: number | null; readonly reason: string } | undefined
}

/**
 * `undefined` when a length or a count in the packet lies. werift would loop for ever on a length of 0, or spend seconds
 * on an acknowledgement whose gaps overlap: a peer is authenticated here, and may be hostile all the same.
 */
export function inspectPacket(packet: Buffer): SctpPacket | undefined {
  let hasInit = false
  let isData = true
  let abort: SctpPacket['abort']
  for (let at = COMMON_HEADER_BYTES; at < packet.length; ) {
    if (at + 4 > packet.length) return undefined
    const type = packet[at]!
    const length = packet.readUInt16BE(at + 2)
    if (length < 4 || at + length > packet.length) return undefined
    const body = packet.subarray(at + 4, at + length)
    if (!isSound(type, body)) return undefined
    if (type === ChunkType.init) hasInit = true
    if (type !== ChunkType.data && type !== ChunkType.sack) isData = false
    if (type === ChunkType.abort) abort = firstCause(body)
    at += padded(length)
  }
  return packet.length > COMMON_HEADER_BYTES ? { hasInit, isData, abort } : undefined
}

function isSound(type: number, body: Buffer): boolean {
  const parametersAt = PARAMETERS_AT.get(type)
  if (parametersAt !== undefined) return hasSoundParameters(body, parametersAt)
  if (type === ChunkType.data) return body.length > 12
  if (type === ChunkType.sack) return hasSoundGaps(body)
  if (type === ChunkType.shutdown) return body.length >= 4
  if (type === ChunkType.forwardTsn) return body.length >= 4 && body.length % 4 === 0
  return true
}

function hasSoundParameters(body: Buffer, start: number): boolean {
  if (body.length < start) return false
  for (let at = start; at < body.length; ) {
    if (at + PARAMETER_HEADER_BYTES > body.length) return false
    const length = body.readUInt16BE(at + 2)
    if (length < PARAMETER_HEADER_BYTES || at + length > body.length) return false
    at += padded(length)
  }
  return true
}

/** RFC 9260 §3.3.4. Together the gap blocks can name each of 65535 numbers once. */
function hasSoundGaps(body: Buffer): boolean {
  if (body.length < 12) return false
  const gaps = body.readUInt16BE(8)
  if (body.length < 12 + 4 * (gaps + body.readUInt16BE(10))) return false
  let named = 0
  for (let at = 12; at < 12 + 4 * gaps; at += 4) {
    const start = body.readUInt16BE(at)
    const end = body.readUInt16BE(at + 2)
    named += 1 + end - start
    if (start === 0 || end < start || named > 0xffff) return false
  }
  return true
}

function firstCause(body: Buffer): NonNullable<SctpPacket['abort']> {
  if (body.length < PARAMETER_HEADER_BYTES) return { causeCode: null, reason: '' }
  const reason = body.toString('utf8', PARAMETER_HEADER_BYTES, body.readUInt16BE(2))
  return { causeCode: body.readUInt16BE(0), reason }
}

function padded(length: number): number {
  return length + (-length & 3)
}
