import { type CandidateEvidence, type PathEvidence, type RelayReason, whyRelayed } from '@floe/ice'

export { RELAY_REASONS, type RelayReason } from '@floe/ice'

type Entry = Readonly<Record<string, unknown>>

/** Why the path in use takes a relay, from any browser's statistics or ours. `undefined`: it takes none. */
export function explainRelay(report: RTCStatsReport): RelayReason | undefined {
  const entries = new Map<unknown, Entry>()
  report.forEach((entry: Entry) => {
    entries.set(entry.id, entry)
  })
  const all = [...entries.values()]
  const candidates = (wanted: string) => all.filter(({ type }) => type === wanted).map(evidenceOf)
  const pairs = all.filter(({ type }) => type === 'candidate-pair')
  const transport = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId)
  // Firefox has no transport statistics, but marks the pair itself.
  const selected = entries.get(transport?.selectedCandidatePairId) ?? pairs.find((pair) => pair.selected === true)
  const pathOf = (pair: Entry): PathEvidence[] => {
    const [local, remote] = [entries.get(pair.localCandidateId), entries.get(pair.remoteCandidateId)]
    return local && remote ? [{ local: evidenceOf(local), remote: evidenceOf(remote), state: String(pair.state) }] : []
  }
  return whyRelayed({
    localCandidates: candidates('local-candidate'),
    remoteCandidates: candidates('remote-candidate'),
    pairs: pairs.flatMap(pathOf),
    selectedPair: selected && pathOf(selected)[0],
  })
}

function evidenceOf(entry: Entry): CandidateEvidence {
  const { candidateType, protocol, address = '', port = 0, relatedAddress, relatedPort, url } = entry
  return {
    type: String(candidateType),
    protocol: String(protocol),
    address: { ip: String(address), port: Number(port) },
    ...(relatedAddress && relatedPort
      ? { relatedAddress: { ip: String(relatedAddress), port: Number(relatedPort) } }
      : {}),
    ...(url ? { url: String(url) } : {}),
  }
}
