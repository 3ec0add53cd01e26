import type { Address, DecodedMessage, Packet } from '@floe/stun'
import { verifyIntegrity } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import type { CheckCredentials, CheckOutcome, CheckPurpose } from './check.ts'
import { Checks } from './check.ts'
import { Checklist } from './checklist.ts'
import type { EarlyCheck, Generation } from './generation.ts'
import type { Context } from './outputs.ts'
import type { IceRole } from './parameters.ts'
import { Path } from './path.ts'
import { Responder } from './responder.ts'
import { Role } from './role.ts'

export interface ConnectivityOptions {
  readonly role: IceRole
  readonly lite: boolean
  readonly policy: (candidate: Candidate) => boolean
}

/** After this many 487 answers a pair counts as failed: two honest agents need one. */
const MAX_CONFLICTS = 4

/** Connectivity checks: sends them, answers them, learns from them. RFC 8445 §7, and §8 through `path`. */
export class Connectivity {
  readonly path: Path
  readonly #context: Context
  readonly #checks: Checks
  readonly #responder: Responder
  readonly #role: Role
  readonly #lite: boolean
  readonly #policy: (candidate: Candidate) => boolean
  #generation: Generation
  /** Those of the generation before, for consent on its pair while that is still in use. */
  #oldCredentials: CheckCredentials | undefined

  constructor(context: Context, generation: Generation, options: ConnectivityOptions) {
    this.#context = context
    this.#generation = generation
    this.#lite = options.lite
    this.#policy = options.policy
    this.#role = new Role(context.random, options.role)
    this.#checks = new Checks(context)
    this.#responder = new Responder(context)
    this.path = new Path(context, options.lite)
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
    this.path.restart()
  }

  close(): void {
    this.#checks.clear()
    this.path.close()
  }

  /** Pairs a remote candidate with every local base; one that stands for a peer-reflexive one brings its priority. */
  adoptRemote(now: number, remote: Candidate): void {
    this.#generation.checklist.reprioritise(this.role)
    for (const local of this.#generation.gatherer.candidates) {
      if (local.type === 'host') this.#pair(now, local, remote)
    }
  }

  /** Pairs a new base with every remote candidate; one that stands for a peer-reflexive one takes its pairs over. */
  adoptLocal(now: number, local: Candidate, replaced: Candidate | undefined): void {
    const { checklist, remoteCandidates } = this.#generation
    if (local.type === 'host') for (const remote of remoteCandidates) this.#pair(now, local, remote)
    if (!replaced) return
    for (const pair of checklist.pairs) if (pair.local === replaced) pair.local = local
    checklist.reprioritise(this.role)
  }

