import { SEARCH, UNPRIVILEGED_PORTS } from './defaults.ts'

/** Where the next ports of a NAT will be. */
export interface PortRange {
  readonly kind: 'preserving' | 'sequential' | 'block' | 'random'
  readonly low: number
  readonly high: number
  /** The port that one of the mappings will have, where that can be foretold. */
  readonly aim?: number
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
    const range = within(last + Math.sign(step), last + step * (sockets + SEARCH.step))
    // Others take ports in between, and ours come later then: of our mappings it is one of the last.
    const aim = last + step * Math.ceil((sockets * 3) / 4)
    return { kind: 'sequential', ...range, ...(aim >= range.low && aim <= range.high && { aim }) }
  }
  const [low, high] = [Math.min(...ports), Math.max(...ports)]
  // Of n ports drawn from a range, the outer ones miss its ends by one n-th of it on average.
  const margin = Math.ceil((2 * (high - low)) / ports.length)
  // Of all ports a NAT may use the upper half alone, as hosts do: there they are denser, and nowhere less dense.
  const kind = high - low > SEARCH.widestBlock ? 'random' : 'block'
  return { kind, ...within(low - margin, high + margin) }
}

/**
 * So many of `low` to `high`, none twice, in random order; all when there are no more. `random` gives numbers from 0 to 1.
 * Takes as long as what it gives, and not as the range: a shuffle of Fisher and Yates that is broken off.
 */
export function drawPorts(low: number, high: number, count: number, random: () => number): number[] {
  const size = high - low + 1
  const moved = new Map<number, number>()
  const portAt = (index: number) => moved.get(index) ?? low + index
  return Array.from({ length: Math.min(count, size) }, (_, index) => {
    const drawn = index + Math.floor(random() * (size - index))
    const port = portAt(drawn)
    moved.set(drawn, portAt(index))
    return port
  })
}

/** Ports to try when one mapping is looked for and others of the same host were seen: between them at random, then outwards. */
export function sweepPorts(seen: readonly number[], limit: number, random: () => number): number[] {
  const [low, high] = [Math.min(...seen), Math.max(...seen)]
  const ports = drawPorts(low, high, high - low + 1, random).filter((port) => !seen.includes(port))
  for (let distance = 1; ports.length < limit; distance++) {
    const [above, below] = [high + distance, low - distance]
    if (above > UNPRIVILEGED_PORTS.high && below < UNPRIVILEGED_PORTS.low) break
    if (above <= UNPRIVILEGED_PORTS.high) ports.push(above)
    if (below >= UNPRIVILEGED_PORTS.low) ports.push(below)
  }
  return ports.slice(0, limit)
}

/**
 * Whether a NAT with endpoint-dependent mappings may be one whose next port can be foretold: one that keeps a socket's own
 * port where it can, or counts. `seen`: the ports that one socket, bound to `own`, was seen at.
 */
export function mayForetell(own: number, seen: readonly number[]): boolean {
  return seen.includes(own) || (seen.length > 1 && Math.max(...seen) - Math.min(...seen) <= 2 * SEARCH.step)
}

const MIN_SAMPLES = 3

function within(a: number, b: number): { low: number; high: number } {
  const clamp = (port: number) => Math.max(UNPRIVILEGED_PORTS.low, Math.min(UNPRIVILEGED_PORTS.high, port))
  return { low: clamp(Math.min(a, b)), high: clamp(Math.max(a, b)) }
}
