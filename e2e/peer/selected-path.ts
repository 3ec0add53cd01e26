/** What W3C statistics say about the path in use, in every implementation's dialect. */

/** Candidate types, as `host`, `srflx`, `prflx` or `relay`. */
export interface PathEnds {
  readonly local: string
  readonly remote: string
}

export function selectedPath(report: RTCStatsReport): PathEnds | undefined {
  const stats = [...(report as unknown as Map<string, Record<string, unknown>>).values()]
  const transport = stats.find(({ type }) => type === 'transport')
  // Firefox has no transport statistics, but marks the pair itself.
  const pair = stats.find(
    ({ id, type, selected }) =>
      type === 'candidate-pair' && (selected === true || id === transport?.selectedCandidatePairId),
  )
  const typeOf = (id: unknown) => String(stats.find((each) => each.id === id)?.candidateType)
  return pair && { local: typeOf(pair.localCandidateId), remote: typeOf(pair.remoteCandidateId) }
}
