/** Bytes of one buffer that many packets share. A buffer of its own each would cost ten times what the copying does. */
const SLAB = 65_536

let slab = new ArrayBuffer(SLAB)
let used = 0

/** Room for a packet of its own. No byte of it has been another packet's, or will be. */
export function roomFor(length: number): Uint8Array {
  if (length > SLAB) return new Uint8Array(length)
  if (used + length > SLAB) {
    slab = new ArrayBuffer(SLAB)
    used = 0
  }
  const room = new Uint8Array(slab, used, length)
  used += length
  return room
}

export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = roomFor(bytes.length)
  copy.set(bytes)
  return copy
}
