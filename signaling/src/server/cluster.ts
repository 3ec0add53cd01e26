/**
 * Several signaling servers as one. Each holds the connections of its own members and knows those of all others (`Roster`):
 * servers tell each other who comes and goes, and every two seconds a digest of what they have, so that what was missed is
 * noticed and asked for. There is no other store, so there is none to restore: Redis may come back empty, and while it is
 * gone, rooms go on with those who are at the same server. Signals need no store either, see `RoomEvent`.
 */
import type { Bus, ClusterMessage, MemberRecord, RoomRecord } from './bus.ts'
import type { Log } from './log.ts'
import type { Member, Room } from './member.ts'
import type { ForwardedFrame, ForwardedSignal, LocalRooms, Neighbours, RemoteMember, RemoteRoom } from './neighbours.ts'
import { Roster, tallyOf } from './roster.ts'

/** Milliseconds. `dead`: three missed; a server that was only slow comes back with its next word. */
const BEAT = { interval: 2_000, dead: 6_000 } as const

/** After a connection to the others, in ms: who is unknown until then may just not be known yet. */
const SETTLE = 3_000

/** How long starting waits for the others' members, in ms. */
const GREETING = 2_000

/** Rooms in one message. */
const ROOMS_PER_PART = 256

/** Beats in a row with a wrong digest: one may be a move between servers that one of them has not heard of yet. */
const MISMATCHES = 2

interface Server {
  heard: number
  lost: boolean
  mismatches: number
  /** Whether all of its members have been told since we know it. */
  complete: boolean
  collected: { readonly id: number; readonly parts: Set<number>; readonly seen: Set<string> } | undefined
}

export interface ClusterOptions {
  /** How long the members of a server that died are held, in ms. */
  readonly resumeGrace: number
  readonly log: Log
  /** A frame for a member at this server, if it is still here. */
  readonly onframe: (frame: ForwardedFrame) => void
}

export class Cluster implements Neighbours {
  readonly #bus: Bus
  readonly #options: ClusterOptions
  readonly #roster = new Roster()
  readonly #servers = new Map<string, Server>()
  #beat: ReturnType<typeof setInterval> | undefined
  #rooms!: LocalRooms
  #settledAt = performance.now() + SETTLE
  #lists = 0
  #listing: ReturnType<typeof setTimeout> | undefined
  #oncomplete: (() => void) | undefined

  constructor(bus: Bus, options: ClusterOptions) {
    this.#bus = bus
    this.#options = options
  }

  /** Other servers that are alive. */
  get servers(): number {
    return [...this.#servers.values()].filter(({ lost }) => !lost).length
  }

  /** Members at other servers. */
  get peers(): number {
    return this.#roster.size
  }

  get connected(): boolean {
    return this.#bus.connected
  }

  get settled(): boolean {
    return this.#bus.connected && performance.now() >= this.#settledAt
  }

  /** Begins to talk; resolves when the others have told who is there, or after a while. */
  async start(rooms: LocalRooms): Promise<void> {
    this.#rooms = rooms
    this.#beat = setInterval(() => this.#onbeat(), BEAT.interval)
    this.#bus.onmessage = (from, message) => this.#onmessage(from, message)
    this.#bus.onreconnected = () => this.#onreconnected()
    const expected = await this.#bus.others()
    this.#bus.post({ type: 'want' })
    this.#post()
    if (expected === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GREETING)
      this.#oncomplete = () => {
        if ([...this.#servers.values()].filter(({ complete }) => complete).length < (expected ?? 1)) return
        clearTimeout(timer)
        resolve()
      }
      this.#oncomplete()
    })
    this.#oncomplete = undefined
  }

