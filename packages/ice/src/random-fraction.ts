import type { Random } from './parameters.ts'

/** Numbers from 0 up to 1. */
export function randomFraction(random: Random): () => number {
  return () => {
    let value = 0
    for (const byte of random(4)) value = value * 256 + byte
    return value / 2 ** 32
  }
}
