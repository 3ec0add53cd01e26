/** What `getStats()` knows about the candidate pairs, in one shape for Chromium, Firefox and Safari. */

import type { RelayReason } from '@floe/webrtc'

export type CandidateType = 'host' | 'srflx' | 'prflx' | 'relay'

export interface End {
  readonly type: CandidateType
  /** `address:port`; the address is an mDNS name or `withheld` where the browser keeps it to itself. */
  readonly address: string
  /** `udp`, `tcp`; for a relay with how it is reached, `udp via tls`. */
  readonly protocol: string
  /** Of our own relay, where the browser tells: `udp`, `tcp` or `tls`. */
  readonly relayProtocol?: string
}

export interface Pair {
  readonly id: string
  readonly local: End
  readonly remote: End
  readonly state: string
  readonly nominated: boolean
  /** The one that carries data now. */
  readonly selected: boolean
  /** Latest round trip in milliseconds, when one has been measured. */
  readonly roundTripTime: number | undefined
  /** Bytes of payload. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Of the one in use: why it takes a relay, if it does. */
  readonly whyRelayed?: RelayReason
}

/** Stats as browsers give them: the DOM's types lack most members. */
type Entry = Readonly<Record<string, unknown>> & { readonly id: string; readonly type: string }

/** The candidate lines of both descriptions. */
export interface CandidateLines {
  readonly local: readonly string[]
  readonly remote: readonly string[]
}

/** All pairs, the selected one first, then those that work, then the rest; within a group by priority. */
export function readPairs(report: ReadonlyMap<string, unknown>, lines: CandidateLines): Pair[] {
  const entries = [...report.values()] as Entry[]
  const selectedIds = new Set(entries.filter(({ type }) => type === 'transport').map((t) => t.selectedCandidatePairId))
  const rank = (pair: Pair) => (pair.selected ? 0 : pair.state === 'succeeded' ? 1 : pair.state === 'failed' ? 3 : 2)
  return entries
    .filter(({ type }) => type === 'candidate-pair')
    .map((entry) => ({
      priority: numberOf(entry.priority) ?? 0,
      // Firefox marks the pair itself, the others name it in the transport's stats.
      pair: {
        ...readPair(entry, selectedIds.has(entry.id) || entry.selected === true),
        local: readEnd(report.get(String(entry.localCandidateId)) as Entry | undefined, lines.local),
        remote: readEnd(report.get(String(entry.remoteCandidateId)) as Entry | undefined, lines.remote),
      },
    }))
    .sort((a, b) => rank(a.pair) - rank(b.pair) || b.priority - a.priority)
    .map(({ pair }) => pair)
}

function readPair(entry: Entry, selected: boolean): Omit<Pair, 'local' | 'remote'> {
  const seconds = numberOf(entry.currentRoundTripTime)
  return {
    id: entry.id,
    state: String(entry.state ?? 'unknown'),
    nominated: entry.nominated === true,
    selected,
    roundTripTime: seconds === undefined ? undefined : seconds * 1000,
    bytesSent: numberOf(entry.bytesSent) ?? 0,
    bytesReceived: numberOf(entry.bytesReceived) ?? 0,
  }
}

function readEnd(entry: Entry | undefined, lines: readonly string[]): End {
  const protocol = String(entry?.protocol ?? 'udp')
  const relayProtocol = typeof entry?.relayProtocol === 'string' ? entry.relayProtocol : undefined
  return {
    type: typeOf(entry?.candidateType),
    address: addressOf(entry, lines),
    protocol: relayProtocol && relayProtocol !== protocol ? `${protocol} via ${relayProtocol}` : protocol,
    ...(relayProtocol ? { relayProtocol } : {}),
  }
}

function typeOf(value: unknown): CandidateType {
  return value === 'srflx' || value === 'prflx' || value === 'relay' ? value : 'host'
}

/**
 * Browsers withhold the addresses of the local network from statistics. The candidate that was signaled has an mDNS name
 * for it, which at least tells one interface from another.
 */
function addressOf(entry: Entry | undefined, lines: readonly string[]): string {
  const port = numberOf(entry?.port) || undefined
  const given = String(entry?.address ?? entry?.ip ?? '')
  const address = given === '' || given === '(redacted)' ? nameOf(port, lines) : given
  const shown = address.includes(':') ? `[${address}]` : address
  return port ? `${shown}:${port}` : shown
}

/** RFC 8839 §5.1: foundation, component, protocol, priority, address, port. */
function nameOf(port: number | undefined, lines: readonly string[]): string {
  const fields = lines.map((line) => line.split(' ')).find((parts) => parts[5] === String(port))
  return fields?.[4] ?? 'withheld'
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** The candidate lines of a session description. */
export function candidateLines(sdp: string | undefined): string[] {
  return [...(sdp?.matchAll(/^a=(candidate:.*)$/gm) ?? [])].map((match) => match[1]!.trimEnd())
}
