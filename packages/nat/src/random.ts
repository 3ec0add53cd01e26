/** Where randomness comes from: cryptographically strong bytes in life, seeded ones in a test. */
export type Random = (length: number) => Uint8Array

/** Uniform in [0, 1), in steps of 2⁻³². */
export function fraction(random: Random): number {
  const [a, b, c, d] = random(4)
  return (((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0) / 2 ** 32
}

/** A port that no well-known service has: 1024 to 65535. */
export function randomPort(random: Random): number {
  return 1024 + Math.floor(fraction(random) * (65536 - 1024))
}
