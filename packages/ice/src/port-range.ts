import { SEARCH, UNPRIVILEGED_PORTS } from './defaults.ts'

/** Where the next ports of a NAT will be. */
export interface PortRange {
  readonly kind: 'sequential' | 'block' | 'random'
  readonly low: number
  readonly high: number
}

/**
 * From the external ports of several sockets in the order in which they sent. `sockets`: how many more mappings are to
 * come. `undefined`: fewer than three ports say nothing.
 */
export function predictPorts(ports: readonly number[], sockets: number): PortRange | undefined {
  if (ports.length < MIN_SAMPLES) return undefined
  const gaps = ports.slice(1).map((port, index) => port - ports[index]!)
  const [first = 0] = gaps
  if (gaps.every((gap) => gap !== 0 && Math.sign(gap) === Math.sign(first) && Math.abs(gap) <= SEARCH.step)) {
    const step = gaps.toSorted((a, b) => a - b)[gaps.length >> 1]!
    const last = ports.at(-1)!
    return { kind: 'sequential', ...within(last + Math.sign(step), last + step * (sockets + SEARCH.step)) }
  }
  const [low, high] = [Math.min(...ports), Math.max(...ports)]
  if (high - low > SEARCH.widestBlock) return { kind: 'random', ...UNPRIVILEGED_PORTS }
  // Of n ports drawn from a range, the outer ones miss its ends by one n-th of it on average.
  const margin = Math.ceil((2 * (high - low)) / ports.length)
  return { kind: 'block', ...within(low - margin, high + margin) }
}

/** `low` to `high` in random order. `random` gives numbers from 0 to 1. */
export function shuffledPorts(low: number, high: number, random: () => number): number[] {
  const ports = Array.from({ length: high - low + 1 }, (_, index) => low + index)
  for (let i = ports.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[ports[i], ports[j]] = [ports[j]!, ports[i]!]
  }
  return ports
}

/** Ports to try when one mapping is looked for and others of the same host were seen: between them at random, then outwards. */
export function sweepPorts(seen: readonly number[], limit: number, random: () => number): number[] {
  const [low, high] = [Math.min(...seen), Math.max(...seen)]
  const ports = shuffledPorts(low, high, random).filter((port) => !seen.includes(port))
  for (let distance = 1; ports.length < limit; distance++) {
    const [above, below] = [high + distance, low - distance]
    if (above > UNPRIVILEGED_PORTS.high && below < UNPRIVILEGED_PORTS.low) break
    if (above <= UNPRIVILEGED_PORTS.high) ports.push(above)
    if (below >= UNPRIVILEGED_PORTS.low) ports.push(below)
  }
  return ports.slice(0, limit)
}

const MIN_SAMPLES = 3

function within(a: number, b: number): { low: number; high: number } {
  const clamp = (port: number) => Math.max(UNPRIVILEGED_PORTS.low, Math.min(UNPRIVILEGED_PORTS.high, port))
  return { low: clamp(Math.min(a, b)), high: clamp(Math.max(a, b)) }
}
