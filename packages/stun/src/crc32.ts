/** CRC-32 of ISO 3309, as FINGERPRINT uses it (RFC 8489 §14.7), of `bytes` from the start to `end`; unsigned. */
export function crc32(bytes: Uint8Array, end: number = bytes.length): number {
  let crc = -1
  let at = 0
  // Four bytes per step ("slicing"): one table look-up per byte, but only one dependency chain per word.
  for (; at + 4 <= end; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      TABLE[768 + (crc & 0xff)]! ^
      TABLE[512 + ((crc >>> 8) & 0xff)]! ^
      TABLE[256 + ((crc >>> 16) & 0xff)]! ^
      TABLE[crc >>> 24]!
  }
  for (; at < end; at++) crc = TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** Entry 256·k + b: what byte b does to the remainder when k more bytes follow it. */
const TABLE = buildTable()

function buildTable(): Int32Array {
  const table = new Int32Array(1024)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    table[byte] = crc
  }
  for (let i = 256; i < 1024; i++) table[i] = (table[i - 256]! >>> 8) ^ table[table[i - 256]! & 0xff]!
  return table
}