  async close(): Promise<void> {
    clearInterval(this.#beat)
    clearTimeout(this.#listing)
    this.#bus.post({ type: 'bye' })
    this.#bus.onmessage = () => {}
    this.#bus.onreconnected = () => {}
    await this.#bus.close()
  }

  room(name: string): RemoteRoom | undefined {
    return this.#roster.room(name)
  }

  announce(member: Member): void {
    this.#roster.delete(member.room.name, member.info.id)
    this.#bus.post({ type: 'join', room: recordOf(member.room, [member]) })
  }

  retract(member: Member, reason: 'left' | 'vanished'): void {
    const { room, info, connection } = member
    this.#bus.post({ type: 'leave', room: room.name, id: info.id, connection, reason })
  }

  forward({ server }: RemoteMember, signal: ForwardedSignal): void {
    this.#bus.post({ type: 'signal', to: server, signal })
  }

  forwardFrame({ server }: RemoteMember, frame: ForwardedFrame): void {
    this.#bus.post({ type: 'frame', to: server, frame })
  }

  #onmessage(from: string, message: ClusterMessage): void {
    const server = this.#hear(from)
    if ('to' in message && message.to !== undefined && message.to !== this.#bus.id) return
    switch (message.type) {
      case 'alive':
        return this.#onalive(from, server, message)
      case 'want':
        return this.#list()
      case 'all':
        return this.#onall(from, server, message)
      case 'join':
        for (const member of message.room.members) this.#onjoin(from, message.room, member)
        return
      case 'leave':
        return this.#onleave(message)
      case 'bye':
        server.heard = performance.now() - BEAT.dead // held like those of one that died, from now on
        return this.#lose(from, server, 'left')
      case 'signal':
        return this.#onsignal(from, message.signal)
      case 'frame':
        return this.#options.onframe(message.frame)
      case 'answer':
        return this.#rooms.onAnswer(message.room, message.from, message.receiver, message.number, message.error)
    }
  }

  #hear(from: string): Server {
    const known = this.#servers.get(from)
    const server = known ?? { heard: 0, lost: true, mismatches: 0, complete: false, collected: undefined }
    server.heard = performance.now()
    if (server.lost) this.#options.log({ level: 'info', event: 'cluster', state: 'server-found', server: from })
    server.lost = false
    if (known !== undefined) return known
    this.#servers.set(from, server)
    this.#bus.post({ type: 'want', to: from })
    return server
  }

  #onalive(from: string, server: Server, { count, digest }: { count: number; digest: number }): void {
    const known = this.#roster.tally(from)
    server.mismatches = known.count === count && known.digest === digest ? 0 : server.mismatches + 1
    if (server.mismatches >= MISMATCHES) this.#bus.post({ type: 'want', to: from })
  }

