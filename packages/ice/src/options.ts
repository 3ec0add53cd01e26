import type { Candidate } from './candidate.ts'
import type { Timing } from './defaults.ts'
import type { Pacer } from './pacer.ts'
import type { IceParameters, IceRole, Random } from './parameters.ts'
import type { PathPolicyOptions } from './path-policy.ts'
import type { TraversalOptions } from './traversal-options.ts'

export interface AgentOptions extends PathPolicyOptions {
  /** Cryptographically strong in production; a seeded one makes a whole run replayable. */
  readonly random: Random
  /** May also come with `start()`, as in W3C. Default: controlled. */
  readonly role?: IceRole
  /** RFC 8445 §2.5: host candidates only, answers checks and sends none. For servers with public addresses. */
  readonly lite?: boolean
  /** Instead of generated ones. */
  readonly parameters?: IceParameters
  readonly timing?: Partial<Timing>
  /** Share one between all agents of a process: RFC 8445 §14.2 paces them together. */
  readonly pacer?: Pacer
  /** `false` refuses a remote candidate. Unspecified and multicast addresses are refused in any case. */
  readonly policy?: (candidate: Candidate) => boolean
  /** For drivers that can set a packet's TTL and open more sockets: openers, fresh sockets, and the search for ports. */
  readonly traversal?: TraversalOptions
  /** Emit `log` outputs. */
  readonly log?: boolean
}