  /** Drops every pair of a base that is gone, also the one of the generation before that is still in use. */
  removeBase(now: number, gone: (pair: Pair) => boolean): void {
    const { selected, outlived } = this.path
    const old = selected && outlived && gone(selected) ? [selected] : []
    for (const pair of [...this.#generation.checklist.remove(gone), ...old]) {
      this.#checks.forget(pair)
      this.path.drop(now, pair)
    }
    this.#select(now)
  }

  get hasOrdinary(): boolean {
    return !this.#lite && this.#generation.credentials !== undefined && this.#generation.checklist.hasOrdinary
  }

  sendOrdinary(now: number): void {
    const pair = this.#generation.checklist.nextOrdinary()
    if (pair) this.#check(now, pair, 'check')
  }

  /** Checks that answer the peer's own leave at once: they are bounded by what was received. RFC 8445 §6.1.4.2. */
  sendTriggered(now: number): void {
    const { checklist, credentials } = this.#generation
    if (!credentials || this.#lite) return
    for (let pair = checklist.takeUrgent(); pair; pair = checklist.takeUrgent()) this.#check(now, pair, 'check')
  }

  /** `generation`: the one whose local ufrag the request names; an old one is answered on its own pairs, and nothing else. */
  handleRequest(now: number, message: DecodedMessage, packet: Packet, generation: Generation): void {
    if (!verifyIntegrity(message, generation.localKey)) {
      return this.#context.log(now, 'request-dropped', () => from(packet), 'MESSAGE-INTEGRITY is missing or wrong')
    }
    if (message.unknownRequired.length > 0) {
      return this.#responder.error(message, packet, generation.localKey, 420, 'Unknown Attribute')
    }
    if (generation !== this.#generation && !generation.checklist.find(packet.local, packet.remote)) {
      // Chromium's new ports try the credentials of before the restart first. An answer would make it send data there.
      return this.#context.log(now, 'request-dropped', () => from(packet), 'an old generation learns no new address')
    }
    const { username = '', priority = 0, useCandidate = false, nomination } = message.attributes
    const remoteUsernameFragment = username.slice(username.indexOf(':') + 1)
    const { local, remote } = packet
    const source = { ip: remote.ip, port: remote.port }
    const check: EarlyCheck = { remoteUsernameFragment, local, remote: source, priority, useCandidate, nomination }
    const early = generation.remote?.usernameFragment !== remoteUsernameFragment
    if (!early && (this.#pairOf(now, generation, check)?.revoked ?? true)) {
      // An answer would make the peer believe, or go on believing (RFC 7675), in a path that this side will never use.
      return this.#context.log(now, 'request-dropped', () => from(packet), 'no pair for it, or none with consent')
    }
    // A refused check still shows where the peer is, and where a NAT gives our 487 another source port than the check
    // went to (RFC 8445 §7.2.5.2.1) only a check of ours can tell the peer about the roles.
    const agreed = this.#settleRole(now, message, packet, generation)
    if (agreed) this.#responder.success(message, packet, generation.localKey)
    else if (this.#lite) return
    if (early) generation.holdCheck(check)
    else this.#learn(now, generation, agreed ? check : { ...check, useCandidate: false }, true)
  }

  /** The peer's parameters have come: what it has sent before counts now. */
  replayEarlyChecks(now: number): void {
    const generation = this.#generation
    for (const check of generation.takeEarlyChecks()) {
      if (check.remoteUsernameFragment === generation.remote?.usernameFragment)
        this.#learn(now, generation, check, false)
    }
    this.sendTriggered(now)
  }

  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    const outcome = this.#checks.handleResponse(now, message, packet)
    if (!outcome) return false
    this.#conclude(now, outcome)
    this.sendTriggered(now)
    return true
  }

  handleTimeout(now: number): void {
    for (const outcome of this.#checks.handleTimeout(now)) this.#conclude(now, outcome)
    const lost = this.path.takeExpired(now)
    if (lost) this.#revoke(now, lost, 'consent expired')
    if (this.path.takeSilent(now)) {
      this.#revalidate(now)
      this.#select(now)
    }
    const due = this.path.takeConsentDue(now)
    if (due && !this.#lite) this.#check(now, due, 'consent')
    this.sendTriggered(now)
  }

  timeout(): number {
    return Math.min(this.#checks.timeout(), this.path.timeout())
  }

  #pair(now: number, local: Candidate, remote: Candidate): Pair | undefined {
    if (!Checklist.canPair(local, remote)) return undefined
    const pair = this.#generation.checklist.add(local, remote, this.role)
    if (pair) this.#context.log(now, 'pair', () => `${pair.id} ${describe(pair)}`)
    return pair
  }

  #check(now: number, pair: Pair, purpose: CheckPurpose): void {
    const { checklist } = this.#generation
    const outlived = this.path.outlived && pair === this.path.selected
    const credentials = outlived ? this.#oldCredentials : this.#generation.credentials
    if (!credentials) return
    if (purpose === 'check') {
      checklist.untrigger(pair)
      pair.state = 'in-progress'
    }
    const nominates =
      this.role === 'controlling' && (purpose === 'nomination' || (purpose === 'consent' && pair.nominated))
    if (purpose === 'nomination') pair.nomination = this.path.nomination.next()
    const { timing } = this.#context
    const rtt = pair.roundTripTime
    // RFC 8445 §14.3: the more checks share the pace, the later one is repeated.
    const initial = Math.min(timing.maxRto, Math.max(timing.rto, timing.Ta * checklist.active))
    const rto = rtt === undefined ? initial : Math.max(timing.minRto, 2 * rtt)
    this.#context.log(now, purpose, () => `${pair.id} ${describe(pair)}`)
    const { tieBreaker } = this.#role
    const { nomination } = pair
    this.#checks.send(now, {
      pair,
      purpose,
      role: this.role,
      tieBreaker,
      useCandidate: nominates,
      nomination,
      credentials,
      rto,
    })
  }

  /** RFC 8445 §7.3.1.1. `false`: the request was answered with 487. A lite agent never switches. */
  #settleRole(now: number, message: DecodedMessage, packet: Packet, generation: Generation): boolean {
    if (generation !== this.#generation || !generation.remote) return true
    const before = this.role
    const verdict =
      this.#lite && message.attributes.iceControlled !== undefined ? 'reject' : this.#role.receive(message.attributes)
    if (verdict === 'agree') return true
    if (verdict === 'reject') {
      this.#context.log(now, 'role-conflict', () => `stays ${before}`, `the peer claims to be ${before} too`)
      this.#responder.error(message, packet, generation.localKey, 487, 'Role Conflict')
      return false
    }
    this.#switchedRole(now, 'the peer won the tie-break')
    return true
  }

  #switchedRole(now: number, reason: string): void {
    this.#generation.checklist.reprioritise(this.role)
    this.#context.log(now, 'role', () => this.role, reason)
    this.#context.emit({ type: 'role', role: this.role })
  }

  /** An authenticated check teaches a candidate, a pair, and what the peer wants. RFC 8445 §7.3.1.3 to §7.3.1.5. */
  #learn(now: number, generation: Generation, check: EarlyCheck, fresh: boolean): void {
    const pair = this.#pairOf(now, generation, check)
    if (!pair) return
    pair.authenticated = true
    if (fresh) {
      pair.stats.requestsReceived++
      pair.stats.responsesSent++
      pair.stats.lastPacketReceived = now
    }
    if (generation !== this.#generation || pair.revoked) return
    if (this.#lite) this.#validate(now, pair, pair.local, true)
    // Two NATs that give each check a new port can make two agents chase each other: this ends it.
    else if (pair.state !== 'succeeded' && pair.triggers < this.#context.timing.Rc) {
      if (pair.state === 'in-progress') this.#checks.cancel(now, pair)
      generation.checklist.trigger(pair)
    }
    if (this.role === 'controlled') {
      if (check.useCandidate) this.#nominatedByPeer(now, pair, check.nomination)
      else if (pair.state === 'succeeded') pair.checkedPlain = true
    }
    if (fresh) this.sendTriggered(now)
  }

  #pairOf(now: number, generation: Generation, { local, remote, priority }: EarlyCheck): Pair | undefined {
    const known = generation.checklist.find(local, remote)
    if (known) return known
    const host = generation.gatherer.candidates.find((it) => it.type === 'host' && sameBase(it, local))
    if (!host) return undefined
    const source = generation.remoteAt(remote, priority)
    if (!this.#policy(source.candidate)) {
      this.#context.log(now, 'candidate-refused', () => `${remote.ip}:${remote.port}`, 'policy')
      return undefined
    }
    if (!source.known && !generation.addRemote(source.candidate)) return undefined
    return this.#pair(now, host, source.candidate)
  }

  #nominatedByPeer(now: number, pair: Pair, value: number | undefined): void {
    if (pair.state !== 'succeeded') {
      pair.nominateWhenValid = true
      pair.nomination = Math.max(pair.nomination, value ?? 0)
    } else if (this.path.nominatedByPeer(now, pair, value)) this.#select(now)
  }

