import { uint32Add, uint32Gte } from 'werift'
import type { SctpInternals } from './werift-internals.ts'

const SACK = 3
/** What we announce as our receive window: werift's. */
const WINDOW_BYTES = 1_048_576
/** So that an acknowledgement fits one packet: RFC 9260 §3.3.4 lets the rest be told later. */
const MAX_GAPS = 200
const MAX_DUPLICATES = 50
/**
 * RFC 9260 §6.2. No more: one acknowledgement sets four packets free (§6.1 D), so that a sender which gets one for four
 * would never have more than four under way.
 */
const PACKETS_PER_SACK = 2

/**
 * The receiving half of werift's SCTP made right: it sorts transmission sequence numbers as text and subtracts them
 * without regard to their end, so that it can lose the thread where they get another digit or start over; it takes
 * whatever it is sent, however much that is; and acknowledges each packet by itself.
 */
export function repairReceiver(sctp: SctpInternals): void {
  sctp.markReceived = (tsn) => {
    if (uint32Gte(sctp.lastReceivedTsn, tsn) || sctp.sackMisOrdered.has(tsn)) {
      if (sctp.sackDuplicates.length < MAX_DUPLICATES) sctp.sackDuplicates.push(tsn)
      return true
    }
    sctp.sackMisOrdered.add(tsn)
    for (let next = following(sctp); sctp.sackMisOrdered.delete(next); next = following(sctp))
      sctp.lastReceivedTsn = next
    return false
  }

  const { receiveDataChunk } = sctp
  sctp.receiveDataChunk = (chunk) => {
    // A peer that respects the window never gets here, except with the chunk that everything else waits for.
    const held = WINDOW_BYTES - sctp.advertisedRwnd
    if (held > 2 * WINDOW_BYTES || (held > WINDOW_BYTES && chunk.tsn !== following(sctp))) return
    receiveDataChunk.call(sctp, chunk)
  }

  let isScheduled = false
  sctp.scheduleSack = async () => {
    // RFC 9260 §6.7: what is missing is reported at once.
    const isIrregular = sctp.sackMisOrdered.size > 0 || sctp.sackDuplicates.length > 0
    if (isIrregular || sctp.sackPacketCount >= PACKETS_PER_SACK) return sctp.sendSack()
    // A single one has its own at the end of the turn: no packet is waited for, and no timer.
    if (isScheduled) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      void sctp.sendSack()
    })
  }

  sctp.sendSack = async () => {
    if (sctp.isStopped || !sctp.sackNeeded) return
    const bytes = formatSack(sctp)
    sctp.sackDuplicates = []
    sctp.sackNeeded = false
    sctp.sackPacketCount = 0
    sctp.sackImmediate = false
    await sctp.sendChunk({ type: SACK, bytes }).catch(() => {}) // The path is gone: it is repeated on the next one.
  }
}

function following({ lastReceivedTsn }: SctpInternals): number {
  return uint32Add(lastReceivedTsn, 1)
}

/** RFC 9260 §3.3.4. */
function formatSack({ lastReceivedTsn, advertisedRwnd, sackMisOrdered, sackDuplicates }: SctpInternals): Buffer {
  const gaps: [start: number, end: number][] = []
  const offsets = [...sackMisOrdered].map((tsn) => (tsn - lastReceivedTsn) >>> 0).sort((a, b) => a - b)
  for (const offset of offsets) {
    const last = gaps.at(-1)
    if (last && last[1] + 1 === offset) last[1] = offset
    else if (gaps.length < MAX_GAPS && offset <= 0xffff) gaps.push([offset, offset])
    else break
  }
  const bytes = Buffer.alloc(16 + 4 * (gaps.length + sackDuplicates.length))
  bytes[0] = SACK
  bytes.writeUInt16BE(bytes.length, 2)
  bytes.writeUInt32BE(lastReceivedTsn, 4)
  bytes.writeUInt32BE(Math.max(0, advertisedRwnd), 8)
  bytes.writeUInt16BE(gaps.length, 12)
  bytes.writeUInt16BE(sackDuplicates.length, 14)
  let at = 16
  for (const [start, end] of gaps) {
    bytes.writeUInt16BE(start, at)
    bytes.writeUInt16BE(Math.min(end, 0xffff), at + 2)
    at += 4
  }
  for (const tsn of sackDuplicates) at = bytes.writeUInt32BE(tsn, at)
  return bytes
}
