import type { Address } from '@floe/stun'
import { formatAddress } from '@floe/stun'
import { NO_ANSWER, type Outcome } from './exchanges.ts'
import type { Channel, Peer } from './peers.ts'
import { type Context, isTransient } from './permissions.ts'

/** Short headers for chosen peers: ChannelBind, RFC 8656 §12. */
export class Channels {
  readonly #context: Context
  /** By number, from FIRST_CHANNEL on. */
  readonly #byNumber: (Channel | undefined)[] = []
  /** By address: a peer that comes back must get the number that the server remembers. */
  readonly #byAddress = new Map<string, Channel>()
  #due = Number.POSITIVE_INFINITY

  constructor(context: Context) {
    this.#context = context
  }

  at(number: number): Channel | undefined {
    return this.#byNumber[number - FIRST_CHANNEL]
  }

  /** Wants a channel for this peer; `flush` asks for it. Without a free number the peer goes on without one. */
  want(now: number, peer: Peer): void {
    if (peer.channel) return
    const number = this.#numberFor(now, peer.address)
    if (number === undefined) return
    const never = Number.POSITIVE_INFINITY
    const channel: Channel = { number, peer, state: 'pending', asking: false, refreshAt: -never, expiresAt: -never }
    peer.channel = channel
    this.#byNumber[number - FIRST_CHANNEL] = channel
    this.#byAddress.set(formatAddress(peer.address), channel)
    this.#due = -never
  }

  /** No longer wanted. The number stays with its peer until the server has surely forgotten both. */
  release(now: number, peer: Peer): void {
    const { channel } = peer
    if (!channel) return
    const { channelLifetime, channelCooldown } = this.#context.timing
    // One that was asked for may have been bound without our hearing of it.
    channel.expiresAt = Math.max(channel.expiresAt, now + (channel.asking ? channelLifetime : 0)) + channelCooldown
    channel.state = 'idle'
    peer.channel = undefined
    this.#schedule()
  }

  /** Asks for all channels that are wanted or about to end. */
  flush(now: number): void {
    if (now < this.#due) return
    for (const channel of this.#byAddress.values()) {
      if (isWaiting(channel) && channel.refreshAt <= now) this.#ask(now, channel)
    }
    this.#schedule()
  }

  timeout(): number {
    return this.#due
  }

  /** Requests were dropped on the way: what they asked for is wanted still. */
  reset(): void {
    for (const channel of this.#byAddress.values()) channel.asking = false
    this.#schedule()
  }

  #ask(now: number, channel: Channel): void {
    channel.asking = true
    const { number, peer } = channel
    this.#context.request(
      now,
      'channelBind',
      { channelNumber: number, xorPeerAddress: [peer.address] },
      (then, outcome) => this.#answered(then, channel, outcome),
    )
  }

  #answered(now: number, channel: Channel, outcome: Outcome): void {
    channel.asking = false
    const { channelRefresh, channelLifetime, retry } = this.#context.timing
    if (channel.state === 'idle') return
    if (outcome.type === 'success') {
      channel.state = 'bound'
      channel.refreshAt = now + channelRefresh
      channel.expiresAt = now + channelLifetime
    } else if (isTransient(outcome.code) && now < channel.expiresAt) {
      channel.refreshAt = outcome.code === NO_ANSWER ? now : now + retry
    } else {
      // Send indications do the same with a longer header. The number is kept: after an ambiguous 400 or a lost answer
      // the server may use it all the same.
      channel.state = 'refused'
    }
    this.#schedule()
  }

  #numberFor(now: number, address: Address): number | undefined {
    const known = this.#byAddress.get(formatAddress(address))
    if (known) return known.number
    if (this.#byNumber.length < CHANNELS) return FIRST_CHANNEL + this.#byNumber.length
    const free = [...this.#byAddress.entries()].find(([, it]) => it.state === 'idle' && it.expiresAt <= now)
    if (!free) return undefined
    this.#byAddress.delete(free[0])
    return free[1].number
  }

  #schedule(): void {
    this.#due = Number.POSITIVE_INFINITY
    for (const channel of this.#byAddress.values()) {
      if (isWaiting(channel)) this.#due = Math.min(this.#due, channel.refreshAt)
    }
  }
}

/** RFC 8656 §12: 0x4000 to 0x4FFF. */
export const FIRST_CHANNEL = 0x4000
export const CHANNELS = 0x1000

/** It is wanted, and nobody's answer is being waited for. */
function isWaiting({ asking, state }: Channel): boolean {
  return !asking && (state === 'pending' || state === 'bound')
}
