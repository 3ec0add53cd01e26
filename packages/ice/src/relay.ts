import type { Address, Packet } from '@floe/stun'
import { addressFamily, formatAddress, sameAddress } from '@floe/stun'
import type { Allocation, AllocationOutput } from '@floe/turn'
import { NO_ANSWER, LIMITS as TURN_LIMITS } from '@floe/turn'
import type { Context } from './outputs.ts'
import { newAllocation } from './relay-allocation.ts'
import { RelayAttempts } from './relay-attempts.ts'
import type { RelayOptions, RelayOwner, RelayState } from './relay-options.ts'
import { RelaySources } from './relay-sources.ts'
import { RelayTarget } from './relay-target.ts'
import { isFinal, reportRelayFailure } from './server-failure.ts'
import type { TurnServer } from './servers.ts'

/** One relay: a connection to a TURN server, the allocation over it, and another of each when they are lost. */
export class Relay {
  readonly server: TurnServer
  readonly families: readonly (4 | 6)[]
  readonly #context: Context
  readonly #owner: RelayOwner<Relay>
  readonly #tacit: boolean
  readonly #sources: RelaySources
  readonly #target: RelayTarget
  #local: Address | undefined
  #allocation: Allocation | undefined
  #relayed: readonly Address[] = []
  #unanswered: readonly (4 | 6)[] = []
  #state: RelayState = 'waiting'
  #settled = false
  #deadline = Number.POSITIVE_INFINITY
  #actAt = Number.POSITIVE_INFINITY
  #mismatches = 0
  readonly #attempts: RelayAttempts
  #retired = false
  /** Of the allocation there is. */
  readonly #permitted = new Set<string>()

  constructor(context: Context, options: RelayOptions, owner: RelayOwner<Relay>) {
    this.#context = context
    this.#owner = owner
    this.#attempts = new RelayAttempts(context.timing)
    this.server = options.server
    this.families = options.families
    this.#sources = new RelaySources(options.from)
    this.#tacit = options.tacit ?? false
    this.#target = new RelayTarget(this.server)
  }

  get state(): RelayState {
    return this.#state
  }

  /** The relayed transport addresses, by identity the bases of relayed candidates. */
  get relayed(): readonly Address[] {
    return this.#relayed
  }

  /** Where the server sees us, RFC 8656 §5: the related address of the candidate. */
  get mapped(): Address | undefined {
    return this.#allocation?.mapped
  }

  /** Families that the server does not know how to add: they take an allocation of their own. */
  get unanswered(): readonly (4 | 6)[] {
    return this.#unanswered
  }

  /** The local IP address that it is reached from; none when that is gone. */
  get from(): string | undefined {
    return this.#sources.current
  }

  /** It has something to do that waits for its turn in the pace. */
  get waits(): boolean {
    return this.#state === 'waiting' || (this.#isAdrift && this.from !== undefined)
  }

