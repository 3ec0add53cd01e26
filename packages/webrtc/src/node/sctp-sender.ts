import { crc32c, uint32Gt, uint32Gte } from 'werift'
import type { SctpChunk, SctpInternals, SctpSack, Serializable } from './werift-internals.ts'

/** Ports, verification tag, checksum: RFC 9260 §3.1. Then of a DATA chunk all but its data: §3.3.1. */
const COMMON_HEADER_BYTES = 12
const DATA_HEADER_BYTES = 16
/** RFC 9260 §6.1 D, Max.Burst: packets that one acknowledgement may set free; in fast recovery werift's number. */
const MAX_BURST = 4
const MAX_BURST_IN_RECOVERY = 2
/** RFC 3465 §2.2: in slow start by what is acknowledged, as far as one acknowledgement for two packets explains it. */
const MAX_GROWTH = 2
const DONE = Promise.resolve()

/**
 * The sending half of werift's SCTP, without what it costs: werift goes through everything under way on each
 * acknowledgement, has a promise for each packet and copies it four times. What is sent and when stays the same, but for
 * the growth in slow start, which no longer counts on an acknowledgement for each packet.
 */
export function hastenSending(sctp: SctpInternals): void {
  let mayHaveToRepeat = false
  let transmitting = false

  sctp.sendChunk = (chunk) => {
    // werift's timers send in the next turn, and when the answer has come in this one there is nothing to send any more.
    if (sctp.state === 'closed' || chunk === undefined) return DONE
    if (sctp.remotePort === undefined) return Promise.reject(new Error('The association has no peer yet'))
    return sctp.transport.send(formatPacket(sctp, chunk))
  }

  sctp.transmit = () => {
    if (transmitting || sctp.isStopped) return DONE
    transmitting = true
    try {
      if (mayHaveToRepeat) recount(sctp)
      sendForwardTsn(sctp)
      const { flightSize, cwnd, maxPayloadSize, fastRecoveryExit } = sctp
      const burst = fastRecoveryExit === undefined ? MAX_BURST : MAX_BURST_IN_RECOVERY
      const limit = Math.min(flightSize + burst * maxPayloadSize, cwnd)
      if (mayHaveToRepeat) mayHaveToRepeat = repeatLost(sctp, limit)
      sendNew(sctp, limit)
    } finally {
      transmitting = false
    }
    sctp.flush.execute()
    return DONE
  }

  const { timer3Expired } = sctp
  sctp.timer3Expired = () => {
    mayHaveToRepeat = true
    // RFC 9260 §6.2.1: what was reported out of order may be dropped again by the receiver. All is to be repeated.
    for (const chunk of sctp.sentQueue) chunk.acked = false
    timer3Expired.call(sctp)
  }

  const { receiveSackChunk } = sctp
  sctp.receiveSackChunk = async (sack) => {
    // RFC 9260 §6.2.1: neither what is old, nor what has never been sent.
    if (uint32Gt(sctp.lastSackedTsn, sack.cumulativeTsn) || uint32Gte(sack.cumulativeTsn, sctp.localTsn)) return
    if (sack.gaps.length === 0 && sctp.fastRecoveryExit === undefined) return acknowledge(sctp, sack)
    mayHaveToRepeat = true
    return receiveSackChunk.call(sctp, sack)
  }
}

/** Everything up to a number has arrived, and nothing beyond it is known to have. */
function acknowledge(sctp: SctpInternals, { cumulativeTsn, advertisedRwnd }: SctpSack): void {
  const { sentQueue } = sctp
  const wasFull = sctp.flightSize >= sctp.cwnd
  const [first] = sentQueue
  let bytes = 0
  sctp.lastSackedTsn = cumulativeTsn
  for (let chunk = first; chunk && uint32Gte(cumulativeTsn, chunk.tsn); chunk = sentQueue[0]) {
    if (!chunk.acked) bytes += chunk.bookSize
    // What is to be repeated, or was given up, has been taken out of the flight.
    if (!chunk.acked && !chunk.retransmit && !chunk.abandoned) sctp.flightSizeDecrease(chunk)
    sentQueue.shift()
  }
  if (first !== sentQueue[0]) {
    if (first!.sentCount === 1) sctp.updateRto(Date.now() / 1000 - first!.sentTime!)
    if (wasFull) grow(sctp, bytes)
    if (sentQueue.length > 0) sctp.timer3Restart()
  }
  if (sentQueue.length === 0) sctp.timer3Cancel()
  sctp.peerAdvertisedRwnd = advertisedRwnd
  sctp.updateAdvancedPeerAckPoint()
  void sctp.onSackReceived()
  void sctp.transmit()
}

