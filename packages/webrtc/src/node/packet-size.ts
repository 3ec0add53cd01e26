import { randomBytes } from 'node:crypto'
import { ChunkType } from './sctp-packet.ts'
import type { SctpInternals } from './werift-internals.ts'

/** Of data in one packet. With the headers of SCTP it fits the 16384 bytes that a DTLS record takes, RFC 6347 §4.1. */
export const LARGE_PAYLOAD_BYTES = 16_000
const CHUNK_HEADER_BYTES = 4
const PARAMETER_HEADER_BYTES = 4
/** RFC 9260 §3.3.5. */
const HEARTBEAT_INFO = 1
const COMMON_HEADER_BYTES = 12

/**
 * Large packets on a path that does not leave this machine, where the MTU is 64 KiB and the cost of a packet is everything
 * there is. The peer has to have said that it takes them, since libwebrtc ends a connection in which a packet is larger than
 * 2 KiB; then the path is asked, by a HEARTBEAT of that size, which comes back whole (RFC 8899 §6.2, RFC 9260 §8.3).
 *
 * On all other paths packets stay as small as they are: the system would cut larger ones into fragments without telling
 * us, so that no probing could find out what the path takes.
 */
export class PacketSize {
  readonly #sctp: SctpInternals
  readonly #mayBeLarge: () => boolean
  readonly #small: number
  #probe: Buffer | undefined
  #state: 'unknown' | 'asked' | 'confirmed' = 'unknown'

  constructor(sctp: SctpInternals, mayBeLarge: () => boolean) {
    this.#sctp = sctp
    this.#mayBeLarge = mayBeLarge
    this.#small = sctp.maxPayloadSize
    const { timer3Expired } = sctp
    sctp.timer3Expired = () => {
      // RFC 8899 §4.3: whatever got lost, or came late on a machine that is busy, packets are small until another probe is back.
      if (this.#state === 'confirmed') this.#state = 'unknown'
      this.update()
      timer3Expired.call(sctp)
    }
  }

  /** Before each message: the path may be another one by now. */
  update(): void {
    const mayBeLarge = this.#mayBeLarge()
    if (mayBeLarge && this.#state === 'unknown') this.#ask()
    this.#sctp.maxPayloadSize = mayBeLarge && this.#state === 'confirmed' ? LARGE_PAYLOAD_BYTES : this.#small
  }

  /** Whether the packet was the answer. */
  receive(packet: Buffer): boolean {
    if (!this.#probe || packet[COMMON_HEADER_BYTES] !== ChunkType.heartbeatAck) return false
    const info = packet.subarray(COMMON_HEADER_BYTES + CHUNK_HEADER_BYTES + PARAMETER_HEADER_BYTES)
    if (!info.equals(this.#probe)) return false
    this.#state = 'confirmed'
    this.#probe = undefined
    return true
  }

  #ask(): void {
    this.#state = 'asked'
    this.#probe = randomBytes(LARGE_PAYLOAD_BYTES)
    const bytes = Buffer.alloc(CHUNK_HEADER_BYTES + PARAMETER_HEADER_BYTES + LARGE_PAYLOAD_BYTES)
    bytes[0] = ChunkType.heartbeat
    bytes.writeUInt16BE(bytes.length, 2)
    bytes.writeUInt16BE(HEARTBEAT_INFO, CHUNK_HEADER_BYTES)
    bytes.writeUInt16BE(bytes.length - CHUNK_HEADER_BYTES, CHUNK_HEADER_BYTES + 2)
    this.#probe.copy(bytes, CHUNK_HEADER_BYTES + PARAMETER_HEADER_BYTES)
    this.#sctp.sendChunk({ type: ChunkType.heartbeat, bytes }).catch(() => {}) // Then it stays without an answer.
  }
}