  /** Over UDP every local address has a relay of its own; a stream has one, from whichever address leads there. */
  isFor({ server, from, families }: RelayOptions): boolean {
    return (
      (server.protocol !== 'udp' || this.from === from[0] || this.#isAdrift) &&
      this.server.url === server.url &&
      this.server.username === server.username &&
      this.server.credential === server.credential &&
      sameAddress(this.server.address, server.address) &&
      this.families.join() === families.join()
    )
  }

  /** Local addresses have come: it may be reached from these. Where none led to it, a new one is tried at once. */
  offer(from: readonly string[]): void {
    if (this.#isAdrift) return this.#sources.replace(from)
    const fresh = this.#state === 'resting' ? this.#sources.newOf(from) : undefined
    this.#sources.replace(from, fresh ?? this.from)
    if (fresh === undefined) return
    this.#state = 'waiting'
    this.#actAt = Number.POSITIVE_INFINITY
  }

  /** Nobody waits for its first result any more. */
  get settled(): boolean {
    return this.#settled
  }

  /** Its turn in the pace has come, RFC 8445 §14.2. */
  start(now: number): void {
    if (!this.#settled) this.#deadline = Math.min(this.#deadline, now + this.#context.timing.relayDeadline)
    this.#connect(now)
  }

  /** Another attempt at once, unless one is under way or has succeeded; then the server is asked whether it still holds. */
  retry(now: number): void {
    this.verify(now)
    if (this.#state !== 'failed' && this.#state !== 'resting') return
    this.#state = 'waiting'
    this.#actAt = Number.POSITIVE_INFINITY
    this.#attempts.reset()
    this.#settled = false
    this.#deadline = now + this.#context.timing.relayDeadline
  }

  /** Its server is no longer configured: it serves the pairs that it has, and once lost is not made again. */
  retire(now: number): void {
    this.#retired = true
    if (this.#state !== 'allocated') this.close(now)
  }

  /** Its pairs are silent: perhaps the server has been restarted, and the allocation is gone. */
  verify(now: number): void {
    if (this.#state === 'allocated') this.#allocation?.verify(now)
    this.#drain(now)
  }

  connected(now: number): void {
    if (this.#state === 'moving') this.#allocation?.move(now, this.#local as Address)
    if (this.#state !== 'connecting') return this.#drain(now)
    const { random } = this.#context
    const ends = { server: this.#target.address, local: this.#local as Address }
    const allocation = newAllocation(this.server, { ...ends, random, families: this.families })
    if (typeof allocation === 'string') return this.#giveUp(now, allocation)
    this.#state = 'allocating'
    this.#allocation = allocation
    allocation.allocate(now)
    this.#drain(now)
  }

  /** The connection has ended. `notify`: the driver has not said so itself, and must close it. */
  disconnected(now: number, reason: string, notify = false): void {
    if (this.#state === 'closing') return this.#finish()
    if (this.#state === 'closed' || !this.#local || this.#depart(now, reason, notify)) return
    this.#disconnect(notify)
    this.#fail(now, NO_ANSWER, reason)
  }

  handlePacket(now: number, packet: Packet): boolean {
    if (!this.#allocation?.handlePacket(now, packet)) return false
    this.#drain(now)
    return true
  }

  handleTimeout(now: number): void {
    this.#allocation?.handleTimeout(now)
    this.#drain(now)
    if (now >= this.#deadline) this.#settle(now)
    if (now < this.#actAt) return
    this.#actAt = Number.POSITIVE_INFINITY
    if (this.#state === 'resting') this.#state = 'waiting'
    else if (this.#state === 'closing') this.#finish()
    else if (this.#state === 'moving') {
      this.#disconnect()
      this.#fail(now, NO_ANSWER, 'the allocation could not be moved to another local address in time')
    }
  }

  timeout(): number {
    return Math.min(this.#deadline, this.#actAt, this.#allocation?.timeout() ?? Number.POSITIVE_INFINITY)
  }

  send(now: number, peer: Address, bytes: Uint8Array): boolean {
    const sent = this.#state === 'allocated' && (this.#allocation?.send(now, peer, bytes) ?? false)
    this.#drain(now)
    return sent
  }

  /** Lets packets from this IP address in, RFC 8656 §9: both sides of a relay have to ask. */
  permit(now: number, ip: string): void {
    if ((this.#state !== 'allocated' && this.#state !== 'moving') || !this.#serves(ip)) return
    this.#permitted.add(ip)
    this.#allocation?.createPermission(now, ip)
    this.#drain(now)
  }

  /** Permissions end, and are renewed no more. */
  forbid(isForbidden: (ip: string) => boolean): void {
    for (const ip of this.#permitted) {
      if (!isForbidden(ip)) continue
      this.#permitted.delete(ip)
      this.#allocation?.removePermission(ip)
    }
  }

  /** Four bytes per packet instead of thirty-six, RFC 8656 §12. */
  bindChannel(now: number, peer: Address): void {
    if (this.#state !== 'allocated') return
    this.#allocation?.bindChannel(now, peer)
    this.#drain(now)
  }

  /** Its interface is gone: it is reached from another, or lost; then there is no way to tell the server. `true`: lost. */
  leave(now: number): boolean {
    if (this.#depart(now, 'its interface is gone', true)) {
      this.#sources.replace([])
      return false
    }
    if (this.#sources.hasOthers) {
      this.disconnected(now, 'its interface is gone', true)
      return false
    }
    const lost = this.#relayed
    this.#relayed = []
    this.#finish()
    if (lost.length > 0) this.#owner.onlost(now, this, lost)
    this.#settle(now)
    return true
  }

  /** Tells the server that the allocation is not needed any more, and waits a moment for its answer. */
  close(now: number): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    const holds = this.#local && ['allocating', 'allocated', 'moving'].includes(this.#state)
    this.#deadline = Number.POSITIVE_INFINITY
    this.#relayed = []
    if (!holds) return this.#finish()
    this.#state = 'closing'
    this.#actAt = now + this.#context.timing.releaseDeadline
    this.#allocation?.close(now)
    this.#drain(now)
  }

  #connect(now: number): void {
    const { server, address: remote } = this.#target
    const before = this.#local
    const local: Address = { ip: this.from!, port: 0 }
    this.#local = local
    if (this.#state !== 'moving') this.#state = 'connecting'
    this.#owner.onconnection(this, before, local)
    this.#context.log(now, 'relay-connect', () => `${server.url} at ${formatAddress(remote)}`)
    this.#context.emit({ type: 'connect', local, remote, protocol: server.protocol, framing: 'turn', server })
  }

  /** `notify`: the driver does not know yet. */
  #disconnect(notify = true): void {
    this.#hangUp(notify)
    this.#allocation = undefined
    this.#permitted.clear()
  }

  #hangUp(notify: boolean): void {
    const local = this.#local
    if (!local) return
    this.#local = undefined
    this.#owner.onconnection(this, local, undefined)
    if (notify) this.#context.emit({ type: 'disconnect', local })
  }

  /** The way to the server is gone; with a ticket of the server's the allocation is taken along to another, RFC 8016. */
  #depart(now: number, reason: string, notify: boolean): boolean {
    if (this.#state !== 'allocated' || this.#retired || !this.#allocation?.movable) return false
    this.#attempts.ended(now)
    if (!notify && !this.#attempts.mayMove()) return false
    this.#context.log(now, 'relay-moves', () => this.server.url, reason)
    this.#hangUp(notify)
    this.#state = 'moving'
    this.#actAt = now + this.#context.timing.moveDeadline
    return true
  }

  #moved(now: number): void {
    this.#state = 'allocated'
    this.#actAt = Number.POSITIVE_INFINITY
    this.#attempts.succeeded(now)
    this.#context.log(now, 'relay', () => `${this.relayed.map(formatAddress).join(', ')} from ${this.from}`, 'moved')
  }

  get #isAdrift(): boolean {
    return this.#state === 'moving' && !this.#local
  }

  #drain(now: number): void {
    for (let output = this.#allocation?.poll(); output; output = this.#allocation?.poll()) this.#perform(now, output)
  }

  #perform(now: number, output: AllocationOutput): void {
    switch (output.type) {
      case 'packet':
        return this.#context.emit(output)
      case 'data':
        return this.#owner.ondata(now, {
          protocol: 'udp',
          local: output.relayed,
          remote: output.peer,
          bytes: output.bytes,
        })
      case 'allocated':
        this.#unanswered = output.refusedFamilies.filter(({ code }) => code === undefined).map(({ family }) => family)
        return this.#allocated(now, output.relayed)
      case 'permission':
        if (output.state !== 'refused') return
        return this.#owner.onrefused(now, this, output.ip, `the relay refuses: ${output.code} ${output.reason}`)
      case 'redirect':
        return this.#redirect(now, output.server, output.domain)
      case 'moved':
        return this.#moved(now)
      case 'mismatch':
        return this.#mismatch(now)
      case 'failed':
        this.#disconnect()
        return this.#fail(now, output.code, output.reason)
      case 'released':
        return this.#finish()
    }
  }

  #allocated(now: number, relayed: readonly Address[]): void {
    if (this.#state !== 'allocating') return
    this.#state = 'allocated'
    this.#relayed = relayed
    this.#mismatches = 0
    this.#attempts.succeeded(now)
    this.#context.log(now, 'relay', () => `${relayed.map(formatAddress).join(', ')} at ${this.server.url}`)
    this.#owner.onallocated(now, this)
    this.#settle(now)
  }

  #redirect(now: number, server: Address, domain: string | undefined): void {
    this.#disconnect()
    const refusal = this.#target.follow(server, domain)
    if (refusal !== undefined) return this.#fail(now, 300, refusal)
    this.#connect(now)
  }

  /** RFC 8656 §6.4: the server remembers another allocation for this local port. */
  #mismatch(now: number): void {
    this.#disconnect()
    if (++this.#mismatches > TURN_LIMITS.mismatches)
      return this.#fail(now, 437, 'allocation mismatch on every local port')
    this.#connect(now)
  }

  #fail(now: number, code: number, reason: string): void {
    const lost = this.#relayed
    // What the server has against an allocation that was there says nothing of a new one.
    const isOver = isFinal(code) && lost.length === 0
    this.#relayed = []
    this.#target.reset()
    // An interface that does not lead to the server costs no pause, since another one may.
    if (code === NO_ANSWER && lost.length === 0 && !this.#retired && this.#sources.next())
      return void (this.#state = 'waiting')
    this.#attempts.ended(now)
    this.#report(now, code, reason)
    if (this.#retired || isOver) this.#state = 'failed'
    else {
      this.#state = 'resting'
      this.#actAt = now + this.#attempts.fail(lost.length > 0)
    }
    if (lost.length > 0) this.#owner.onlost(now, this, lost)
    this.#settle(now)
  }

  /** What we were given is of no use. */
  #giveUp(now: number, reason: string): void {
    this.#disconnect()
    this.#report(now, NO_ANSWER, reason)
    this.#state = 'failed'
    this.#settle(now)
  }

  #report(now: number, errorCode: number, errorText: string): void {
    // Once for a server that stays away: it is asked again, but nobody needs to hear of it every time.
    const isNews = this.#attempts.areNew && !this.#tacit && !this.#retired
    reportRelayFailure(now, this.#context, this.server.url, this.#target.address, { errorCode, errorText }, isNews)
  }

  #settle(now: number): void {
    this.#deadline = Number.POSITIVE_INFINITY
    this.#settled = true
    this.#owner.onsettled(now)
  }

  #finish(): void {
    this.#disconnect()
    this.#actAt = Number.POSITIVE_INFINITY
    this.#state = 'closed'
  }

  #serves(ip: string): boolean {
    return this.#relayed.some((address) => addressFamily(address.ip) === addressFamily(ip))
  }
}
