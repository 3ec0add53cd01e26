import { randomBytes } from 'node:crypto'
import { Outbox, type OutboxEntry } from '../outbox.ts'
import {
  type ErrorBody,
  errorBody,
  type Handshake,
  type IceServer,
  type PeerInfo,
  type RoomEvent,
  type Signal,
} from '../protocol.ts'
import type { IceServerSupply } from './ice-servers.ts'
import { type Answer, hashSecret, type Link, type Member, peerId, type Room, receiverOf, signalKey } from './member.ts'
import type { ForwardedSignal, LocalRooms, Neighbours, RemoteMember } from './neighbours.ts'
import { SecretCheck } from './secrets.ts'

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
  readonly onLeave: (member: Member, reason: 'left' | 'vanished') => void
  readonly iceServersFor: (room: string, peer: string) => IceServerSupply
  readonly neighbours: Neighbours
}

/** Of an outbox. The rest is for who comes and goes, so that nobody can write another peer out of the room. */
const SIGNAL_SHARE = 0.5

/** Who is in which room, and who may say what to whom. Knows nothing of sockets. */
export class Rooms implements LocalRooms {
  readonly #options: RoomsOptions
  readonly #neighbours: Neighbours
  readonly #rooms = new Map<string, Room>()
  readonly #secrets = new SecretCheck()
  #peers = 0

  constructor(options: RoomsOptions) {
    this.#options = options
    this.#neighbours = options.neighbours
  }

  /** Rooms with somebody at this server. */
  get size(): number {
    return this.#rooms.size
  }

  /** Members at this server, held places included. */
  get peers(): number {
    return this.#peers
  }

