import { explainRelay, RELAY_REASONS, type RelayReason } from '@floe/webrtc'

/** How packets go between the two ends, in ICE's terms. */
export interface PathDescription {
  readonly local: CandidateDescription
  readonly remote: CandidateDescription
  /** Why it takes a relay, if it does. */
  readonly whyRelayed?: RelayReason
  /** One line for people. */
  readonly summary: string
}

interface CandidateDescription {
  /** `host`, `srflx`, `prflx` or `relay`. */
  readonly type: string
  readonly protocol: string
  /** Of a relay: how this end reaches its server. */
  readonly relayProtocol?: string
  readonly address?: string
  readonly port?: number
}

/** The selected candidate pair; `undefined` when the statistics do not tell. */
export async function describePath(peerConnection: RTCPeerConnection): Promise<PathDescription | undefined> {
  const report = await peerConnection.getStats()
  const entries = new Map<string, Record<string, unknown>>()
  report.forEach((entry: Record<string, unknown>) => {
    entries.set(String(entry.id), entry)
  })
  const all = [...entries.values()]
  const selected = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId)
  const pair =
    entries.get(String(selected?.selectedCandidatePairId)) ??
    all.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded')
  const local = describe(entries.get(String(pair?.localCandidateId)))
  const remote = describe(entries.get(String(pair?.remoteCandidateId)))
  if (local === undefined || remote === undefined) return undefined
  const whyRelayed = explainRelay(report)
  const why = whyRelayed === undefined ? '' : `, relayed since ${RELAY_REASONS[whyRelayed]}`
  const summary = `${inWords(local)} ↔ ${inWords(remote)}${why}`
  return { local, remote, ...(whyRelayed && { whyRelayed }), summary }
}

function describe(entry: Record<string, unknown> | undefined): CandidateDescription | undefined {
  if (entry === undefined) return undefined
  const { candidateType, protocol, relayProtocol, address, port } = entry
  return {
    type: String(candidateType),
    protocol: String(protocol),
    ...(typeof relayProtocol === 'string' ? { relayProtocol } : {}),
    ...(typeof address === 'string' ? { address } : {}),
    ...(typeof port === 'number' ? { port } : {}),
  }
}

function inWords({ type, protocol, relayProtocol, address = '?', port = 0 }: CandidateDescription): string {
  const via = relayProtocol === undefined ? '' : ` via ${relayProtocol}`
  return `${type} ${address.includes(':') ? `[${address}]` : address}:${port}/${protocol}${via}`
}
