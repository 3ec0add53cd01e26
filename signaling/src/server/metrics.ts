/**
 * Prometheus metrics in the text format (version 0.0.4). Our own hundred lines rather than prom-client: what we export is a
 * few counters and one histogram, reading them is synchronous, and nothing of it outlives the server, where prom-client's
 * process metrics leave observers behind. No label takes a value from the network: the number of series is fixed.
 */

/** Of seconds from a signal's arrival at this server to the acknowledgement of its receiver. */
const LATENCY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const COUNTERS = {
  floe_signaling_connections_total: 'Connections that were let in.',
  floe_signaling_connections_refused_total: 'Connections that were refused, by reason.',
  floe_signaling_joins_total: 'Clients that joined a room or came back to it, by result.',
  floe_signaling_rejections_total: 'Clients that were shown the door, by error code.',
  floe_signaling_leaves_total: 'Peers that left a room, by reason.',
  floe_signaling_signals_total: 'Messages from peer to peer, by result.',
  floe_signaling_rate_limited_total:
    'Packets above a rate limit, by whose; connections ended because a crowd waited behind them.',
  floe_signaling_cluster_messages_total: 'Messages between servers, by direction.',
  floe_signaling_cluster_errors_total: 'Messages between servers that Redis did not take.',
} as const
export type CounterName = keyof typeof COUNTERS

export interface Gauge {
  readonly name: string
  readonly help: string
  readonly value: number
}

export class Metrics {
  readonly #counters = new Map<CounterName, Map<string, number>>()
  readonly #latency = { counts: LATENCY_BUCKETS.map(() => 0), sum: 0, count: 0 }

  /** `label` is one of a fixed few, such as `{ reason: 'origin' }`. */
  count(name: CounterName, label: Readonly<Record<string, string>> = {}): void {
    const key = Object.entries(label)
      .map(([labelName, value]) => `${labelName}="${value}"`)
      .join(',')
    const series = this.#counters.get(name) ?? new Map<string, number>()
    this.#counters.set(name, series)
    series.set(key, (series.get(key) ?? 0) + 1)
  }

  /** A message has been acknowledged by its receiver, this many ms after it came in. */
  delivered(milliseconds: number): void {
    const seconds = milliseconds / 1000
    const { counts } = this.#latency
    for (const [index, bound] of LATENCY_BUCKETS.entries()) if (seconds <= bound) counts[index]! += 1
    this.#latency.sum += seconds
    this.#latency.count += 1
  }

  /** All of it, with `gauges` and the process's own. */
  expose(gauges: readonly Gauge[]): string {
    const lines: string[] = []
    for (const { name, help, value } of [...gauges, ...processGauges()]) {
      lines.push(...head(name, help, 'gauge'), `${name} ${value}`)
    }
    const { user, system } = process.cpuUsage()
    lines.push(...head('process_cpu_seconds_total', 'Processor time, user and system.', 'counter'))
    lines.push(`process_cpu_seconds_total ${(user + system) / 1e6}`)
    for (const [name, help] of Object.entries(COUNTERS)) {
      const series = this.#counters.get(name as CounterName)
      if (series === undefined) continue
      lines.push(...head(name, help, 'counter'))
      for (const [labels, value] of series) lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${value}`)
    }
    return `${[...lines, ...this.#histogram()].join('\n')}\n`
  }

  #histogram(): string[] {
    const name = 'floe_signaling_delivery_seconds'
    const { counts, sum, count } = this.#latency
    return [
      ...head(name, "From a message's arrival to its receiver's acknowledgement.", 'histogram'),
      ...LATENCY_BUCKETS.map((bound, index) => `${name}_bucket{le="${bound}"} ${counts[index]}`),
      `${name}_bucket{le="+Inf"} ${count}`,
      `${name}_sum ${sum}`,
      `${name}_count ${count}`,
    ]
  }
}

function processGauges(): Gauge[] {
  const { rss, heapUsed } = process.memoryUsage()
  const started = Date.now() / 1000 - process.uptime()
  return [
    { name: 'process_resident_memory_bytes', help: 'Resident memory.', value: rss },
    { name: 'process_start_time_seconds', help: 'Since 1970.', value: started },
    { name: 'nodejs_heap_size_used_bytes', help: 'Heap of V8 in use.', value: heapUsed },
  ]
}

function head(name: string, help: string, type: string): [string, string] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
}

/** Of one of several servers: whether it reaches Redis, how many others are alive, and the members at those. */
export function clusterGauges(connected: boolean, servers: number, peers: number): Gauge[] {
  return [
    { name: 'floe_signaling_cluster_connected', help: '1: Redis is reached.', value: connected ? 1 : 0 },
    { name: 'floe_signaling_cluster_servers', help: 'Other servers that are alive.', value: servers },
    { name: 'floe_signaling_cluster_peers', help: 'Peers at other servers.', value: peers },
  ]
}
