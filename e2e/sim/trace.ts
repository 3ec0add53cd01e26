import { type Address, decode, formatAddress, formatTransactionId, isStun } from '@floe/stun'

/** One step of one datagram, or a remark of a peer. `bytes` stay as they were: nobody writes into a datagram in flight. */
export type TraceEntry =
  | {
      readonly time: number
      readonly event: 'send' | 'deliver' | 'drop' | 'translate'
      readonly at: string
      readonly datagram: Datagram
      readonly reason?: string
    }
  | { readonly time: number; readonly event: 'note'; readonly at: string; readonly text: string }

/** A UDP datagram on its way. Boxes make new ones with the same `id`. */
export interface Datagram {
  readonly id: number
  /** A message of a TCP stream instead, the empty one is its handshake. Nothing is lost of it, as long as wires carry anything. */
  readonly tcp: boolean
  readonly source: Address
  readonly destination: Address
  readonly bytes: Uint8Array
  /** Hops that it may take, if fewer than usual. */
  readonly ttl?: number | undefined
}

/** What happened to every packet, in order; readable when a test fails. */
export class Trace {
  readonly entries: TraceEntry[] = []
  readonly enabled: boolean

  /** `false` records nothing: searches run faster so, and replay what fails. */
  constructor(enabled = true) {
    this.enabled = enabled
  }

  /** `text` is a thunk: what nobody reads is not written. */
  note(time: number, at: string, text: () => string) {
    if (this.enabled) this.entries.push({ time, event: 'note', at, text: text() })
  }

  packet(
    time: number,
    event: 'send' | 'deliver' | 'drop' | 'translate',
    at: string,
    datagram: Datagram,
    reason?: string,
  ) {
    if (!this.enabled) return
    this.entries.push({ time, event, at, datagram, ...(reason !== undefined && { reason }) })
  }

  /** The last `limit` steps as text, one line each. */
  format(limit = Infinity): string {
    const skipped = Math.max(0, this.entries.length - limit)
    const lines = this.entries.slice(skipped).map(formatEntry)
    return (skipped > 0 ? [`… ${skipped} earlier steps`, ...lines] : lines).join('\n')
  }
}

function formatEntry(entry: TraceEntry): string {
  const head = `${entry.time.toFixed(1).padStart(9)} ms ${entry.at.padEnd(8)}`
  if (entry.event === 'note') return `${head} ${entry.text}`
  const { id, source, destination, bytes } = entry.datagram
  const route = `${formatAddress(source)} → ${formatAddress(destination)}`
  const reason = entry.reason === undefined ? '' : ` (${entry.reason})`
  return `${head} ${entry.event.padEnd(9)} #${id} ${route} ${describe(bytes)}${reason}`
}

/** A datagram in words: STUN's class, method, transaction and the attributes that decide. */
export function describe(bytes: Uint8Array): string {
  const message = isStun(bytes) ? decode(bytes) : undefined
  if (message === undefined) return `${bytes.length} bytes`
  const { attributes } = message
  const marks = [
    attributes.useCandidate && 'USE-CANDIDATE',
    attributes.nomination !== undefined && `nomination ${attributes.nomination}`,
    attributes.iceControlling !== undefined && 'controlling',
    attributes.iceControlled !== undefined && 'controlled',
    attributes.errorCode && String(attributes.errorCode.code),
    attributes.username && `for ${attributes.username}`,
    attributes.xorMappedAddress && `you are ${formatAddress(attributes.xorMappedAddress)}`,
  ].filter(Boolean)
  const id = formatTransactionId(message.transactionId).slice(0, 6)
  return [`${message.method} ${message.class} ${id}`, ...marks].join(', ')
}
