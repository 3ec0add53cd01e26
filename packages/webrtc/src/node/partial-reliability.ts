import { uint32Gt, uint32Gte } from 'werift'
import type { SctpChunk, SctpInternals } from './werift-internals.ts'

/** Flags of a DATA chunk, RFC 9260 §3.3.1. */
const LAST_FRAGMENT = 0x01
const FIRST_FRAGMENT = 0x02
const UNORDERED = 0x04
const FORWARD_TSN = 192

/** A chunk that the peer is told not to wait for. */
interface Skipped {
  readonly tsn: number
  readonly streamId: number
  readonly streamSeqNum: number
  readonly isOrdered: boolean
}

/**
 * RFC 3758 for werift's SCTP, which knows no `maxRetransmits` of 0, abandons the first message of its queue instead of
 * the one that is due, counts what it abandoned as in flight for ever, and sends FORWARD TSN once, lost or not.
 */
export function repairPartialReliability(sctp: SctpInternals): void {
  let skipped: Skipped[] = []

  sctp.maybeAbandon = (chunk) => {
    // What the peer has is neither given up nor sent again.
    if (chunk.abandoned || chunk.acked) return true
    if (!isDue(chunk) || !sctp.remoteExtensions.includes(FORWARD_TSN)) return false
    abandonMessage(sctp, chunk)
    return true
  }

  sctp.updateAdvancedPeerAckPoint = () => {
    const { sentQueue, lastSackedTsn } = sctp
    if (uint32Gt(lastSackedTsn, sctp.advancedPeerAckTsn)) sctp.advancedPeerAckTsn = lastSackedTsn
    while (sentQueue[0]?.abandoned) {
      const { tsn, streamId, streamSeqNum, flags } = sentQueue.shift()!
      sctp.advancedPeerAckTsn = tsn
      skipped.push({ tsn, streamId, streamSeqNum, isOrdered: (flags & UNORDERED) === 0 })
    }
    skipped = skipped.filter(({ tsn }) => !uint32Gte(lastSackedTsn, tsn))
    // RFC 3758 §3.5 C3: again with every acknowledgement, until the peer has moved on.
    if (skipped.length > 0) sctp.forwardTsnChunk = forwardTsn(sctp.advancedPeerAckTsn, skipped)
  }
}

function isDue({ sentCount, maxRetransmits, expiry }: SctpChunk): boolean {
  return (
    (maxRetransmits !== undefined && sentCount > maxRetransmits) || (expiry !== undefined && expiry * 1000 < Date.now())
  )
}

/** All fragments of the message, also those that have not been sent yet: their numbers are taken. */
function abandonMessage(sctp: SctpInternals, due: SctpChunk): void {
  const { sentQueue, outboundQueue } = sctp
  let first = sentQueue.indexOf(due)
  while (first > 0 && !(sentQueue[first]!.flags & FIRST_FRAGMENT)) first--
  for (let at = first; ; at++) {
    if (at === sentQueue.length) {
      const unsent = outboundQueue.shift()
      if (!unsent) return
      sentQueue.push(unsent)
    }
    const fragment = sentQueue[at]!
    // The caller takes care of the one that is due.
    const isInFlight = fragment.sentCount > 0 && !fragment.acked && !fragment.retransmit && !fragment.abandoned
    if (isInFlight && fragment !== due) sctp.flightSizeDecrease(fragment)
    fragment.abandoned = true
    fragment.retransmit = false
    if (fragment.flags & LAST_FRAGMENT) return
  }
}

/** RFC 3758 §3.2: per stream the last message that will not come. */
function forwardTsn(cumulativeTsn: number, skipped: readonly Skipped[]): { type: number; bytes: Buffer } {
  const streams = new Map<number, number>()
  for (const { isOrdered, streamId, streamSeqNum } of skipped) if (isOrdered) streams.set(streamId, streamSeqNum)
  const bytes = Buffer.alloc(8 + 4 * streams.size)
  bytes[0] = FORWARD_TSN
  bytes.writeUInt16BE(bytes.length, 2)
  bytes.writeUInt32BE(cumulativeTsn, 4)
  let at = 8
  for (const [streamId, streamSeqNum] of streams) {
    bytes.writeUInt16BE(streamId, at)
    bytes.writeUInt16BE(streamSeqNum, at + 2)
    at += 4
  }
  return { type: FORWARD_TSN, bytes }
}
