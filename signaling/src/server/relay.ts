import type { ErrorBody } from '../protocol.ts'
import { errorBody } from '../protocol.ts'
import type { Link, Member } from './rooms.ts'

export interface RelayLimits {
  /** Bytes per second that one connection, and one room, may relay in the long run. 0: none, there is no relay. */
  readonly relayBytesPerSecond: number
  readonly roomRelayBytesPerSecond: number
}

/** What may be unanswered of one sender before frames are refused: twice what clients leave unanswered, in bytes. */
const MAX_UNANSWERED = 262_144

/** What may be unacknowledged by one receiver, in bytes: it waits in this process for a slow connection. */
const MAX_UNACKNOWLEDGED = 1_048_576

/** What a frame costs at least, in bytes, so that many small ones are no way around the limits. */
const LEAST_COST = 256

/** In seconds of its rate: what a meter lets through before it slows anybody down. */
const BURST = 1

/** Relays frames between members of a room, and slows down who sends more than the limits allow, by answering late. */
export class FrameRelay {
  readonly #limits: RelayLimits
  /** Of connections and rooms. Weak: they go with what they belong to. */
  readonly #meters = new WeakMap<object, Meter>()
  readonly #unanswered = new WeakMap<Member, number>()
  readonly #unacknowledged = new WeakMap<Link, number>()

  constructor(limits: RelayLimits) {
    this.#limits = limits
  }

  get isOffered(): boolean {
    return this.#limits.relayBytesPerSecond > 0 && this.#limits.roomRelayBytesPerSecond > 0
  }

  /** Calls `answered` once, when the sender may go on. Returns why not, when the frame is refused. */
  relay(now: number, from: Member, to: string, frame: Uint8Array, answered: () => void): ErrorBody | undefined {
    const receiver = from.room.members.get(to)
    const cost = Math.max(frame.length, LEAST_COST)
    const refusal = this.#refuse(from, receiver, cost)
    if (refusal !== undefined) return refusal
    this.#forward(from.info.id, receiver!.link!, frame, cost)
    const { relayBytesPerSecond, roomRelayBytesPerSecond } = this.#limits
    const delay = Math.max(
      this.#meter(from, relayBytesPerSecond).spend(now, cost),
      this.#meter(from.room, roomRelayBytesPerSecond).spend(now, cost),
    )
    if (delay === 0) {
      answered()
      return undefined
    }
    add(this.#unanswered, from, cost)
    setTimeout(() => {
      add(this.#unanswered, from, -cost)
      answered()
    }, delay).unref()
    return undefined
  }

  #refuse(from: Member, receiver: Member | undefined, cost: number): ErrorBody | undefined {
    if (!this.isOffered) return errorBody('ERR_SIGNALING_RATE', 'This server relays no frames.')
    if (receiver?.link === undefined || receiver === from) {
      return errorBody('ERR_SIGNALING_PEER', 'That peer is not connected to this room at the moment.')
    }
    if ((this.#unanswered.get(from) ?? 0) + cost > MAX_UNANSWERED) {
      return errorBody('ERR_SIGNALING_RATE', 'Frames come faster than they may be relayed.')
    }
    if ((this.#unacknowledged.get(receiver.link) ?? 0) + cost <= MAX_UNACKNOWLEDGED) return undefined
    return errorBody('ERR_SIGNALING_OVERFLOW', 'That peer takes frames more slowly than they come.')
  }

  #forward(from: string, link: Link, frame: Uint8Array, cost: number): void {
    add(this.#unacknowledged, link, cost)
    let isAcknowledged = false
    link.relay(from, frame, () => {
      if (!isAcknowledged) add(this.#unacknowledged, link, -cost)
      isAcknowledged = true
    })
  }

  #meter(of: object, perSecond: number): Meter {
    const known = this.#meters.get(of)
    if (known !== undefined) return known
    const meter = new Meter(perSecond)
    this.#meters.set(of, meter)
    return meter
  }
}

function add<Key extends object>(sums: WeakMap<Key, number>, key: Key, amount: number): void {
  sums.set(key, (sums.get(key) ?? 0) + amount)
}

/** How far somebody is ahead of a rate. */
class Meter {
  readonly #perSecond: number
  #paidUntil = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Milliseconds until the rate has caught up. */
  spend(now: number, amount: number): number {
    this.#paidUntil = Math.max(this.#paidUntil, now - BURST * 1000) + (amount / this.#perSecond) * 1000
    return Math.max(0, Math.ceil(this.#paidUntil - now))
  }
}
