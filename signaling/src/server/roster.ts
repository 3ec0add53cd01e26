import type { MemberRecord } from './bus.ts'
import type { RemoteMember } from './neighbours.ts'

interface Room {
  readonly secretHash: Buffer
  readonly opened: number
  readonly members: Map<string, RemoteMember>
}

/** What one server is known to have: enough to notice that something was missed. */
export interface Tally {
  count: number
  digest: number
}

/** Who is in which room at other servers, as far as they have told. */
export class Roster {
  readonly #rooms = new Map<string, Room>()
  readonly #tallies = new Map<string, Tally>()
  #size = 0

  /** Members, of all rooms. */
  get size(): number {
    return this.#size
  }

  room(name: string): Room | undefined {
    return this.#rooms.get(name)
  }

  tally(server: string): Readonly<Tally> {
    return this.#tallies.get(server) ?? { count: 0, digest: 0 }
  }

  /** Takes the place of what was known of this member. */
  put(name: string, secretHash: Buffer, opened: number, member: RemoteMember): void {
    this.delete(name, member.info.id)
    const room: Room = this.#rooms.get(name) ?? { secretHash, opened, members: new Map() }
    this.#rooms.set(name, room)
    room.members.set(member.info.id, member)
    this.#count(name, member, 1)
  }

  delete(name: string, id: string): RemoteMember | undefined {
    const room = this.#rooms.get(name)
    const member = room?.members.get(id)
    if (room === undefined || member === undefined) return undefined
    room.members.delete(id)
    if (room.members.size === 0) this.#rooms.delete(name)
    this.#count(name, member, -1)
    return member
  }

  /** Rooms and ids of the members of one server. */
  of(server: string): [room: string, id: string][] {
    const found: [string, string][] = []
    for (const [name, { members }] of this.#rooms) {
      for (const member of members.values()) if (member.server === server) found.push([name, member.info.id])
    }
    return found
  }

  #count(name: string, { server, info, connection }: RemoteMember, step: 1 | -1): void {
    const tally = this.#tallies.get(server) ?? { count: 0, digest: 0 }
    tally.count += step
    tally.digest ^= digestOf(name, info.id, connection)
    this.#size += step
    if (tally.count === 0) this.#tallies.delete(server)
    else this.#tallies.set(server, tally)
  }
}

/** Of a list of members, whatever its order. */
export function tallyOf(members: Iterable<readonly [room: string, member: MemberRecord]>): Tally {
  const tally = { count: 0, digest: 0 }
  for (const [room, [id, , , connection]] of members) {
    tally.count += 1
    tally.digest ^= digestOf(room, id, connection)
  }
  return tally
}

/** FNV-1a, 32 bits: against loss, not against malice. */
function digestOf(room: string, id: string, connection: number): number {
  const text = `${room} ${id} ${connection}`
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash | 0
}
