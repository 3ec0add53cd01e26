import { crc32c } from 'werift'
import { ChunkType } from './sctp-packet.ts'
import type { SctpInternals, SctpSack } from './werift-internals.ts'

const COMMON_HEADER_BYTES = 12
const DATA_HEADER_BYTES = 16
const SACK_HEADER_BYTES = 16

/**
 * A packet of nothing but data and acknowledgements, the length and counts of which are sound: what nearly all packets of
 * an association in use are. werift takes several promises and copies for each; this is done when it returns.
 */
export function receiveDataPacket(sctp: SctpInternals, packet: Buffer): void {
  if (sctp.isStopped || packet.readUInt32BE(4) !== sctp.localVerificationTag || !hasRightChecksum(packet)) return
  sctp.sackHasNewDataInPacket = false
  for (let at = COMMON_HEADER_BYTES; at < packet.length; ) {
    const length = packet.readUInt16BE(at + 2)
    if (packet[at] === ChunkType.data) receiveData(sctp, packet, at, length)
    else void sctp.receiveSackChunk(readSack(packet, at))
    at += length + (-length & 3)
  }
  if (!sctp.sackNeeded) return
  if (sctp.sackHasNewDataInPacket) sctp.sackPacketCount++
  void sctp.scheduleSack()
}

function receiveData(sctp: SctpInternals, packet: Buffer, at: number, length: number): void {
  sctp.receiveDataChunk({
    flags: packet[at + 1]!,
    tsn: packet.readUInt32BE(at + 4),
    streamId: packet.readUInt16BE(at + 8),
    streamSeqNum: packet.readUInt16BE(at + 10),
    protocol: packet.readUInt32BE(at + 12),
    userData: packet.subarray(at + DATA_HEADER_BYTES, at + length),
  })
}

/** RFC 9260 §3.3.4. */
function readSack(packet: Buffer, at: number): SctpSack {
  const gaps: [start: number, end: number][] = []
  const count = packet.readUInt16BE(at + 12)
  for (let i = 0, gapAt = at + SACK_HEADER_BYTES; i < count; i++, gapAt += 4) {
    gaps.push([packet.readUInt16BE(gapAt), packet.readUInt16BE(gapAt + 2)])
  }
  return { cumulativeTsn: packet.readUInt32BE(at + 4), advertisedRwnd: packet.readUInt32BE(at + 8), gaps }
}

/** RFC 9260 §6.8: over the packet with zeros in the place of the checksum. */
function hasRightChecksum(packet: Buffer): boolean {
  const checksum = packet.readUInt32LE(8)
  packet.writeUInt32LE(0, 8)
  const expected = crc32c(packet)
  packet.writeUInt32LE(checksum, 8)
  return checksum === expected
}
