/**
 * @floe/turn: the client side of RFC 8656, without sockets or clocks.
 * @module
 */
export { Allocation } from './allocation.ts'
export { credentialsFault } from './credentials.ts'
export { type AllocationTiming, LIMITS, TIMING } from './defaults.ts'
export { TurnError, type TurnErrorCode } from './error.ts'
export { NO_ANSWER } from './exchanges.ts'
export type { AllocationOptions, AllocationOutput, AllocationState, RefusedFamily } from './outputs.ts'
export { isAllowedPort, RedirectGuard } from './redirect.ts'
export { type StreamFailure, TurnStream } from './stream.ts'
