/** Node's half of `#crypto`: OpenSSL hashes the passwords; what runs per packet is portable and faster so. */
import { createHash } from 'node:crypto'

export { crc32 } from '../crc32.ts'
export { Hmac } from '../digest.ts'

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes)
}

export function md5(bytes: Uint8Array): Uint8Array {
  return hash('md5', bytes)
}

function hash(algorithm: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(bytes).digest())
}
