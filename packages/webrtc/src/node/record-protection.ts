import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { ContentType } from './dtls-record.ts'

/** RFC 6347 §4.1: type, version, epoch and sequence number, length. */
const HEADER_BYTES = 13
/** RFC 5288 §3: a salt from the handshake, then eight bytes that every record carries. */
const SALT_BYTES = 4
const EXPLICIT_NONCE_BYTES = 8
const TAG_BYTES = 16
const TAG = { authTagLength: TAG_BYTES }
const VERSION = 0xfefd

/** Of one direction, from the key block: RFC 5246 §6.3. */
export interface WriteKeys {
  readonly key: Buffer
  readonly salt: Buffer
}

/**
 * AES_128_GCM for the application data of one DTLS 1.2 connection, RFC 5288: one buffer per record, and no object. It is
 * werift's own protection, without what werift builds around a record: about a third of the time.
 */
export class RecordProtection {
  readonly #local: Direction
  readonly #remote: Direction

  constructor(local: WriteKeys, remote: WriteKeys) {
    this.#local = directionOf(local)
    this.#remote = directionOf(remote)
  }

  /** A record of epoch 1. Each sequence number may be used once. */
  seal(data: Uint8Array, sequenceNumber: number): Buffer {
    const { key, nonce, additional } = this.#local
    const record = Buffer.allocUnsafe(HEADER_BYTES + EXPLICIT_NONCE_BYTES + data.length + TAG_BYTES)
    record[0] = ContentType.applicationData
    record.writeUInt16BE(VERSION, 1)
    record.writeUInt16BE(1, 3)
    record.writeUIntBE(sequenceNumber, 5, 6)
    record.writeUInt16BE(record.length - HEADER_BYTES, 11)
    record.copy(record, HEADER_BYTES, 3, 11)
    record.copy(nonce, SALT_BYTES, 3, 11)
    fillAdditional(additional, record, data.length)
    const cipher = createCipheriv('aes-128-gcm', key, nonce, TAG)
    cipher.setAAD(additional)
    cipher.update(data).copy(record, HEADER_BYTES + EXPLICIT_NONCE_BYTES)
    cipher.final()
    cipher.getAuthTag().copy(record, record.length - TAG_BYTES)
    return record
  }

  /** What is in a single record of application data; `undefined` unless the peer has sealed it. */
  open(record: Buffer): Buffer | undefined {
    const { key, nonce, additional } = this.#remote
    const start = HEADER_BYTES + EXPLICIT_NONCE_BYTES
    const end = record.length - TAG_BYTES
    if (end < start) return undefined
    record.copy(nonce, SALT_BYTES, HEADER_BYTES, start)
    fillAdditional(additional, record, end - start)
    const decipher = createDecipheriv('aes-128-gcm', key, nonce, TAG)
    decipher.setAuthTag(record.subarray(end))
    decipher.setAAD(additional)
    const data = decipher.update(record.subarray(start, end))
    try {
      decipher.final()
      return data
    } catch {
      return undefined // It was forged, or altered on its way.
    }
  }
}

/** Of a direction; nonce and additional data are written anew for each record. */
interface Direction {
  readonly key: KeyObject
  readonly nonce: Buffer
  readonly additional: Buffer
}

function directionOf({ key, salt }: WriteKeys): Direction {
  const nonce = Buffer.alloc(SALT_BYTES + EXPLICIT_NONCE_BYTES)
  salt.copy(nonce, 0, 0, SALT_BYTES)
  return { key: createSecretKey(key), nonce, additional: Buffer.alloc(HEADER_BYTES) }
}

/** RFC 5246 §6.2.3.3: epoch and sequence number, type, version, length of the plaintext. */
function fillAdditional(additional: Buffer, record: Buffer, length: number): void {
  record.copy(additional, 0, 3, 11)
  record.copy(additional, 8, 0, 3)
  additional.writeUInt16BE(length, 11)
}
