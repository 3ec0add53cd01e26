/** Bytes of hexadecimal text; white space is free. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '')
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}
