import type { Candidate } from './candidate.ts'
import { LIMITS } from './defaults.ts'

/** Of local candidates: there are as many as are told to a peer, not counting what checks reveal. */
export function isFull(candidates: readonly Candidate[]): boolean {
  return candidates.filter((candidate) => !isReflexive(candidate)).length >= LIMITS.localCandidates
}

/** Takes out the oldest peer-reflexive one when there are too many. Pairs keep theirs: this is the list of what is told. */
export function withoutOldReflexive(candidates: readonly Candidate[]): readonly Candidate[] {
  if (candidates.filter(isReflexive).length < LIMITS.localReflexive) return candidates
  return candidates.toSpliced(candidates.findIndex(isReflexive), 1)
}

function isReflexive({ type }: Candidate): boolean {
  return type === 'prflx'
}
