import { createHash, timingSafeEqual } from 'node:crypto'
import { Outbox, type OutboxEntry } from '../outbox.ts'
import type {
  AgentKind,
  ErrorBody,
  Handshake,
  IceServer,
  PeerInfo,
  RoomEvent,
  SignalingMessage,
  Welcome,
} from '../protocol.ts'
import { errorBody } from '../protocol.ts'
import type { IceServerSupply } from './ice-servers.ts'
import { TokenBucket } from './token-bucket.ts'

/** One client connection, as the rooms see it: Socket.IO in production. */
export interface Link {
  /** Where it comes from, for counting wrong secrets. */
  readonly address: string
  welcome(welcome: Welcome): void
  /** In place of those of `welcome`. */
  renew(iceServers: IceServer[]): void
  /** Sends an event; calls `acknowledged` when the client has it. */
  deliver(entry: OutboxEntry<RoomEvent>, acknowledged: () => void): void
  /** Sends a frame of the peer `from`; calls `acknowledged` when the client has it, which may be never. */
  relay(from: string, frame: Uint8Array, acknowledged: () => void): void
  /** Tells the client why, then closes. */
  end(error: ErrorBody): void
}

/** Somebody in a room, with or without a connection at this moment. */
export interface Member {
  readonly info: PeerInfo
  readonly room: Room
  readonly outbox: Outbox<RoomEvent>
  /** `undefined` while its place is held after a lost connection. */
  link: Link | undefined
  /** Number of the last signal that came from it. */
  received: number
  held: ReturnType<typeof setTimeout> | undefined
  /** Of its ICE servers, while it has a connection. */
  renewal: ReturnType<typeof setTimeout> | undefined
}

interface Room {
  readonly name: string
  readonly secretHash: Buffer
  readonly members: Map<string, Member>
  arrivals: number
}

export interface RoomsOptions {
  readonly rooms: number
  readonly peersPerRoom: number
  readonly heldMessages: number
  readonly heldSize: number
  /** Milliseconds. */
  readonly resumeGrace: number
  /** Whether members may relay frames. */
  readonly relay: boolean
  /** The secret that a room demands; `undefined`: whoever opens it decides. */
  readonly secretFor: (room: string) => string | undefined
  readonly onRoom: (room: string, secret: string | undefined) => void
  readonly iceServersFor: (room: string, peer: string) => IceServerSupply
}

/** Guesses of a secret per address: 20 at once, then one in 10 s. Makes even a four-digit secret last for a day. */
const WRONG_SECRETS = { perSecond: 0.1, burst: 20, addresses: 10_000 } as const

/** Of an outbox. The rest is for who comes and goes, so that nobody can write another peer out of the room. */
const SIGNAL_SHARE = 0.5

/** Who is in which room, and who may say what to whom. Knows nothing of sockets. */
export class Rooms {
  readonly #options: RoomsOptions
  readonly #rooms = new Map<string, Room>()
  readonly #wrongSecrets = new Map<string, TokenBucket>()
  #peers = 0

  constructor(options: RoomsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#rooms.size
  }

  /** Members of all rooms, held places included. */
  get peers(): number {
    return this.#peers
  }

  peersIn(room: string): number {
    return this.#rooms.get(room)?.members.size ?? 0
  }

  /** Lets a client in, or back in when its token is that of a member. Says why when not. */
  join(link: Link, handshake: Handshake): Member | ErrorBody {
    const known = this.#rooms.get(handshake.room)
    const refusal = this.#refuse(known, link, handshake)
    if (refusal !== undefined) return refusal
    const room = known ?? this.#open(handshake)
    const id = peerId(handshake)
    const returning = room.members.get(id)
    const member = returning ?? this.#admit(room, id, handshake.agent)
    this.#attach(member, link)
    const peers = [...room.members.values()].filter((other) => other !== member).map((other) => other.info)
    const { resumeGrace, relay } = this.#options
    const iceServers = this.#supply(member)
    link.welcome({
      self: member.info,
      peers,
      resumed: returning !== undefined,
      resumeGrace,
      relay,
      ...(iceServers && { iceServers }),
    })
    for (const entry of member.outbox.pending()) deliver(member, entry)
    if (known === undefined) this.#options.onRoom(room.name, handshake.secret)
    return member
  }

  /** Relays a message to the peer `to` of the same room. A number that has been seen already is a repetition. */
  signal(from: Member, number: number, to: string, message: SignalingMessage): ErrorBody | null {
    if (number <= from.received) return null
    from.received = number
    const receiver = from.room.members.get(to)
    if (receiver === undefined || receiver === from) {
      return errorBody('ERR_SIGNALING_PEER', `There is no other peer ${JSON.stringify(to)} in this room.`)
    }
    const entry = receiver.outbox.add({ type: 'signal', from: from.info.id, message }, SIGNAL_SHARE)
    if (entry === undefined) return errorBody('ERR_SIGNALING_OVERFLOW', `Too much waits to be delivered to ${to}.`)
    deliver(receiver, entry)
    return null
  }

