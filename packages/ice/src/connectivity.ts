import type { Address, DecodedMessage, Packet } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { describePair, type Pair } from './candidate-pair.ts'
import { type CheckCredentials, type CheckOutcome, type CheckPurpose, Checks, initialRto } from './check.ts'
import type { ConnectivityOptions } from './connectivity-options.ts'
import { LIMITS } from './defaults.ts'
import type { EarlyCheck, Generation } from './generation.ts'
import { Openers } from './openers.ts'
import type { Context } from './outputs.ts'
import { Pairing } from './pairing.ts'
import type { IceRole } from './parameters.ts'
import { Path } from './path.ts'
import { Requests } from './requests.ts'
import { Role } from './role.ts'
import { TcpConnections } from './tcp-connections.ts'

/** Connectivity checks: sends them, answers them, learns from them. RFC 8445 §7, and §8 through `path`. */
export class Connectivity {
  readonly path: Path
  readonly #context: Context
  readonly #checks: Checks
  readonly #requests: Requests
  readonly #connections: TcpConnections
  readonly #role: Role
  readonly #pairing: Pairing
  readonly #options: ConnectivityOptions
  readonly #openers = new Openers()
  #generation: Generation
  /** Those of the generation before, for consent on its pair while that is still in use. */
  #oldCredentials: CheckCredentials | undefined

