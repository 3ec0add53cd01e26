import { createHash } from 'node:crypto'
import type { Outbox, OutboxEntry } from '../outbox.ts'
import type { ErrorBody, Handshake, IceServer, PeerInfo, RoomEvent, Welcome } from '../protocol.ts'

/** One client connection, as the rooms see it: Socket.IO in production. */
export interface Link {
  /** Where it comes from, for counting wrong secrets. */
  readonly address: string
  welcome(welcome: Welcome): void
  /** In place of those of `welcome`. */
  renew(iceServers: IceServer[]): void
  /** Sends an event; calls `acknowledged` when the client has it, or, with `false`, leaves it. */
  deliver(entry: OutboxEntry<RoomEvent>, acknowledged: (taken?: boolean) => void): void
  /** Sends a frame of the peer `from`; calls `acknowledged` when the client has it, which may be never. */
  relay(from: string, frame: Uint8Array, acknowledged: () => void): void
  /** Says why, then ends. */
  end(error: ErrorBody): void
}

/** What becomes of a signal: `null` when its receiver has it, or why it never will. Never called: ask again. */
export type Answer = (error: ErrorBody | null) => void

/** Somebody in a room, with or without a connection to this server at this moment. */
export interface Member {
  readonly info: PeerInfo
  readonly room: Room
  readonly outbox: Outbox<RoomEvent>
  /** Names the numbers of `outbox`, see `Welcome`. */
  readonly numbering: string
  /** Signals in `outbox`, by sender and number: who is to be told when they have been taken. */
  readonly answers: Map<string, Answer>
  /** Of this member, on their way to members at other servers, by receiver and number. */
  readonly forwarded: Map<string, Answer>
  /** Its latest connection, in its own counting: who holds a later one has it. */
  connection: number
  /** `undefined` while its place is held after a lost connection. */
  link: Link | undefined
  /** It was known already when it came this time. */
  resumed: boolean
  held: ReturnType<typeof setTimeout> | undefined
  /** Of its ICE servers, while it has a connection. */
  renewal: ReturnType<typeof setTimeout> | undefined
}

/** Those of a room who are at this server. */
export interface Room {
  readonly name: string
  readonly secretHash: Buffer
  /** Milliseconds since 1970: of two rooms of one name with different secrets the first counts. */
  readonly opened: number
  readonly members: Map<string, Member>
}

/** By whom, and which of its signals. */
export function signalKey(peer: string, number: number): string {
  return `${number}:${peer}`
}

/** Of the key of a forwarded signal. */
export function receiverOf(key: string): string {
  return key.slice(key.indexOf(':') + 1)
}

/** One-way, so that an id, which everybody in the room sees, gives nobody the token. 96 bits. */
export function peerId({ room, resumeToken }: Handshake): string {
  return createHash('sha256').update(`${room}\n${resumeToken}`).digest('base64url').slice(0, 16)
}

/** Equal length for `timingSafeEqual`, whatever the secret's. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
