import type { Address } from '@floe/stun'
import { MAPPING, SERVER_PORT } from './defaults.ts'
import { Lease } from './lease.ts'
import type { FailureCode, MappingClientOptions, MappingClientOutput } from './mapping.ts'
import { fraction } from './random.ts'

/**
 * Writes the requests that ask for a mapping, one datagram each. `lifetime` in milliseconds, 0 to delete.
 * `suggested`: the external address to ask for, when there is one.
 */
export type RequestWriter = (lifetime: number, suggested: Address | undefined) => readonly Uint8Array[]

/**
 * The life of a mapping over UDP, which PCP and NAT-PMP share: ask until answered, renew, doubt, release.
 * The protocols differ in their bytes only; they read the answers and report them here.
 */
export class UdpMapping {
  readonly #options: MappingClientOptions
  readonly #write: RequestWriter
  readonly #outputs: MappingClientOutput[] = []
  #phase: 'asking' | 'mapped' | 'releasing' | 'ended' = 'asking'
  #suggested: Address | undefined
  #external: Address | undefined
  #lease: Lease | undefined
  /** When the mapping is no more unless the router says otherwise. */
  #goodUntil = Number.POSITIVE_INFINITY
  /** The router's no to the request that is to save the mapping. */
  #refusal: Extract<MappingClientOutput, { type: 'failed' }> | undefined
  #sendAt: number
  #rto: number = MAPPING.rto
  #sends = 0
  /** When the schedule of retransmissions began, or will begin. */
  #askedAt: number

  constructor(now: number, options: MappingClientOptions, write: RequestWriter) {
    this.#options = options
    this.#write = write
    this.#suggested = options.suggested
    this.#sendAt = this.#askedAt = now
    this.#send(now)
  }

  /** The mapping, as far as the router has not taken it back. */
  get external(): Address | undefined {
    return this.#external
  }

  get ended(): boolean {
    return this.#phase === 'ended'
  }

  get releasing(): boolean {
    return this.#phase === 'releasing'
  }

  /** Asks anew, at once; the schedule of retransmissions starts over. `suggested` takes the place of what was suggested. */
  ask(now: number, suggested: Address | undefined = this.#suggested): void {
    this.#suggested = suggested
    this.#askFrom(now)
    this.#send(now)
  }

  /** The router may have lost the mapping: asks anew, a little later when it did just now, since anybody can say so. */
  doubt(now: number): void {
    if (this.#phase !== 'asking' && this.#phase !== 'mapped') return
    if (now < this.#askedAt) return // It is about to.
    this.#askFrom(Math.max(now, this.#askedAt + MAPPING.recovery))
    if (this.#external) this.#goodUntil = Math.min(this.#goodUntil, this.#askedAt + MAPPING.doubt)
    this.handleTimeout(now)
  }

  /** The router's yes. `lifetime` in milliseconds. */
  grant(now: number, external: Address, lifetime: number): void {
    if (this.#phase !== 'asking' && this.#phase !== 'mapped') return
    const known = this.#external
    this.#phase = 'mapped'
    this.#external = this.#suggested = external
    this.#lease = new Lease(now, lifetime, this.#options.random)
    this.#goodUntil = this.#lease.expires
    this.#refusal = undefined
    this.#sendAt = this.#lease.renewAt
    const same = known?.ip === external.ip && known.port === external.port
    this.#outputs.push({ type: same ? 'renewed' : 'mapped', external, lifetime })
  }

  /**
   * The router's no. A lease that still runs is kept: the next renewal may find the router in a better mood. So is a
   * doubtful one, to the end of the doubt: routers say no while they start, and NAT-PMP lets anybody say it.
   */
  refuse(code: FailureCode, reason: string, retryAfter: number): void {
    if (this.#phase === 'releasing') return this.released()
    if (this.#phase !== 'asking') return
    this.#refusal = { type: 'failed', code, reason, retryAfter }
    if (this.#external === undefined) this.#end(this.#refusal)
  }

  /** The router has confirmed that the mapping is deleted. */
  released(): void {
    if (this.#phase === 'releasing') this.#end({ type: 'released' })
  }

  release(now: number): void {
    if (this.#phase === 'releasing' || this.#phase === 'ended') return
    this.#phase = 'releasing'
    this.#rto = MAPPING.rto
    this.#sends = 0
    this.#goodUntil = Number.POSITIVE_INFINITY
    this.#send(now)
    // Unanswered so far: one packet in case the router did hear us, and nothing to wait for.
    if (this.#external === undefined) this.#end({ type: 'released' })
  }

  handleTimeout(now: number): void {
    if (now >= this.#goodUntil) this.#lose(now)
    else if (now < this.#sendAt) return
    else if (this.#phase === 'releasing' && this.#sends >= MAPPING.releaseSends) this.released()
    else this.#send(now)
  }

  timeout(): number {
    return Math.min(this.#sendAt, this.#goodUntil)
  }

  poll(): MappingClientOutput | undefined {
    return this.#outputs.shift()
  }

  #askFrom(at: number): void {
    this.#phase = 'asking'
    this.#refusal = undefined
    this.#sendAt = this.#askedAt = at
    this.#rto = MAPPING.rto
    this.#sends = 0
  }

  #lose(now: number): void {
    this.#external = undefined
    this.#goodUntil = Number.POSITIVE_INFINITY
    this.#outputs.push({ type: 'lost', reason: this.#refusal?.reason ?? 'the router did not renew it in time' })
    if (this.#refusal) this.#end(this.#refusal)
    else if (this.#phase === 'mapped') this.ask(now)
  }

  #send(now: number): void {
    const { control: local, gateway: ip, lifetime, random } = this.#options
    const remote = { ip, port: SERVER_PORT }
    for (const bytes of this.#write(this.#phase === 'releasing' ? 0 : lifetime, this.#suggested)) {
      this.#outputs.push({ type: 'packet', packet: { protocol: 'udp', local, remote, bytes } })
    }
    this.#sends++
    if (this.#phase === 'mapped') {
      this.#lease!.advance()
      this.#sendAt = this.#lease!.renewAt
    } else {
      // RFC 6887 §8.1.1: ±10 %, so that hosts which started together do not stay together.
      this.#sendAt = now + this.#rto * (0.9 + 0.2 * fraction(random))
      this.#rto = Math.min(this.#rto * 2, MAPPING.maxRto)
    }
  }

  #end(output: MappingClientOutput): void {
    this.#phase = 'ended'
    this.#sendAt = this.#goodUntil = Number.POSITIVE_INFINITY
    this.#outputs.push(output)
  }
}
