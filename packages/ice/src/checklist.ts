import type { Address, Packet } from '@floe/stun'
import { addressFamily, sameAddress } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { addressScope } from './candidate.ts'
import { Pair } from './candidate-pair.ts'
import { LIMITS } from './defaults.ts'
import type { IceRole } from './parameters.ts'

export type PacketPath = Pick<Packet, 'protocol' | 'local' | 'remote'>

/** RFC 8445 §6.1.2 for one component: pairs in order of priority, and the queue of triggered checks. */
export class Checklist {
  // Replaced rather than added to: an array that has grown keeps room for sixteen more.
  pairs: readonly Pair[] = []
  /** A direct UDP path carries data: connections over TCP would cost both ends sockets, and bring nothing while it lives. */
  restsTcp = false
  readonly #triggered: Pair[] = []
  readonly #idPrefix: string
  #nextId = 0

  constructor(idPrefix: string) {
    this.#idPrefix = idPrefix
  }

  /** Whether two candidates may form a pair at all, RFC 8445 §6.1.2.2. `translated`: the local one reaches IPv4 as well. */
  static canPair(local: Candidate, remote: Candidate, translated = false): boolean {
    if (local.component !== remote.component || local.protocol !== remote.protocol || remote.address.port === 0)
      return false
    // RFC 6544 §6.2: of two ends one connects; the other learns of the pair when that arrives.
    if (local.protocol === 'tcp' && (local.tcpType !== 'active' || remote.tcpType !== 'passive')) return false
    const family = addressFamily(remote.address.ip)
    if (translated && family === 4 && local.protocol === 'udp') return true
    if (!family || addressFamily(local.address.ip) !== family) return false
    return family === 4 || isLinkLocal(local) === isLinkLocal(remote)
  }

  /**
   * Adds the pair unless its path is there already (RFC 8445 §6.1.2.4: a local candidate stands for its base, so only
   * bases are given here) or the list is full of better ones. A worse pair that was not tried yet makes room, and is
   * given to `onforgotten`.
   */
  add(
    local: Candidate,
    remote: Candidate,
    role: IceRole,
    base: Address | undefined,
    onforgotten: (pair: Pair) => void,
  ): Pair | undefined {
    const pair = new Pair(`${this.#idPrefix}${this.#nextId}`, local, remote, role, base)
    if (this.find({ protocol: local.protocol, local: pair.base, remote: pair.destination })) return undefined
    if (this.pairs.length >= LIMITS.pairs && !this.#makeRoom(pair.priority, onforgotten)) return undefined
    this.#nextId++
    this.#insert(pair)
    const isTried = (other: Pair) =>
      other !== pair && (other.state === 'waiting' || other.state === 'in-progress') && other.sharesFoundation(pair)
    pair.state = this.pairs.some(isTried) ? 'frozen' : 'waiting'
    return pair
  }

  /** The pair of a packet's path. */
  find({ protocol, local, remote }: PacketPath): Pair | undefined {
    for (const pair of this.pairs) {
      const { destination } = pair
      if (destination.port !== remote.port || destination.ip !== remote.ip) continue
      if (sameAddress(pair.base, local) && pair.local.protocol === protocol) return pair
    }
    return undefined
  }

  remove(gone: (pair: Pair) => boolean): Pair[] {
    const removed = this.pairs.filter(gone)
    if (removed.length > 0) this.pairs = this.pairs.filter((pair) => !removed.includes(pair))
    for (const pair of removed) this.untrigger(pair)
    return removed
  }

  /** A role switch or a new remote candidate changes priorities, RFC 8445 §7.3.1.1. */
  reprioritise(role: IceRole): void {
    for (const pair of this.pairs) pair.updatePriority(role)
    this.pairs = this.pairs.toSorted(byPriority)
  }

  /** RFC 8445 §7.3.1.4. A pair stands in the queue once, however often it is triggered. */
  trigger(pair: Pair): void {
    pair.state = 'waiting'
    if (this.#triggered.includes(pair)) return
    pair.triggers++
    this.#triggered.push(pair)
  }

  untrigger(pair: Pair): void {
    const index = this.#triggered.indexOf(pair)
    if (index >= 0) this.#triggered.splice(index, 1)
  }

  /** The next pair whose first triggered check may leave at once; the others wait for the pace of RFC 8445 §14. */
  takeUrgent(): Pair | undefined {
    const pair = this.#triggered.find(({ triggers }) => triggers === 1)
    if (pair) this.untrigger(pair)
    return pair
  }

  /** RFC 8445 §6.1.4.2: the triggered queue; the best waiting pair; the best frozen one none of whose foundation is on its way. */
  nextOrdinary(): Pair | undefined {
    if (this.#triggered.length > 0) return this.#triggered[0]
    // Asked after every packet: as a rule nothing waits and nothing is frozen, and that must cost next to nothing.
    let isAnyFrozen = false
    for (const pair of this.pairs) {
      if (pair.state === 'waiting' && !this.#rests(pair)) return pair
      isAnyFrozen ||= pair.state === 'frozen'
    }
    if (!isAnyFrozen) return undefined
    return this.pairs.find((pair) => pair.state === 'frozen' && !this.#isBusy(pair) && !this.#rests(pair))
  }

  #isBusy(frozen: Pair): boolean {
    for (const pair of this.pairs) if (pair.state === 'in-progress' && pair.sharesFoundation(frozen)) return true
    return false
  }

  get hasOrdinary(): boolean {
    return this.nextOrdinary() !== undefined
  }

  /** RFC 8445 §7.2.5.3.3: success of one pair thaws its foundation. */
  unfreeze(valid: Pair): void {
    for (const pair of this.pairs) if (pair.state === 'frozen' && pair.sharesFoundation(valid)) pair.state = 'waiting'
  }

  /** How many pairs compete for the pace, for the RTO of RFC 8445 §14.3. */
  get active(): number {
    let count = 0
    for (const { state } of this.pairs) if (state === 'waiting' || state === 'in-progress') count++
    return count
  }

  /** No check is under way or to come that anybody waits for. */
  get finished(): boolean {
    const isDone = ({ state, forlorn }: Pair) => state === 'succeeded' || state === 'failed' || forlorn
    return this.pairs.every((pair) => isDone(pair) || this.#rests(pair))
  }

  #rests({ local, state }: Pair): boolean {
    return this.restsTcp && local.protocol === 'tcp' && state !== 'in-progress'
  }

  #insert(pair: Pair): void {
    const index = this.pairs.findIndex((other) => other.priority < pair.priority)
    this.pairs = this.pairs.toSpliced(index < 0 ? this.pairs.length : index, 0, pair)
  }

  #makeRoom(priority: bigint, onforgotten: (pair: Pair) => void): boolean {
    const spare = (pair: Pair) => !pair.selected && pair.state !== 'succeeded' && pair.state !== 'in-progress'
    const victim = this.pairs.findLast((pair) => pair.state === 'failed') ?? this.pairs.findLast(spare)
    if (!victim || (victim.state !== 'failed' && victim.priority >= priority)) return false
    this.remove((pair) => pair === victim)
    onforgotten(victim)
    return true
  }
}

function byPriority(a: Pair, b: Pair): number {
  return a.priority > b.priority ? -1 : a.priority < b.priority ? 1 : 0
}

function isLinkLocal(candidate: Candidate): boolean {
  return addressScope((candidate.base ?? candidate.address).ip) === 'link-local'
}
