/** What comes from one address, over all of its connections: counted, and bounded. */
import type { IncomingMessage } from 'node:http'
import { isIPv6, networkOf, withoutScope } from '@floe/stun'
import { Recent } from '../recent.ts'
import type { SignalingLimits } from './limits.ts'
import { TokenBucket } from './token-bucket.ts'

interface Usage {
  connections: number
  readonly arrivals: TokenBucket
  readonly messages: TokenBucket
  /** After floods: until when it may not come again, and for how long that was, in ms. */
  refusedUntil: number
  backOff: number
  /** Of being turned away in words: who goes on is not listened to any more. */
  refusals: TokenBucket | undefined
}

/** How often an address is told why it is turned away: per second in the long run, and at once. */
const REFUSALS = { perSecond: 10, burst: 20 } as const

/**
 * Milliseconds for which an address may make no new connection after connections of it had to be ended as floods: nothing for
 * the first, then twice as long each time. Whole offices share an address, and one of them may have a mistake in a program; so
 * it is never long, and forgotten after a while.
 */
const BACK_OFF = { first: 1_000, longest: 60_000, forgottenAfter: 300_000 } as const

/** How many addresses without a connection are remembered, for their buckets. Beyond that the longest unheard of is forgotten. */
const REMEMBERED = 20_000

/** Connections and rates per address. Times are milliseconds of any clock that never runs backwards. */
export class Addresses {
  readonly #limits: SignalingLimits
  readonly #used = new Map<string, Usage>()
  /** Those without a connection. */
  readonly #idle = new Recent<string, Usage>(REMEMBERED)

  constructor(limits: SignalingLimits) {
    this.#limits = limits
  }

  /** How many are known, now connected or not. */
  get size(): number {
    return this.#used.size + this.#idle.size
  }

  /** Why this address may have no further connection now; `undefined`: it has been counted as an arrival. */
  refuse(address: string, now: number): string | undefined {
    const excess = this.#excess(address, now)
    if (excess !== undefined) this.turnedAway(address, now)
    return excess
  }

  /** It has been told that it is not welcome now. */
  turnedAway(address: string, now: number): void {
    const usage = this.#usage(address, now)
    usage.refusals ??= new TokenBucket(REFUSALS.perSecond, REFUSALS.burst, now)
    usage.refusals.take(now)
  }

  /** It has been told so often that it is not to be listened to: each request that is read and answered costs a bit. */
  isShunned(address: string, now: number): boolean {
    return this.#known(address)?.refusals?.has(now) === false
  }

  #excess(address: string, now: number): string | undefined {
    const usage = this.#usage(address, now)
    if (usage.connections >= this.#limits.connectionsPerAddress) return 'this address has all its connections already'
    if (this.isFlooding(address, now)) return 'too many messages come from this address'
    if (!usage.arrivals.take(now)) return 'too many connections come from this address, wait a moment'
    return undefined
  }

  opened(address: string, now: number): void {
    const usage = this.#usage(address, now)
    usage.connections += 1
    this.#idle.delete(address)
    this.#used.set(address, usage)
  }

  closed(address: string): void {
    const usage = this.#used.get(address)
    if (usage === undefined || --usage.connections > 0) return
    this.#used.delete(address)
    this.#idle.set(address, usage)
  }

  /** Counts a message; `false`: too many. */
  message(address: string, now: number): boolean {
    return this.#usage(address, now).messages.take(now)
  }

  /** As many messages too many as it may send at once: its connections are not worth keeping, nor new ones to be had. */
  isFlooding(address: string, now: number): boolean {
    const usage = this.#known(address)
    if (usage === undefined || usage.messages.has(now)) return false
    return usage.messages.debt > this.#limits.messageBurstPerAddress
  }

  /** One of its connections had to be ended as a flood. */
  punish(address: string, now: number): void {
    const usage = this.#usage(address, now)
    if (now < usage.refusedUntil) return // others of the same flood
    const again = now < usage.refusedUntil + BACK_OFF.forgottenAfter
    const twice = Math.min(2 * usage.backOff || BACK_OFF.first, BACK_OFF.longest)
    usage.backOff = again ? twice : 0
    usage.refusedUntil = now + usage.backOff
  }

  /** Seconds until an address that flooded may come again; 0: now. */
  refusedFor(address: string, now: number): number {
    const usage = this.#known(address)
    return usage === undefined ? 0 : Math.max(0, Math.ceil((usage.refusedUntil - now) / 1_000))
  }

  #known(address: string): Usage | undefined {
    return this.#used.get(address) ?? this.#idle.get(address)
  }

  #usage(address: string, now: number): Usage {
    const known = this.#known(address)
    if (known !== undefined) return known
    const limits = this.#limits
    const usage: Usage = {
      connections: 0,
      arrivals: new TokenBucket(limits.connectionsPerSecondPerAddress, limits.connectionBurstPerAddress, now),
      messages: new TokenBucket(limits.messagesPerSecondPerAddress, limits.messageBurstPerAddress, now),
      refusedUntil: Number.NEGATIVE_INFINITY,
      backOff: 0,
      refusals: undefined,
    }
    this.#idle.set(address, usage)
    return usage
  }
}

/**
 * Where a request comes from, in the form in which it is counted: IPv4 as it is, IPv6 as its /64, which is what one
 * subscriber has. Behind `trustedProxies` proxies: what the outermost of them has written into X-Forwarded-For. What stands
 * left of that was written by the client, and is not believed.
 */
export function addressOf(request: IncomingMessage, trustedProxies: number): string {
  const direct = request.socket.remoteAddress ?? ''
  if (trustedProxies === 0) return countedAs(direct)
  const forwarded = [request.headers['x-forwarded-for'] ?? []]
    .flat()
    .join(',')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  return countedAs(forwarded.at(-trustedProxies) ?? forwarded[0] ?? direct)
}

/** An address as it is counted. */
export function countedAs(address: string): string {
  const bare = withoutScope(address.replace(/^\[(.*)\].*$/, '$1'))
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)
  if (mapped !== null) return mapped[1]!
  if (isIPv6(bare)) return networkOf(bare)
  return bare.replace(/:\d+$/, '').slice(0, 64) // some proxies add the port
}