  /** The connection broke: keeps the place for a while. */
  detach(member: Member, link: Link): void {
    if (member.link !== link) return
    member.link = undefined
    clearTimeout(member.renewal)
    member.held = setTimeout(() => this.leave(member, 'vanished'), this.#options.resumeGrace)
  }

  leave(member: Member, reason: 'left' | 'vanished'): void {
    const { room } = member
    stopTimers(member)
    member.link = undefined
    if (room.members.get(member.info.id) !== member) return
    room.members.delete(member.info.id)
    this.#peers -= 1
    if (room.members.size === 0) this.#rooms.delete(room.name)
    for (const other of [...room.members.values()]) this.#tell(other, { type: 'left', id: member.info.id, reason })
  }

  /** Tells everybody why and forgets everything. */
  close(error: ErrorBody): void {
    for (const room of this.#rooms.values()) {
      for (const member of room.members.values()) {
        stopTimers(member)
        const { link } = member
        member.link = undefined // first: a link that ends at once must not have its place held
        link?.end(error)
      }
    }
    this.#rooms.clear()
    this.#peers = 0
  }

  #refuse(room: Room | undefined, link: Link, handshake: Handshake): ErrorBody | undefined {
    const { rooms, peersPerRoom } = this.#options
    const secretHash = room?.secretHash ?? this.#demandedHash(handshake)
    const now = performance.now()
    const guesses = this.#wrongSecrets.get(link.address)
    if (guesses !== undefined && !guesses.has(now)) {
      return errorBody('ERR_SIGNALING_RATE', 'Too many wrong secrets have come from this address.')
    }
    if (!timingSafeEqual(secretHash, hash(handshake.secret ?? ''))) {
      this.#countWrongSecret(link.address, now)
      return errorBody('ERR_SIGNALING_SECRET', `The secret is not that of room ${handshake.room}.`)
    }
    if (room === undefined) {
      if (this.#rooms.size < rooms) return undefined
      return errorBody('ERR_SIGNALING_SERVER_FULL', `This server has its ${rooms} rooms already.`)
    }
    if (room.members.size < peersPerRoom || room.members.has(peerId(handshake))) return undefined
    return errorBody('ERR_SIGNALING_ROOM_FULL', `Room ${room.name} has its ${peersPerRoom} peers already.`)
  }

  #demandedHash(handshake: Handshake): Buffer {
    return hash(this.#options.secretFor(handshake.room) ?? handshake.secret ?? '')
  }

  #countWrongSecret(address: string, now: number): void {
    const guesses =
      this.#wrongSecrets.get(address) ?? new TokenBucket(WRONG_SECRETS.perSecond, WRONG_SECRETS.burst, now)
    guesses.take(now)
    this.#wrongSecrets.delete(address) // so that the Map's first is the one unheard of for the longest time
    this.#wrongSecrets.set(address, guesses)
    if (this.#wrongSecrets.size <= WRONG_SECRETS.addresses) return
    for (const oldest of this.#wrongSecrets.keys()) {
      this.#wrongSecrets.delete(oldest)
      return
    }
  }

  #open(handshake: Handshake): Room {
    const name = handshake.room
    const room: Room = { name, secretHash: this.#demandedHash(handshake), members: new Map(), arrivals: 0 }
    this.#rooms.set(name, room)
    return room
  }

  #admit(room: Room, id: string, agent: AgentKind): Member {
    const { heldMessages, heldSize } = this.#options
    const info: PeerInfo = { id, agent, joined: ++room.arrivals }
    const outbox = new Outbox<RoomEvent>({ entries: heldMessages, size: heldSize })
    const member: Member = {
      info,
      room,
      outbox,
      link: undefined,
      received: 0,
      held: undefined,
      renewal: undefined,
    }
    for (const other of [...room.members.values()]) this.#tell(other, { type: 'joined', peer: info })
    room.members.set(id, member)
    this.#peers += 1
    return member
  }

  #attach(member: Member, link: Link): void {
    clearTimeout(member.held)
    member.held = undefined
    const former = member.link
    member.link = link
    former?.end(errorBody('ERR_SIGNALING_REPLACED', 'Another connection with the same resume token has taken over.'))
  }

  /** The member's ICE servers as of now; tells it others when these will expire. */
  #supply(member: Member): IceServer[] | undefined {
    const { iceServers, renewIn } = this.#options.iceServersFor(member.room.name, member.info.id)
    clearTimeout(member.renewal)
    member.renewal = renewIn === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => this.#renew(member), renewIn)
    return iceServers
  }

  #renew(member: Member): void {
    const iceServers = this.#supply(member)
    if (iceServers !== undefined) member.link?.renew(iceServers)
  }

  #tell(member: Member, event: RoomEvent): void {
    const entry = member.outbox.add(event)
    if (entry !== undefined) {
      deliver(member, entry)
      return
    }
    const { link } = member
    this.leave(member, 'vanished')
    link?.end(errorBody('ERR_SIGNALING_OVERFLOW', 'Too much waited to be delivered on this connection.'))
  }
}

function deliver(member: Member, entry: OutboxEntry<RoomEvent>): void {
  member.link?.deliver(entry, () => member.outbox.acknowledge(entry.number))
}

function stopTimers({ held, renewal }: Member): void {
  clearTimeout(held)
  clearTimeout(renewal)
}

/** One-way, so that an id, which everybody in the room sees, gives nobody the token. 96 bits. */
function peerId({ room, resumeToken }: Handshake): string {
  return createHash('sha256').update(`${room}\n${resumeToken}`).digest('base64url').slice(0, 16)
}

/** Equal length for `timingSafeEqual`, whatever the secret's. */
function hash(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