  /** At all servers. */
  peersIn(name: string): number {
    return (this.#rooms.get(name)?.members.size ?? 0) + (this.#neighbours.room(name)?.members.size ?? 0)
  }

  /** Lets a client in, or back in when its token is that of a member. Says why when not. */
  join(link: Link, handshake: Handshake): Member | ErrorBody {
    const refusal = this.#refuse(link, handshake)
    if (refusal !== undefined) return refusal
    const isNew = this.peersIn(handshake.room) === 0
    const room = this.#rooms.get(handshake.room) ?? this.#open(handshake)
    const id = peerId(handshake)
    const returning = resumable(room.members.get(id), handshake)
    const member = returning ?? this.#admit(room, id, handshake)
    member.resumed = returning !== undefined
    this.#attach(member, link)
    member.connection = handshake.connection ?? member.connection + 1
    this.#welcome(member, link)
    this.#neighbours.announce(member)
    if (isNew) this.#options.onRoom(room.name, handshake.secret)
    return member
  }

  /** Relays a message to a peer of the same room. */
  signal(from: Member, [number, to, message, after]: Signal, answer: Answer): void {
    const signal: ForwardedSignal = { room: from.room.name, from: from.info.id, to, number, after, message }
    const remote = this.#neighbours.room(from.room.name)?.members.get(to)
    if (from.room.members.has(to) || remote === undefined) {
      this.onForwarded(signal, answer)
      return
    }
    const key = signalKey(to, number)
    if (from.forwarded.size >= this.#options.heldMessages && !from.forwarded.has(key)) {
      answer(errorBody('ERR_SIGNALING_OVERFLOW', `Too much waits to be delivered from ${from.info.id}.`))
      return
    }
    from.forwarded.set(key, answer)
    this.#neighbours.forward(remote, signal)
  }

  /** The connection broke: keeps the place for a while. */
  detach(member: Member, link: Link): void {
    if (member.link !== link) return
    member.link = undefined
    member.forwarded.clear() // nobody is left to be answered; the client asks again
    clearTimeout(member.renewal)
    member.held = setTimeout(() => this.leave(member, 'vanished'), this.#options.resumeGrace)
  }

  leave(member: Member, reason: 'left' | 'vanished'): void {
    if (!this.#remove(member)) return
    this.#options.onLeave(member, reason)
    this.#neighbours.retract(member, reason)
    this.#tellOfLeft(member.room, member.info.id, reason)
  }

  /** The connections of all members, in the order in which their rooms were opened. */
  links(): Link[] {
    return [...this.#rooms.values()].flatMap(({ members }) =>
      [...members.values()].flatMap(({ link }) => (link === undefined ? [] : [link])),
    )
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

  all(): Iterable<Room> {
    return this.#rooms.values()
  }

  room(name: string): Room | undefined {
    return this.#rooms.get(name)
  }

  onRemoteJoined(name: string, { info }: RemoteMember): void {
    const room = this.#rooms.get(name)
    for (const member of [...(room?.members.values() ?? [])]) this.#tell(member, { type: 'joined', peer: info })
  }

  onRemoteLeft(name: string, id: string, reason: 'left' | 'vanished'): void {
    const room = this.#rooms.get(name)
    if (room !== undefined) this.#tellOfLeft(room, id, reason)
  }

  yield(member: Member): void {
    const { link } = member
    if (!this.#remove(member)) return
    link?.end(errorBody('ERR_SIGNALING_REPLACED', 'Another connection with the same resume token has taken over.'))
  }

  evict(room: Room): void {
    for (const member of [...room.members.values()]) {
      const { link } = member
      this.leave(member, 'vanished')
      link?.end(errorBody('ERR_SIGNALING_SECRET', `Room ${room.name} was opened before, with another secret.`))
    }
  }

  askAgain(): void {
    for (const { name, members } of this.#rooms.values()) {
      const elsewhere = this.#neighbours.room(name)?.members
      for (const member of [...members.values()]) {
        const receivers = new Set([...member.forwarded.keys()].map(receiverOf))
        for (const id of receivers) {
          const info = elsewhere?.get(id)?.info
          if (info !== undefined) this.#tell(member, { type: 'joined', peer: info })
        }
      }
    }
  }

  onForwarded({ room, from, to, number, after, message }: ForwardedSignal, answer: Answer): void {
    const receiver = this.#rooms.get(room)?.members.get(to)
    if (receiver === undefined && to !== from && !this.#neighbours.settled) return
    if (receiver === undefined || to === from) {
      answer(errorBody('ERR_SIGNALING_PEER', `There is no other peer ${JSON.stringify(to)} in this room.`))
      return
    }
    const key = signalKey(from, number)
    if (receiver.answers.has(key)) {
      receiver.answers.set(key, answer) // it has been sent again: the latest is who is to be told
      return
    }
    const entry = receiver.outbox.add({ type: 'signal', from, message, number, after }, SIGNAL_SHARE)
    if (entry === undefined) {
      answer(errorBody('ERR_SIGNALING_OVERFLOW', `Too much waits to be delivered to ${to}.`))
      return
    }
    receiver.answers.set(key, answer)
    deliver(receiver, entry)
  }

  onAnswer(room: string, from: string, to: string, number: number, error: ErrorBody | null): void {
    const sender = this.#rooms.get(room)?.members.get(from)
    const key = signalKey(to, number)
    const answer = sender?.forwarded.get(key)
    sender?.forwarded.delete(key)
    answer?.(error)
  }

  #refuse(link: Link, handshake: Handshake): ErrorBody | undefined {
    const { rooms, peersPerRoom } = this.#options
    const room = this.#rooms.get(handshake.room)
    const elsewhere = this.#neighbours.room(handshake.room)
    const secretHash = room?.secretHash ?? elsewhere?.secretHash ?? this.#demandedHash(handshake)
    const refusal = this.#secrets.refuse(link.address, handshake, secretHash)
    if (refusal !== undefined) return refusal
    const id = peerId(handshake)
    const known = room?.members.get(id) ?? elsewhere?.members.get(id)
    if (known !== undefined && handshake.connection !== undefined && handshake.connection < known.connection) {
      return errorBody('ERR_SIGNALING_REPLACED', 'A later connection with the same resume token is here already.')
    }
    if (room === undefined && this.#rooms.size >= rooms) {
      return errorBody('ERR_SIGNALING_SERVER_FULL', `This server has its ${rooms} rooms already.`)
    }
    if (known !== undefined || this.peersIn(handshake.room) < peersPerRoom) return undefined
    return errorBody('ERR_SIGNALING_ROOM_FULL', `Room ${handshake.room} has its ${peersPerRoom} peers already.`)
  }

  #demandedHash(handshake: Handshake): Buffer {
    return hashSecret(this.#options.secretFor(handshake.room) ?? handshake.secret ?? '')
  }

  #open(handshake: Handshake): Room {
    const name = handshake.room
    const elsewhere = this.#neighbours.room(name)
    const room: Room = {
      name,
      secretHash: elsewhere?.secretHash ?? this.#demandedHash(handshake),
      opened: elsewhere?.opened ?? Date.now(),
      members: new Map(),
    }
    this.#rooms.set(name, room)
    return room
  }

  #admit(room: Room, id: string, handshake: Handshake): Member {
    const { heldMessages, heldSize } = this.#options
    const former = room.members.get(id)
    const elsewhere = this.#neighbours.room(room.name)?.members.get(id)
    const joined = (former ?? elsewhere)?.info.joined ?? this.#arrival(room, handshake)
    const info = { id, agent: handshake.agent, joined }
    const member: Member = {
      info,
      room,
      outbox: new Outbox<RoomEvent>({ entries: heldMessages, size: heldSize }),
      numbering: randomBytes(9).toString('base64url'),
      answers: new Map(),
      forwarded: new Map(),
      connection: (former ?? elsewhere)?.connection ?? 0,
      link: former?.link,
      resumed: false,
      held: undefined,
      renewal: undefined,
    }
    if (former === undefined) this.#peers += 1
    else {
      stopTimers(former)
      former.link = undefined // it is the new one's to end
    }
    for (const other of [...room.members.values()]) {
      if (other !== former) this.#tell(other, { type: 'joined', peer: info })
    }
    room.members.set(id, member)
    return member
  }

  /** After everybody who is there; who has been in this room before knows where it stood. */
  #arrival(room: Room, { joined }: Handshake): number {
    const now = Date.now()
    if (joined !== undefined && joined <= now) return joined
    return this.#present(room).reduce((latest, { joined: other }) => Math.max(latest, other + 1), now)
  }

  /** At all servers. */
  #present({ name, members }: Room): PeerInfo[] {
    const elsewhere = this.#neighbours.room(name)?.members.values() ?? []
    return [...members.values(), ...elsewhere].map(({ info }) => info)
  }

  #attach(member: Member, link: Link): void {
    clearTimeout(member.held)
    member.held = undefined
    const former = member.link
    member.link = link
    former?.end(errorBody('ERR_SIGNALING_REPLACED', 'Another connection with the same resume token has taken over.'))
  }

