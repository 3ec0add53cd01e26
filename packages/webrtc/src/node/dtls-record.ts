/** DTLS 1.2 as seen from below: records (RFC 6347 §4.1) and handshake fragments (§4.2.2). Never throws on what it reads. */

export const ContentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const

/** RFC 5246 §7.4, RFC 6347 §4.2.1. */
export const HandshakeType = {
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const

/** RFC 5246 §7.2, those that this side sends. */
export const Alert = {
  closeNotify: 0,
  unexpectedMessage: 10,
  handshakeFailure: 40,
  badCertificate: 42,
  illegalParameter: 47,
  decodeError: 50,
  decryptError: 51,
} as const
export type Alert = (typeof Alert)[keyof typeof Alert]

const RECORD_HEADER_BYTES = 13
const HANDSHAKE_HEADER_BYTES = 12

export interface DtlsRecord {
  readonly type: number
  readonly epoch: number
  /** Header and fragment: a view into the datagram. */
  readonly bytes: Buffer
  readonly fragment: Buffer
}

export interface HandshakeFragment {
  readonly type: number
  /** Of the whole message, in bytes. */
  readonly length: number
  readonly messageSeq: number
  readonly offset: number
  readonly body: Buffer
}

/** Whether a datagram is DTLS and not STUN, TURN or SRTP: RFC 7983 §7. */
export function isDtls(datagram: Uint8Array): boolean {
  const first = datagram[0]
  return first !== undefined && first >= 20 && first <= 63
}

/** The records of a datagram, up to the first one that is cut off. */
export function* parseRecords(datagram: Buffer): Generator<DtlsRecord> {
  for (let start = 0; start + RECORD_HEADER_BYTES <= datagram.length; ) {
    const end = start + RECORD_HEADER_BYTES + datagram.readUInt16BE(start + 11)
    if (end > datagram.length) return
    const bytes = datagram.subarray(start, end)
    yield {
      type: bytes[0]!,
      epoch: bytes.readUInt16BE(3),
      bytes,
      fragment: bytes.subarray(RECORD_HEADER_BYTES),
    }
    start = end
  }
}

/** Unique within an epoch; 48 bits. */
export function sequenceNumber(record: Buffer): number {
  return record.readUIntBE(5, 6)
}

/** Whether the datagram is one record and nothing else. */
export function isSingleRecord(datagram: Buffer): boolean {
  return datagram.length >= RECORD_HEADER_BYTES && datagram.length === RECORD_HEADER_BYTES + datagram.readUInt16BE(11)
}

/** The handshake fragments of a plaintext handshake record, up to the first malformed one. */
export function* parseHandshakes(fragment: Buffer): Generator<HandshakeFragment> {
  for (let start = 0; start + HANDSHAKE_HEADER_BYTES <= fragment.length; ) {
    const length = fragment.readUIntBE(start + 1, 3)
    const offset = fragment.readUIntBE(start + 6, 3)
    const end = start + HANDSHAKE_HEADER_BYTES + fragment.readUIntBE(start + 9, 3)
    const body = fragment.subarray(start + HANDSHAKE_HEADER_BYTES, end)
    if (end > fragment.length || offset + body.length > length) return
    yield { type: fragment[start]!, length, messageSeq: fragment.readUInt16BE(start + 4), offset, body }
    start = end
  }
}

/** A plaintext record around one whole handshake message, as if it had never been fragmented. */
export function formatHandshakeRecord(message: { type: number; messageSeq: number; body: Buffer }): Buffer {
  const { type, messageSeq, body } = message
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES + body.length)
  bytes[0] = ContentType.handshake
  bytes.writeUInt16BE(0xfefd, 1)
  bytes.writeUInt16BE(messageSeq, 9)
  bytes.writeUInt16BE(HANDSHAKE_HEADER_BYTES + body.length, 11)
  bytes[13] = type
  bytes.writeUIntBE(body.length, 14, 3)
  bytes.writeUInt16BE(messageSeq, 17)
  bytes.writeUIntBE(body.length, 22, 3)
  body.copy(bytes, RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES)
  return bytes
}

/** A plaintext alert. */
export function formatAlertRecord(content: Buffer, recordNumber: number): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + content.length)
  bytes[0] = ContentType.alert
  bytes.writeUInt16BE(0xfefd, 1)
  bytes.writeUIntBE(recordNumber, 5, 6)
  bytes.writeUInt16BE(content.length, 11)
  content.copy(bytes, RECORD_HEADER_BYTES)
  return bytes
}
