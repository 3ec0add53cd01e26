import { isStun } from '@floe/stun'
import type { LinkQuality, LossBursts } from '../topology/behavior.ts'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'
import type { Datagram } from './trace.ts'

/** Milliseconds for which a reordered packet is held back: longer than Ta, so that checks paced after it overtake it. */
export const REORDER_DELAY = 60

/** Milliseconds by which the copy of a duplicated packet comes later. */
const DUPLICATE_DELAY = 1

const UDP_HEADER = 8
const IP_HEADER = { 4: 20, 6: 40 }

/** One direction of a wire. `quality` may change while packets fly: it applies to those that enter afterwards. */
export class Link {
  quality: LinkQuality
  readonly #clock: Clock
  readonly #makeRandom: () => Random
  /** Made when something is left to chance: most wires are perfect. */
  #itsRandom: Random | undefined
  #lastArrival = 0
  /** A change is due at once: whoever looks first ends an imagined burst of before. */
  #inBurst = true
  #nextChange = 0

  constructor(clock: Clock, makeRandom: () => Random, quality: LinkQuality) {
    this.#clock = clock
    this.#makeRandom = makeRandom
    this.quality = quality
  }

  /** Carries one packet: calls `arrive` never, once or twice. Returns why it was lost. */
  carry(datagram: Datagram, arrive: (datagram: Datagram) => void): string | undefined {
    const lost = this.#loses(datagram)
    if (lost !== undefined) return lost
    const time = this.#arrival(datagram.tcp)
    // Always as an event of its own, also without latency: a socket never calls its owner from within send().
    this.#clock.hand(time, arrive, datagram)
    if (!datagram.tcp && this.#chance(this.quality.duplicate))
      this.#clock.hand(time + DUPLICATE_DELAY, arrive, datagram)
    return undefined
  }

  #loses(datagram: Datagram): string | undefined {
    const { loss, bursts, drops, mtu } = this.quality
    if (drops === 'all') return 'link down'
    if (datagram.tcp) return undefined
    if (drops === 'data' && !isStun(datagram.bytes)) return 'data black hole'
    if (mtu !== undefined && sizeOf(datagram) > mtu) return `larger than ${mtu}`
    if (this.#chance(loss)) return 'random loss'
    return bursts && this.#isBurst(bursts) && this.#chance(bursts.loss) ? 'burst loss' : undefined
  }

  get #random(): Random {
    return (this.#itsRandom ??= this.#makeRandom())
  }

  #chance(probability = 0): boolean {
    return probability > 0 && this.#random.chance(probability)
  }

  #isBurst({ every, lasting }: LossBursts): boolean {
    while (this.#nextChange <= this.#clock.now) {
      this.#inBurst = !this.#inBurst
      this.#nextChange += this.#random.exponential(this.#inBurst ? lasting : every)
    }
    return this.#inBurst
  }

  #arrival(inOrder: boolean): number {
    const { latency = 0, jitter = 0, reorder } = this.quality
    const soonest = this.#clock.now + latency + (jitter > 0 ? jitter * this.#random.fraction() : 0)
    if (!inOrder && this.#chance(reorder)) return soonest + REORDER_DELAY
    this.#lastArrival = Math.max(this.#lastArrival, soonest)
    return this.#lastArrival
  }
}

/** Of an IP address that is one, as all are here: the core's `isIPv6` reads every digit, for each packet at each hop. */
export function isV6(ip: string): boolean {
  return ip.includes(':')
}

/** Bytes of the IP packet. */
function sizeOf({ bytes, destination }: Datagram): number {
  return bytes.length + UDP_HEADER + IP_HEADER[isV6(destination.ip) ? 6 : 4]
}
