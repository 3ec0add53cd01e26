export { IceAgent } from './agent.ts'
export type { AddressScope, Candidate, CandidateType } from './candidate.ts'
export { addressScope, candidatePriority, formatCandidate, parseCandidate } from './candidate.ts'
export type { CandidatePair, CandidatePairState, CandidatePairStats } from './candidate-pair.ts'
export { pairPriority } from './candidate-pair.ts'
export type { Timing } from './defaults.ts'
export { FRESH_SOCKETS, LIMITS, PACER_FLOOR, SEARCH, TIMING, TYPE_PREFERENCE } from './defaults.ts'
export type { IceErrorCode } from './error.ts'
export { IceError } from './error.ts'
export type { LocalBase } from './local-base.ts'
export type { LogEntry } from './log.ts'
export { costOf } from './network-cost.ts'
export type { AgentOptions } from './options.ts'
export type { AgentOutput, IceTransportState } from './outputs.ts'
export { Pacer } from './pacer.ts'
export { type PairReport, pairReport } from './pair-report.ts'
export type { IceParameters, IceRole, Random } from './parameters.ts'
export { generateParameters } from './parameters.ts'
export type { PathPolicy, PathPolicyOptions, PathVerdict } from './path-policy.ts'
export { SearchGate } from './search-gate.ts'
export type { RelayProtocol, ServerAddress, ServerChange, StunServer, TurnServer } from './servers.ts'
export type { PathSwitch } from './switch-history.ts'
export type { TraversalOptions } from './traversal-options.ts'
export {
  type CandidateEvidence,
  type PathEvidence,
  RELAY_REASONS,
  type RelayEvidence,
  type RelayReason,
  whyRelayed,
} from './why-relayed.ts'
