import { randomBytes } from 'node:crypto'

/** Cryptographically strong bytes, the caller's to keep. */
export function random(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length))
}