  #onall(from: string, server: Server, message: Extract<ClusterMessage, { type: 'all' }>): void {
    if (server.collected?.id !== message.id) {
      server.collected = { id: message.id, parts: new Set(), seen: new Set() }
    }
    const { parts, seen } = server.collected
    parts.add(message.part)
    for (const room of message.rooms) {
      for (const member of room.members) {
        seen.add(`${room.name} ${member[0]}`)
        this.#onjoin(from, room, member)
      }
    }
    if (parts.size < message.parts) return
    for (const [room, id] of this.#roster.of(from)) {
      if (!seen.has(`${room} ${id}`)) this.#forget(room, id, 'vanished')
    }
    server.collected = undefined
    server.complete = true
    this.#oncomplete?.()
  }

  #onjoin(from: string, record: RoomRecord, [id, agent, joined, connection]: MemberRecord): void {
    const secretHash = Buffer.from(record.secret, 'base64')
    if (!this.#agrees(from, record, secretHash)) return
    const mine = this.#rooms.room(record.name)?.members.get(id)
    if (mine !== undefined) {
      const ours = mine.connection > connection || (mine.connection === connection && this.#bus.id < from)
      if (ours) return this.announce(mine) // it has left that server, which does not know yet
      this.#rooms.yield(mine)
    }
    const known = this.#roster.room(record.name)?.members.get(id)
    if (known !== undefined && known.server !== from && known.connection > connection) return
    const member: RemoteMember = { info: { id, agent, joined }, server: from, connection }
    this.#roster.put(record.name, secretHash, record.opened, member)
    const isNews = known?.server !== from || known.connection !== connection
    if (isNews) this.#rooms.onRemoteJoined(record.name, member)
  }

  /** Two servers that did not know of each other may have let people open one room with two secrets: the first one counts. */
  #agrees(from: string, { name, opened }: RoomRecord, secretHash: Buffer): boolean {
    const mine = this.#rooms.room(name)
    if (mine !== undefined && !mine.secretHash.equals(secretHash)) {
      if (mine.opened < opened || (mine.opened === opened && this.#bus.id < from)) {
        for (const member of mine.members.values()) this.announce(member)
        return false
      }
      this.#rooms.evict(mine)
    }
    const others = this.#roster.room(name)
    if (others === undefined || others.secretHash.equals(secretHash)) return true
    if (others.opened <= opened) return false
    for (const id of [...others.members.keys()]) this.#forget(name, id, 'vanished')
    return true
  }

  #onleave({ room, id, connection, reason }: Extract<ClusterMessage, { type: 'leave' }>): void {
    const known = this.#roster.room(room)?.members.get(id)
    if (known !== undefined && known.connection <= connection) this.#forget(room, id, reason)
  }

  /** Who is not here (any more, or yet) is not answered for: its own server, or the one that it comes to, will. */
  #onsignal(from: string, signal: ForwardedSignal): void {
    if (!this.#rooms.room(signal.room)?.members.has(signal.to)) return
    this.#rooms.onForwarded(signal, (error) => {
      const { room, from: sender, to: receiver, number } = signal
      this.#bus.post({ type: 'answer', to: from, room, from: sender, receiver, number, error })
    })
  }

  #forget(room: string, id: string, reason: 'left' | 'vanished'): void {
    if (this.#roster.delete(room, id) !== undefined) this.#rooms.onRemoteLeft(room, id, reason)
  }

  #onreconnected(): void {
    this.#settledAt = performance.now() + SETTLE
    this.#options.log({ level: 'info', event: 'cluster', state: 'reconnected' })
    this.#list()
    this.#bus.post({ type: 'want' })
    this.#rooms.askAgain()
  }

  #onbeat(): void {
    const now = performance.now()
    this.#post()
    for (const [id, server] of this.#servers) {
      // Who cannot be heard is not dead for that.
      if (!this.#bus.connected) server.heard = Math.max(server.heard, now - (server.lost ? BEAT.dead : 0))
      const silence = now - server.heard
      if (silence >= BEAT.dead) this.#lose(id, server, 'lost')
      if (silence < BEAT.dead + this.#options.resumeGrace) continue
      this.#servers.delete(id)
      for (const [room, member] of this.#roster.of(id)) this.#forget(room, member, 'vanished')
    }
  }

  #lose(id: string, server: Server, how: 'left' | 'lost'): void {
    if (server.lost) return
    server.lost = true
    const members = this.#roster.tally(id).count
    this.#options.log({
      level: how === 'left' ? 'info' : 'warn',
      event: 'cluster',
      state: `server-${how}`,
      server: id,
      members,
    })
  }

  #post(): void {
    const tally = tallyOf(this.#own())
    this.#bus.post({ type: 'alive', ...tally })
  }

  *#own(): Iterable<[string, MemberRecord]> {
    for (const room of this.#rooms.all()) {
      for (const member of room.members.values()) yield [room.name, memberRecord(member)]
    }
  }

  /** Tells everybody of all our members: once for all who ask at about the same time. */
  #list(): void {
    this.#listing ??= setTimeout(() => {
      this.#listing = undefined
      const rooms = [...this.#rooms.all()].map((room) => recordOf(room, [...room.members.values()]))
      const parts = Math.max(1, Math.ceil(rooms.length / ROOMS_PER_PART))
      const id = ++this.#lists
      for (let part = 0; part < parts; part++) {
        const some = rooms.slice(part * ROOMS_PER_PART, (part + 1) * ROOMS_PER_PART)
        this.#bus.post({ type: 'all', id, part, parts, rooms: some })
      }
    }, 50)
  }
}

function recordOf(room: Room, members: readonly Member[]): RoomRecord {
  const { name, secretHash, opened } = room
  return { name, secret: secretHash.toString('base64'), opened, members: members.map(memberRecord) }
}

function memberRecord({ info, connection }: Member): MemberRecord {
  return [info.id, info.agent, info.joined, connection]
}
