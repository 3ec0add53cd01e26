/** The clock of the lab: milliseconds since 1970 with fractions, so that it is the same in all of its processes. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