/** The congestion window: RFC 9260 §7.2.1 and §7.2.2. */
function grow(sctp: SctpInternals, bytes: number): void {
  if (sctp.cwnd <= sctp.ssthresh) {
    sctp.cwnd += Math.min(bytes, MAX_GROWTH * sctp.maxPayloadSize)
    return
  }
  sctp.partialBytesAcked += bytes
  if (sctp.partialBytesAcked < sctp.cwnd) return
  sctp.partialBytesAcked -= sctp.cwnd
  sctp.cwnd += sctp.maxPayloadSize
}

/**
 * What is under way, after losses: werift takes chunks out of the flight that a timeout has emptied, and would repeat what
 * has been reported out of order meanwhile, and never take that out again.
 */
function recount(sctp: SctpInternals): void {
  sctp.flightSize = 0
  for (const chunk of sctp.sentQueue) {
    if (chunk.acked) chunk.retransmit = false
    else if (!chunk.retransmit && !chunk.abandoned) sctp.flightSizeIncrease(chunk)
  }
}

function sendForwardTsn(sctp: SctpInternals): void {
  if (!sctp.forwardTsnChunk) return
  send(sctp, sctp.forwardTsnChunk)
  sctp.forwardTsnChunk = undefined
  if (!sctp.timer3Handle) sctp.timer3Start()
}

/** Whether there is more of it than the window allows. */
function repeatLost(sctp: SctpInternals, limit: number): boolean {
  for (const [at, chunk] of sctp.sentQueue.entries()) {
    if (!chunk.retransmit) continue
    // RFC 9260 §7.2.4: the first one at once, whatever the window.
    if (sctp.fastRecoveryTransmit) sctp.fastRecoveryTransmit = false
    else if (sctp.flightSize >= limit) return true
    sctp.flightSizeIncrease(chunk)
    chunk.misses = 0
    chunk.retransmit = false
    chunk.sentCount++
    send(sctp, chunk)
    if (at === 0) sctp.timer3Restart()
  }
  return false
}

function sendNew(sctp: SctpInternals, limit: number): void {
  const { outboundQueue, sentQueue } = sctp
  const now = Date.now() / 1000
  while (outboundQueue.length > 0 && sctp.flightSize < limit) {
    const chunk = outboundQueue[0]!
    // RFC 9260 §6.1 A: one may always be under way, or nobody would learn that a window has opened again.
    if (chunk.bookSize > sctp.peerRwnd && sctp.flightSize > 0) return
    outboundQueue.shift()
    sentQueue.push(chunk)
    sctp.flightSizeIncrease(chunk)
    chunk.sentCount++
    chunk.sentTime = now
    send(sctp, chunk)
    if (!sctp.timer3Handle) sctp.timer3Start()
  }
}

/** What the path does not take is repeated, like everything that gets lost. */
function send(sctp: SctpInternals, chunk: SctpChunk | Serializable): void {
  sctp.sendChunk(chunk).catch(() => {})
}

function formatPacket(sctp: SctpInternals, chunk: SctpChunk | Serializable): Buffer {
  const packet = 'userData' in chunk ? packetOfData(chunk) : packetOf(chunk.bytes)
  packet.writeUInt16BE(sctp.localPort, 0)
  packet.writeUInt16BE(sctp.remotePort!, 2)
  packet.writeUInt32BE(sctp.remoteVerificationTag, 4)
  packet.writeUInt32LE(0, 8)
  packet.writeUInt32LE(crc32c(packet), 8)
  return packet
}

function packetOf(bytes: Buffer): Buffer {
  const packet = Buffer.allocUnsafe(COMMON_HEADER_BYTES + bytes.length)
  bytes.copy(packet, COMMON_HEADER_BYTES)
  return packet
}

function packetOfData({ flags, tsn, streamId, streamSeqNum, protocol, userData }: SctpChunk): Buffer {
  const length = DATA_HEADER_BYTES + userData.length
  const padding = -length & 3
  const packet = Buffer.allocUnsafe(COMMON_HEADER_BYTES + length + padding)
  let at = COMMON_HEADER_BYTES
  at = packet.writeUInt8(0, at)
  at = packet.writeUInt8(flags, at)
  at = packet.writeUInt16BE(length, at)
  at = packet.writeUInt32BE(tsn, at)
  at = packet.writeUInt16BE(streamId, at)
  at = packet.writeUInt16BE(streamSeqNum, at)
  at = packet.writeUInt32BE(protocol, at)
  at += userData.copy(packet, at)
  packet.fill(0, at)
  return packet
}
