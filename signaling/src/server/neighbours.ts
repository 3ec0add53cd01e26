import type { PeerInfo, SignalingMessage } from '../protocol.ts'
import type { Answer, Member, Room } from './member.ts'

/** Somebody of a room who is at another server. */
export interface RemoteMember {
  readonly info: PeerInfo
  readonly server: string
  readonly connection: number
}

/** What is known of a room from elsewhere. */
export interface RemoteRoom {
  readonly secretHash: Buffer
  readonly opened: number
  readonly members: ReadonlyMap<string, RemoteMember>
}

/** A signal between servers: what its receiver needs. */
export interface ForwardedSignal {
  readonly room: string
  readonly from: string
  readonly to: string
  readonly number: number
  readonly after: number
  readonly message: SignalingMessage
}

/** A frame between servers, see `relay.ts`. */
export interface ForwardedFrame {
  readonly room: string
  readonly from: string
  readonly to: string
  readonly frame: Uint8Array
}

/** The other servers, as the rooms of this one see them. */
export interface Neighbours {
  /** Whether who is in no room that we know of is in none. */
  readonly settled: boolean
  room(name: string): RemoteRoom | undefined
  /** A member has come, or has come back. */
  announce(member: Member): void
  /** A member has gone for good. */
  retract(member: Member, reason: 'left' | 'vanished'): void
  forward(to: RemoteMember, signal: ForwardedSignal): void
  /** May be lost. */
  forwardFrame(to: RemoteMember, frame: ForwardedFrame): void
}

/** The rooms of this server, as the others see them. */
export interface LocalRooms {
  all(): Iterable<Room>
  room(name: string): Room | undefined
  /** Somebody has come to another server, be it from a third, or from here. */
  onRemoteJoined(room: string, member: RemoteMember): void
  onRemoteLeft(room: string, id: string, reason: 'left' | 'vanished'): void
  /** It has a later connection at another server. */
  yield(member: Member): void
  /** Its room was opened elsewhere before, with another secret. */
  evict(room: Room): void
  /** What was on its way to other servers may be lost: asks its senders for it. */
  askAgain(): void
  onForwarded(signal: ForwardedSignal, answer: Answer): void
  onAnswer(room: string, from: string, to: string, number: number, error: Parameters<Answer>[0]): void
}

/** One process by itself. */
export const ALONE: Neighbours = {
  settled: true,
  room: () => undefined,
  announce: () => {},
  retract: () => {},
  forward: () => {},
  forwardFrame: () => {},
}
