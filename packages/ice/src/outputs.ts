import type { Address, Packet } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import type { CandidatePair } from './candidate-pair.ts'
import { TIMING, type Timing } from './defaults.ts'
import type { LogEntry } from './log.ts'
import type { IceRole, Random } from './parameters.ts'
import { type PathPolicyOptions, PathVerdicts } from './path-policy.ts'
import type { RelayProtocol, TurnServer } from './servers.ts'

/** W3C RTCIceTransportState. */
export type IceTransportState = 'new' | 'checking' | 'connected' | 'completed' | 'disconnected' | 'failed' | 'closed'

/** What an agent asks of its driver. A tagged union: switch over `type`. */
export type AgentOutput =
  /** Put on the wire. `packet.local` is the very object given to `gather()`. */
  | {
      readonly type: 'packet'
      readonly packet: Packet
      /** Hops that this one packet may take; the system's default when left out. Only with `traversal`. */
      readonly ttl?: number
    }
  /**
   * With `traversal`: open so many more UDP sockets on the IP address of `near`, and hand their addresses to
   * `socketsOpened()`, fewer when there are no more to be had.
   */
  | { readonly type: 'sockets'; readonly near: Address; readonly count: number }
  /** Close that socket: it is not used any more. */
  | { readonly type: 'release'; readonly local: Address }
  /**
   * Open a connection: to a TURN server, or for ICE-TCP to the peer. `local.ip` is the address to send from; the object
   * is the connection's name from now on, in packets and in the answer: `connected()` or `disconnected()`.
   */
  | {
      readonly type: 'connect'
      readonly local: Address
      readonly remote: Address
      readonly protocol: RelayProtocol
      /** How messages are told apart in a stream: RFC 8656 §12.5, or RFC 4571. */
      readonly framing: 'turn' | 'rfc4571'
      readonly server?: TurnServer
    }
  /** Close that connection. */
  | { readonly type: 'disconnect'; readonly local: Address }
  /** From the peer, for the layer above. */
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** For signaling; `null` ends the candidates of this generation (RFC 8838 §8.2). */
  | { readonly type: 'candidate'; readonly candidate: Candidate | null }
  /** Signalled before and no longer true: their interface or relay is gone. libwebrtc's `OnIceCandidatesRemoved`. */
  | { readonly type: 'candidatesremoved'; readonly candidates: readonly Candidate[] }
  /** W3C RTCPeerConnectionIceErrorEvent: 701 when a server did not answer. */
  | {
      readonly type: 'candidateerror'
      readonly url: string
      readonly address: string | null
      readonly port: number | null
      readonly errorCode: number
      readonly errorText: string
    }
  | { readonly type: 'gatheringstate'; readonly state: 'gathering' | 'complete' }
  | { readonly type: 'state'; readonly state: IceTransportState }
  | { readonly type: 'role'; readonly role: IceRole }
  /** Data goes over this pair from now on; `reason` says why, in words. */
  | { readonly type: 'selectedpair'; readonly pair: CandidatePair; readonly reason: string }
  /** The peer is silent: perhaps since an interface is gone, which shows only when somebody looks. */
  | { readonly type: 'suspicion' }
  | { readonly type: 'log'; readonly entry: LogEntry }

/** What the parts of an agent share: its constants, its randomness, its way out. */
export interface Context {
  readonly timing: Timing
  readonly random: Random
  /** The application's wishes for paths, if it has any. */
  readonly verdicts: PathVerdicts | undefined
  emit(output: AgentOutput): void
  /** `detail` is a thunk: a log that is off costs nothing. */
  log(now: number, event: string, detail: () => string, reason?: string): void
}

interface ContextOptions extends PathPolicyOptions {
  readonly timing?: Partial<Timing>
  readonly random: Random
  readonly log?: boolean
}

/** Of an agent with these options. Throws ERR_ICE_ARGUMENT. */
export function contextOf(options: ContextOptions, emit: Context['emit']): Context {
  const { timing, random, log = false } = options
  // normalize(): engines keep a template's text as a tree of its parts, nearly ten times as large, until it is read.
  const note: Context['log'] = (now, event, detail, reason) =>
    emit({ type: 'log', entry: { now, event, detail: detail().normalize(), ...(reason !== undefined && { reason }) } })
  // Most agents share the constants as they are: a copy would be a kilobyte of each.
  const verdicts = PathVerdicts.of(options)
  return { timing: timing ? { ...TIMING, ...timing } : TIMING, random, verdicts, emit, log: log ? note : noLog }
}

const noLog: Context['log'] = () => {}
