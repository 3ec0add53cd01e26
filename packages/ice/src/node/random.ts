import { randomFillSync } from 'node:crypto'

/** Drawn at once: a call into OpenSSL costs as much for these as for the twelve bytes of a transaction ID. */
const pool = new Uint8Array(4096)
let used = pool.length

/** Cryptographically strong bytes, the caller's to keep. */
export function random(length: number): Uint8Array {
  if (length > pool.length) return randomFillSync(new Uint8Array(length))
  if (used + length > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += length
  return pool.slice(used - length, used)
}
