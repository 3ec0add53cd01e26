import type { AgentKind, ErrorBody } from '../protocol.ts'
import type { ForwardedFrame, ForwardedSignal } from './neighbours.ts'

/** A member as servers tell each other of it. */
export type MemberRecord = readonly [id: string, agent: AgentKind, joined: number, connection: number]

/** A room and some of its members at the server that says so. Of its secret only the hash. */
export interface RoomRecord {
  readonly name: string
  /** SHA-256 in base64. */
  readonly secret: string
  readonly opened: number
  readonly members: readonly MemberRecord[]
}

/** What servers of a cluster tell all others, or with `to` one of them. */
export type ClusterMessage =
  /** I live, and this many members with this digest are mine. */
  | { readonly type: 'alive'; readonly count: number; readonly digest: number }
  /** Tell me of all your members; without `to`: everybody. */
  | { readonly type: 'want'; readonly to?: string }
  /** Part of all members of mine. */
  | {
      readonly type: 'all'
      readonly id: number
      readonly part: number
      readonly parts: number
      readonly rooms: RoomRecord[]
    }
  | { readonly type: 'join'; readonly room: RoomRecord }
  | {
      readonly type: 'leave'
      readonly room: string
      readonly id: string
      readonly connection: number
      readonly reason: 'left' | 'vanished'
    }
  /** I stop: my members will come to you. */
  | { readonly type: 'bye' }
  | { readonly type: 'signal'; readonly to: string; readonly signal: ForwardedSignal }
  /** Not answered: it may be lost. */
  | { readonly type: 'frame'; readonly to: string; readonly frame: ForwardedFrame }
  | {
      readonly type: 'answer'
      readonly to: string
      readonly room: string
      readonly from: string
      readonly receiver: string
      readonly number: number
      readonly error: ErrorBody | null
    }

/** Carries messages to all other servers: in order from each, each once or not at all. What is lost is found out above. */
export interface Bus {
  /** Of this server, unique in the cluster. */
  readonly id: string
  /** Whether messages get through, as far as can be told. */
  readonly connected: boolean
  /** How many other servers there are; `undefined` when that cannot be told. */
  others(): Promise<number | undefined>
  /** Dropped while not connected; frames and signals also while too much waits for the connection. */
  post(message: ClusterMessage): void
  onmessage: (from: string, message: ClusterMessage) => void
  /** After a connection was lost: messages may have been. */
  onreconnected: () => void
  close(): Promise<void>
}