  constructor(context: Context, generation: Generation, options: ConnectivityOptions) {
    this.#context = context
    this.#generation = generation
    this.#pairing = new Pairing(context, options, (now, pair) => this.#forget(now, pair))
    this.#options = options
    this.#role = new Role(context.random, options.role)
    this.#checks = new Checks(context)
    this.#connections = new TcpConnections(context)
    this.path = new Path(context, options)
    this.#requests = new Requests(context, {
      lite: options.lite,
      role: this.#role,
      pairing: this.#pairing,
      current: () => this.#generation,
      onrole: (now, reason) => this.#switchedRole(now, reason),
      onreport: (now, report) => this.#options.traversal()?.hear(now, report),
      onchecked: (now, pair, check, fresh) => this.#checked(now, pair, check, fresh),
    })
  }

  get role(): IceRole {
    return this.#role.current
  }

  set role(role: IceRole) {
    if (role === this.#role.current) return
    this.#role.current = role
    this.#generation.checklist.reprioritise(role)
    this.#context.emit({ type: 'role', role })
  }

  /** RFC 8445 §9: checks go on with the new generation; the selected pair stays until the new one has its own. */
  restart(generation: Generation): void {
    if (!this.path.outlived) this.#oldCredentials = this.#generation.credentials
    this.#generation = generation
    this.#checks.clear()
    this.#openers.clear()
    this.path.restart()
  }

  close(): void {
    this.#checks.clear()
    this.#openers.clear()
    this.#connections.closeAll()
    this.path.close()
  }

  /** From signaling, once the peer's parameters are known; `null` is the end of candidates. */
  addRemote(now: number, candidate: Candidate | null): void {
    // Behind candidates of a restart that has not been signalled yet, the end is theirs.
    if (candidate === null && this.#generation.holds) this.#generation.hold(null)
    else if (candidate === null) this.#generation.remoteEnded = true
    else this.#pairing.addRemote(now, this.#generation, candidate, this.role)
  }

  /** A new local candidate; `replaced` is the peer-reflexive one that stood for it. */
  adoptLocal(now: number, local: Candidate, replaced: Candidate | undefined): void {
    this.#pairing.adoptLocal(now, this.#generation, local, replaced, this.role)
  }

  /** Forgets pairs whose base is gone. */
  drop(now: number, isGone: (pair: Pair) => boolean): void {
    const { selected } = this.path
    // The selected one may be of the generation before an ICE restart.
    const isOld = selected && isGone(selected) && this.path.outlived
    for (const pair of [...this.#generation.checklist.remove(isGone), ...(isOld ? [selected] : [])])
      this.#forget(now, pair)
    this.#select(now)
  }

  /** The peer has taken candidates back: their pairs go, and come again if it checks from there nevertheless. */
  removeRemote(now: number, candidates: readonly Candidate[]): void {
    const removed = candidates.flatMap((candidate) => this.#generation.removeRemote(candidate))
    if (removed.length > 0) this.drop(now, ({ remote }) => removed.includes(remote))
  }

  /** Whatever was learnt about paths may be wrong now: all are asked at once. */
  networkChanged(now: number): void {
    this.path.doubt(now)
    for (const pair of this.path.takeCompany(now, this.#generation.checklist)) this.#check(now, pair, 'probe')
  }

  /** Pairs that a relay refuses to serve: they fail at once instead of waiting for answers. */
  refuse(now: number, isRefused: (pair: Pair) => boolean, reason: string): void {
    for (const pair of this.#generation.checklist.pairs.filter(isRefused)) this.#fail(now, pair, reason)
  }

  /** A TCP connection to the peer is open: its pair is checked. */
  connected(now: number, connection: Address): void {
    const pair = this.#connections.opened(connection)
    if (pair) this.#check(now, pair, 'check')
    this.sendTriggered(now)
  }

  /** It could not be opened, or has broken. One that was of use is opened again (RFC 6544 §7.2). */
  disconnected(now: number, connection: Address, reason: string): void {
    const pair = this.#connections.lost(connection)
    if (!pair) return
    const wasValid = pair.state === 'succeeded'
    this.#fail(now, pair, reason)
    if (pair.reconnectsAfter(wasValid, this.#context.timing)) this.#generation.checklist.trigger(pair)
    this.sendTriggered(now)
  }

  /** The pair stays in use meanwhile, and is nominated anew: the peer knows it by its connection. */
  #reconnect(now: number, pair: Pair, isSilent: boolean): void {
    if (!this.#connections.renew(now, pair, isSilent)) return
    this.#checks.forget(pair)
    this.path.nomination.withdraw(pair)
  }

  /** Of generations that are answered no longer. */
  closeStaleConnections(): void {
    this.#connections.closeAll((pair) => this.#generation.checklist.pairs.includes(pair) || pair === this.path.selected)
  }

  get hasOrdinary(): boolean {
    return !this.#options.lite && this.#generation.credentials !== undefined && this.#generation.checklist.hasOrdinary
  }

  sendOrdinary(now: number): void {
    const pair = this.#generation.checklist.nextOrdinary()
    if (!pair) return
    const ttl = this.#openers.begin(now, pair, this.#options.traversal())
    this.#check(now, pair, ttl === undefined ? 'check' : 'opener', ttl)
  }

  /** A way to the peer outside the checklist: a pair is made of it, and checked at once. `claim`: see `Pairing.meet()`. */
  meet(now: number, local: Address, remote: Address, claim?: number): void {
    const pair = this.#pairing.meet(now, this.#generation, local, remote, this.role, claim)
    if (pair && pair.state !== 'succeeded') this.#generation.checklist.trigger(pair)
    this.sendTriggered(now)
  }

  /** Asks on the pair in use, so that the peer hears what goes with checks. */
  tell(now: number): void {
    if (this.path.selected) this.#check(now, this.path.selected, 'probe')
  }

  get claim(): Role['claim'] {
    return this.#role.claim
  }

  /** Checks that answer the peer's own leave at once: they are bounded by what was received. RFC 8445 §6.1.4.2. */
  sendTriggered(now: number): void {
    const { checklist, credentials } = this.#generation
    if (!credentials || this.#options.lite) return
    for (let pair = checklist.takeUrgent(); pair; pair = checklist.takeUrgent()) this.#check(now, pair, 'check')
  }

  /** `generation`: the one whose local ufrag the request names. */
  handleRequest(now: number, message: DecodedMessage, packet: Packet, generation: Generation): void {
    this.#requests.handle(now, message, packet, generation)
  }

  /** The peer's parameters have come: what it has sent before counts now. */
  replayEarlyChecks(now: number): void {
    this.#requests.replay(now, this.#generation)
    this.sendTriggered(now)
  }

  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    const outcome = this.#checks.handleResponse(now, message, packet)
    if (!outcome) return false
    this.#conclude(now, outcome)
    this.sendTriggered(now)
    return true
  }

  /** Whatever comes in may show another pair alive: data on one that is dead, or a hole for it, does not wait for a timer. */
  leaveDead(now: number): void {
    if (this.path.isToBeLeft(now)) this.#select(now)
  }

  handleTimeout(now: number): void {
    for (const outcome of this.#checks.handleTimeout(now)) this.#conclude(now, outcome)
    for (const pair of this.#openers.takeDue(now)) this.#check(now, pair, 'check')
    const lost = this.path.takeExpired(now)
    if (lost) {
      this.#options.sources().relays.verify(now)
      lost.revoked = true
      this.#fail(now, lost, 'consent expired')
    }
    const isSilent = this.path.takeSilent(now)
    if (isSilent) this.path.revalidate(now, this.#generation.checklist)
    const used = this.path.selected
    const wasDead = used?.dead
    for (const pair of this.path.takeProbes(now, this.#generation.checklist)) this.#check(now, pair, 'probe')
    const isBuried = used?.dead && !wasDead
    if (isBuried) this.#options.sources().relays.verify(now)
    if (used && (isBuried || isSilent)) this.#reconnect(now, used, isSilent)
    if (this.path.takeDecision(now) || isSilent) this.#select(now)
    const urgent = this.path.consent.takeUrgent(now)
    if (urgent) this.#check(now, urgent, 'probe')
    const due = this.path.consent.take(now)
    if (due) this.#refresh(now, due)
    this.sendTriggered(now)
  }

  timeout(): number {
    return Math.min(this.#checks.timeout(), this.path.timeout(), this.#openers.timeout())
  }

  /** The consent tick: the one wake-up of an idle agent, so all else that is asked regularly goes with it. */
  #refresh(now: number, selected: Pair): void {
    this.#check(now, selected, 'consent')
    for (const pair of this.path.takeCompany(now, this.#generation.checklist)) this.#check(now, pair, 'probe')
    this.#select(now)
  }

  #check(now: number, pair: Pair, purpose: CheckPurpose, ttl?: number): void {
    const { checklist } = this.#generation
    const outlived = this.path.outlived && pair === this.path.selected
    const credentials = outlived ? this.#oldCredentials : this.#generation.credentials
    if (!credentials) return
    if (this.#context.verdicts?.of(pair) === 'exclude') return this.#fail(now, pair, 'excluded by the path policy')
    if (purpose === 'check') {
      checklist.untrigger(pair)
      this.#openers.forget(pair)
      pair.state = 'in-progress'
    }
    if (!this.#connections.isReady(pair)) return this.#connections.open(now, pair)
    const nominates =
      this.role === 'controlling' && (purpose === 'nomination' || (purpose !== 'check' && pair.nominated))
    if (purpose === 'nomination') pair.nomination = this.path.nomination.next()
    this.#context.log(now, purpose, () => `${pair.id} ${describePair(pair)}`)
    this.#checks.send(now, {
      pair,
      purpose,
      role: this.role,
      claim: this.claim,
      useCandidate: nominates,
      nomination: pair.nomination,
      credentials,
      rto: initialRto(pair, this.#context.timing, checklist.active),
      ttl,
      report: this.#options.traversal()?.report,
    })
  }

  #switchedRole(now: number, reason: string): void {
    this.#generation.checklist.reprioritise(this.role)
    this.#context.log(now, 'role', () => this.role, reason)
    this.#context.emit({ type: 'role', role: this.role })
  }

  /** An authenticated check of the peer's teaches that the pair is there, and what the peer wants. RFC 8445 §7.3.1.4, §7.3.1.5. */
  #checked(now: number, pair: Pair, check: EarlyCheck, fresh: boolean): void {
    const { checklist } = this.#generation
    pair.authenticated = true
    pair.peersNetwork = check.networkInfo ?? pair.peersNetwork
    if (pair.local.tcpType === 'passive') this.#connections.adopt(pair)
    if (fresh) {
      pair.stats.requestsReceived++
      pair.stats.responsesSent++
      pair.heard(now)
    }
    if (pair.revoked || !checklist.pairs.includes(pair)) return
    this.path.reconsider(now, pair)
    if (this.#options.lite) this.#validate(now, pair, pair.local, true)
    else if (pair.state !== 'succeeded' && pair.mayBeTriggered(now, this.#context.timing)) {
      if (pair.state === 'in-progress') this.#checks.cancel(now, pair)
      pair.triggeredAt = now
      checklist.trigger(pair)
    }
    if (this.role === 'controlled') {
      if (check.useCandidate) this.#nominatedByPeer(now, pair, check.nomination)
      else if (pair.state === 'succeeded') pair.checkedPlain = true
    }
    if (fresh) this.sendTriggered(now)
  }

  /** The pair is not in the checklist any more, or has failed. */
  #forget(now: number, pair: Pair): void {
    this.#checks.forget(pair)
    this.#openers.forget(pair)
    this.#connections.close(pair)
    this.path.drop(now, pair)
  }

  #nominatedByPeer(now: number, pair: Pair, value: number | undefined): void {
    if (pair.state !== 'succeeded') {
      pair.nominateWhenValid = true
      pair.nomination = Math.max(pair.nomination, value ?? 0)
      return
    }
    if (this.path.nominatedByPeer(now, pair, value)) this.#select(now)
    // It has been found dead, a hole for data, or in doubt: it is followed there as soon as it answers.
    if (this.path.selected !== pair && this.path.nomination.awaits(pair)) this.#check(now, pair, 'probe')
  }

  #conclude(now: number, outcome: CheckOutcome): void {
    const { pair, purpose } = outcome.request
    if (outcome.result === 'timeout') {
      const isOwed = purpose === 'check' || purpose === 'nomination'
      if (isOwed && !this.#checks.isPending(pair, 'check')) this.#fail(now, pair, `no answer to the ${purpose}`)
      return
    }
    pair.stats.responsesReceived++
    pair.heard(now, true)
    pair.authenticated = true
    const { message, roundTripTime } = outcome
    if (message.class === 'error') return this.#refused(now, outcome.request, message)
    const mapped = message.attributes.xorMappedAddress
    if (!mapped || message.unknownRequired.length > 0) return this.#fail(now, pair, 'the answer is not understood')
    pair.agreed(now, roundTripTime)
    if (this.path.outlived && pair === this.path.selected) return
    if (purpose === 'nomination' && this.role === 'controlling')
      this.path.confirmed(now, pair, outcome.request.nomination)
    this.#validate(now, pair, this.#generation.gatherer.reflexive(pair.local, mapped), purpose === 'check')
  }

  /** RFC 8445 §7.2.5.3: the path works, seen by the peer as coming from `local`. */
  #validate(now: number, pair: Pair, local: Candidate, unfreeze: boolean): void {
    const { checklist } = this.#generation
    if (local !== pair.local) {
      this.path.appears(now, pair, local)
      checklist.reprioritise(this.role)
    }
    if (this.#options.lite) pair.consentAt = now
    if (pair.state !== 'succeeded') {
      this.#checks.cancel(now, pair)
      checklist.untrigger(pair)
      pair.succeed(now)
      this.#context.log(now, 'valid', () => `${pair.id} ${describePair(pair)}`)
      this.#options.sources().bindChannel(now, pair)
      if (unfreeze) checklist.unfreeze(pair)
      if (pair.nominateWhenValid && this.role === 'controlled')
        this.path.nominatedByPeer(now, pair, pair.nomination || undefined)
      pair.nominateWhenValid = false
    }
    this.#select(now)
  }

  #refused(now: number, { pair, purpose, role }: CheckOutcome['request'], message: DecodedMessage): void {
    const code = message.attributes.errorCode?.code ?? 0
    if (code === 487 && pair.conflicts++ < LIMITS.conflicts) {
      if (this.#role.rejected(role) === 'switch') this.#switchedRole(now, 'the peer answered 487')
      if (pair.state !== 'succeeded') this.#generation.checklist.trigger(pair)
      else if (purpose === 'nomination') this.#select(now)
      return
    }
    const reason = `the peer answered ${code} ${message.attributes.errorCode?.reason ?? ''}`
    // RFC 7675 §5.2; any other refusal will not change by repetition, but by a later check of the peer's.
    if (code === 403) pair.revoked = true
    this.#fail(now, pair, reason)
  }

  #fail(now: number, pair: Pair, reason: string): void {
    this.#generation.checklist.untrigger(pair)
    pair.state = 'failed'
    pair.nominateWhenValid = false
    this.#context.log(now, 'failed', () => `${pair.id} ${describePair(pair)}`, reason)
    this.#forget(now, pair)
    if (!this.path.selected) this.path.revalidate(now, this.#generation.checklist)
    this.#select(now)
  }

  #select(now: number): void {
    const [{ checklist }, { nomination }] = [this.#generation, this.path]
    const best = this.path.best(now, checklist)
    const isDue = best && !nomination.holds(best) && !this.#checks.isPending(best, 'nomination')
    const isOurs = isDue && this.role === 'controlling' && !this.#options.lite
    if (isOurs && !nomination.first.isHeld(now, best, this.#generation, this.#context.timing))
      this.#check(now, best, 'nomination')
    this.path.select(now, best, this.role === 'controlled')
    checklist.restsTcp = this.path.isDirect
  }
}