  #conclude(now: number, outcome: CheckOutcome): void {
    const { pair, purpose } = outcome.request
    if (outcome.result === 'timeout') {
      if (purpose !== 'consent' && !this.#checks.isPending(pair, 'check'))
        this.#fail(now, pair, `no answer to the ${purpose}`)
      return
    }
    pair.stats.responsesReceived++
    pair.stats.lastPacketReceived = now
    pair.authenticated = true
    const { message, roundTripTime } = outcome
    if (message.class === 'error') return this.#refused(now, outcome.request, message)
    const mapped = message.attributes.xorMappedAddress
    if (!mapped || message.unknownRequired.length > 0) return this.#fail(now, pair, 'the answer is not understood')
    if (roundTripTime !== undefined) {
      pair.roundTripTime = roundTripTime
      pair.stats.totalRoundTripTime += roundTripTime
    }
    pair.consentAt = now
    if (this.path.outlived && pair === this.path.selected) return
    if (purpose === 'nomination' && this.role === 'controlling')
      this.path.confirmed(now, pair, outcome.request.nomination)
    this.#validate(now, pair, this.#generation.gatherer.reflexive(pair.local, mapped), purpose === 'check')
  }

  /** RFC 8445 §7.2.5.3: the path works, seen by the peer as coming from `local`. */
  #validate(now: number, pair: Pair, local: Candidate, unfreeze: boolean): void {
    const { checklist } = this.#generation
    if (local !== pair.local) {
      pair.local = local
      checklist.reprioritise(this.role)
    }
    if (this.#lite) pair.consentAt = now
    if (pair.state !== 'succeeded') {
      this.#checks.cancel(now, pair)
      checklist.untrigger(pair)
      pair.state = 'succeeded'
      pair.triggers = 0
      this.#context.log(now, 'valid', () => `${pair.id} ${describe(pair)}`)
      if (unfreeze) checklist.unfreeze(pair.foundation)
      if (pair.nominateWhenValid && this.role === 'controlled') {
        this.path.nominatedByPeer(now, pair, pair.nomination || undefined)
      }
    }
    this.#select(now)
  }

