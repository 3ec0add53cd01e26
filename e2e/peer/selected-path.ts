/** What W3C statistics say about the path in use, in every implementation's dialect. */

/** Candidate types, as `host`, `srflx`, `prflx` or `relay`. */
export interface PathEnds {
  readonly local: string
  readonly remote: string
}

export function selectedPath(report: RTCStatsReport): PathEnds | undefined {
  const stats = entriesOf(report)
  const pair = selectedPair(stats)
  const typeOf = (id: unknown) => String(stats.find((each) => each.id === id)?.candidateType)
  return pair && { local: typeOf(pair.localCandidateId), remote: typeOf(pair.remoteCandidateId) }
}

/** `udp`, `tcp` or `tls`: how the relay of the local candidate in use is reached; undefined when that is none. */
export function selectedRelay(report: RTCStatsReport): string | undefined {
  const stats = entriesOf(report)
  const local = stats.find(({ id }) => id === selectedPair(stats)?.localCandidateId)
  return local?.relayProtocol as string | undefined
}

/** `null` where nobody counts. */
export function selectedPairChanges(report: RTCStatsReport): number | null {
  const transport = entriesOf(report).find(({ type }) => type === 'transport')
  return (transport?.selectedCandidatePairChanges as number | undefined) ?? null
}

type Entry = Readonly<Record<string, unknown>>

function entriesOf(report: RTCStatsReport): Entry[] {
  return [...(report as unknown as Map<string, Entry>).values()]
}

function selectedPair(stats: readonly Entry[]): Entry | undefined {
  const transport = stats.find(({ type }) => type === 'transport')
  // Firefox has no transport statistics, but marks the pair itself.
  return stats.find(
    ({ id, type, selected }) =>
      type === 'candidate-pair' && (selected === true || id === transport?.selectedCandidatePairId),
  )
}
