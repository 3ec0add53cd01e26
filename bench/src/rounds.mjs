/** Measures competitors side by side: round by round in turn, so that a busy machine is busy for all of them. */

/**
 * Runs each function of `competitors` for about `milliseconds` per round and gives the median calls per second.
 * @param {Record<string, () => unknown>} competitors
 */
export function ratesOf(competitors, { rounds = 15, milliseconds = 60 } = {}) {
  const names = Object.keys(competitors)
  const rates = Object.fromEntries(names.map((name) => [name, []]))
  for (const name of names) rateOf(competitors[name], 5 * milliseconds)
  for (let round = 0; round < rounds; round++) {
    for (const name of names) rates[name].push(rateOf(competitors[name], milliseconds))
  }
  return Object.fromEntries(names.map((name) => [name, median(rates[name])]))
}

export function median(values) {
  return quantile(values, 0.5)
}

export function quantile(values, fraction) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))]
}

/** What the last call gave, so that no engine may leave the call out. */
let kept
export const keptResult = () => kept

function rateOf(work, milliseconds) {
  const start = performance.now()
  let calls = 0
  let elapsed = 0
  while (elapsed < milliseconds) {
    for (let i = 0; i < 200; i++) kept = work()
    calls += 200
    elapsed = performance.now() - start
  }
  return (calls / elapsed) * 1000
}