  #refused(now: number, { pair, purpose, role }: CheckOutcome['request'], message: DecodedMessage): void {
    const code = message.attributes.errorCode?.code ?? 0
    if (code === 487 && pair.conflicts++ < MAX_CONFLICTS) {
      if (this.#role.rejected(role) === 'switch') this.#switchedRole(now, 'the peer answered 487')
      if (pair.state !== 'succeeded') this.#generation.checklist.trigger(pair)
      else if (purpose === 'nomination') this.#select(now)
      return
    }
    const reason = `the peer answered ${code} ${message.attributes.errorCode?.reason ?? ''}`
    // RFC 7675 §5.2; any other refusal will not change by repetition, but by a later check of the peer's.
    if (code === 403) this.#revoke(now, pair, reason)
    else this.#fail(now, pair, reason)
  }

  #revoke(now: number, pair: Pair, reason: string): void {
    pair.revoked = true
    this.#fail(now, pair, reason)
  }

  #fail(now: number, pair: Pair, reason: string): void {
    this.#checks.forget(pair)
    this.#generation.checklist.untrigger(pair)
    pair.state = 'failed'
    pair.nominateWhenValid = false
    this.#context.log(now, 'failed', () => `${pair.id} ${describe(pair)}`, reason)
    this.path.drop(now, pair)
    if (!this.path.selected) this.#revalidate(now)
    this.#select(now)
  }

  /** The selected pair is silent or lost: every other path is tried again, in the usual order and pace. */
  #revalidate(now: number): void {
    for (const pair of this.#generation.checklist.pairs) {
      const trusted = this.path.isAlive(pair, now) && this.path.hasConsent(pair, now)
      if (pair.state === 'succeeded' && pair !== this.path.selected && !trusted) pair.state = 'waiting'
    }
  }

  #select(now: number): void {
    const { checklist } = this.#generation
    const best = this.path.best(now, checklist)
    if (this.role === 'controlling' && best && !this.#lite && this.#wantsNomination(now, best))
      this.#check(now, best, 'nomination')
    this.path.select(now, best)
  }

  #wantsNomination(now: number, best: Pair): boolean {
    const { nominee } = this.path.nomination
    if (nominee && nominee !== best && nominee.priority >= best.priority && this.path.isAlive(nominee, now))
      return false
    return !best.nominated && !this.#checks.isPending(best, 'nomination')
  }
}

function sameBase(candidate: Candidate, local: Address): boolean {
  const base = candidate.base ?? candidate.address
  return base === local || (base.port === local.port && base.ip === local.ip)
}

function from({ local, remote }: Packet): string {
  return `${remote.ip}:${remote.port} at ${local.ip}:${local.port}`
}

function describe({ local, remote, base, destination }: Pair): string {
  return `${local.type} ${base.ip}:${base.port} → ${remote.type} ${destination.ip}:${destination.port}`
}