  #welcome(member: Member, link: Link): void {
    const { info, room, resumed, numbering, outbox } = member
    const peers = this.#present(room).filter(({ id }) => id !== info.id)
    const iceServers = this.#supply(member)
    const { resumeGrace, relay } = this.#options
    link.welcome({ self: info, peers, resumed, numbering, resumeGrace, relay, ...(iceServers && { iceServers }) })
    for (const entry of outbox.pending()) deliver(member, entry)
  }

  /** `false`: it had been removed before. */
  #remove(member: Member): boolean {
    const { room, info } = member
    stopTimers(member)
    member.link = undefined
    if (room.members.get(info.id) !== member) return false
    room.members.delete(info.id)
    this.#peers -= 1
    if (room.members.size === 0) this.#rooms.delete(room.name)
    return true
  }

  #tellOfLeft(room: Room, id: string, reason: 'left' | 'vanished'): void {
    const gone = errorBody('ERR_SIGNALING_PEER', `The peer ${JSON.stringify(id)} has left this room.`)
    for (const other of [...room.members.values()]) {
      for (const [key, answer] of other.forwarded) {
        if (receiverOf(key) !== id) continue
        other.forwarded.delete(key)
        answer(gone)
      }
      this.#tell(other, { type: 'left', id, reason })
    }
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

/** Unless the client's numbers are those of another connection: events would pass for repetitions. */
function resumable(member: Member | undefined, { numbering }: Handshake): Member | undefined {
  return numbering === undefined || member?.numbering === numbering ? member : undefined
}

function deliver(member: Member, entry: OutboxEntry<RoomEvent>): void {
  member.link?.deliver(entry, (taken = true) => {
    const event = member.outbox.acknowledge(entry.number)
    if (event?.type !== 'signal' || event.number === undefined) return
    const key = signalKey(event.from, event.number)
    const answer = member.answers.get(key)
    member.answers.delete(key)
    if (taken) answer?.(null)
  })
}

function stopTimers({ held, renewal }: Member): void {
  clearTimeout(held)
  clearTimeout(renewal)
}
