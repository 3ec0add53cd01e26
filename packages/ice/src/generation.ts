import type { Address, IntegrityKey, NetworkInfo } from '@floe/stun'
import { sameAddress, shortTermKey, withoutScope } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import type { CheckCredentials } from './check.ts'
import { Checklist } from './checklist.ts'
import { LIMITS } from './defaults.ts'
import type { GathererOptions } from './gatherer.ts'
import { Gatherer } from './gatherer.ts'
import type { Context } from './outputs.ts'
import type { IceParameters } from './parameters.ts'
import { isSeenThroughNat64 } from './seen-through-nat64.ts'

/** A check that came and was answered before the peer's parameters were known. RFC 8445 §7.3. */
export interface EarlyCheck {
  readonly remoteUsernameFragment: string
  readonly protocol: 'udp' | 'tcp'
  readonly local: Address
  readonly remote: Address
  readonly priority: number
  readonly networkInfo?: NetworkInfo | undefined
  readonly useCandidate: boolean
  readonly nomination: number | undefined
}

/** All that an ICE restart replaces (RFC 8445 §9): credentials, candidates, checklist. */
export class Generation {
  readonly number: number
  readonly local: IceParameters
  /** Verifies requests and signs responses. */
  readonly localKey: IntegrityKey
  readonly gatherer: Gatherer
  readonly checklist: Checklist
  remoteCandidates: readonly Candidate[] = []
  readonly earlyChecks: EarlyCheck[] = []
  remote: IceParameters | undefined
  /** Signs requests and verifies responses; known once the peer's parameters are. */
  credentials: CheckCredentials | undefined
  remoteEnded = false
  /** Candidates that were signalled before the parameters they belong to, RFC 8838 §14. */
  readonly #held: (Candidate | null)[] = []
  /** Peer-reflexive candidates on the address of a relay of the peer's. */
  #presumedRelays: WeakSet<Candidate> | undefined
  #reflexive = 0

  constructor(context: Context, number: number, local: IceParameters, gathering: GathererOptions) {
    this.number = number
    this.local = local
    this.localKey = shortTermKey(local.password)
    this.gatherer = new Gatherer(context, local.usernameFragment, gathering)
    this.checklist = new Checklist(`${number}.`)
  }

  setRemote(remote: IceParameters): void {
    this.remote = remote
    this.credentials = {
      username: `${remote.usernameFragment}:${this.local.usernameFragment}`,
      key: shortTermKey(remote.password),
    }
  }

  /** Keeps a candidate for `takeHeld`, the newest ones when there are too many; `null` is the end of candidates. */
  hold(candidate: Candidate | null): void {
    this.#held.push(candidate)
    if (this.#held.length > LIMITS.remoteCandidates) this.#held.shift()
  }

  /** Candidates of parameters that are not known yet have come. */
  get holds(): boolean {
    return this.#held.length > 0
  }

  takeHeld(): (Candidate | null)[] {
    return this.#held.splice(0)
  }

  holdCheck(check: EarlyCheck): void {
    if (this.earlyChecks.length < LIMITS.earlyChecks) this.earlyChecks.push(check)
  }

  takeEarlyChecks(): EarlyCheck[] {
    return this.earlyChecks.splice(0)
  }

  /**
   * Adds, or replaces the peer-reflexive one that a check revealed earlier (RFC 8838 §11.4). `false`: known or too many.
   * `seenAt`: the local address that the check has come to.
   */
  addRemote(candidate: Candidate, seenAt?: Address): boolean {
    const index = this.remoteCandidates.findIndex((known) => isSameRemote(known, candidate))
    const known = this.remoteCandidates[index]
    if (known && known.type !== 'prflx' && !this.#presumedRelays?.has(known)) return false
    this.#unmask(candidate)
    if (known) this.#replaceRemote(index, candidate)
    else if (this.hasRoomFor(candidate, seenAt)) this.remoteCandidates = this.remoteCandidates.concat(candidate)
    else return false
    return true
  }

  hasRoomFor({ type, address }: Candidate, seenAt: Address | undefined): boolean {
    if (this.remoteCandidates.length >= LIMITS.remoteCandidates) return false
    const isAlike = (it: Candidate) => it.type === 'prflx' && it.address.ip === address.ip
    if (type !== 'prflx' || this.remoteCandidates.filter(isAlike).length < LIMITS.reflexivePerAddress) return true
    if (!seenAt) return false
    const here = this.checklist.pairs.filter(({ base, remote }) => isAlike(remote) && sameAddress(base, seenAt))
    return here.length < LIMITS.reflexivePerBase
  }

  /**
   * Takes out the oldest peer-reflexive candidate that was of use once and has not been heard of since `before`: a NAT that
   * rebinds every minute leaves one behind each time. Those that never worked stay: two NATs that give each check a new
   * port make more and more of them, and that has to end. One of this IP address before others.
   */
  staleReflexive(before: number, ip: string): Candidate | undefined {
    const isStale = (candidate: Candidate) => {
      const pairs = this.checklist.pairs.filter(({ remote }) => remote === candidate)
      const wasOfUse = pairs.some(({ validAt }) => validAt < before)
      return wasOfUse && pairs.every(({ selected, stats }) => !selected && stats.lastPacketReceived < before)
    }
    const stale = this.remoteCandidates.filter((candidate) => candidate.type === 'prflx' && isStale(candidate))
    const first = stale.find(({ address }) => address.ip === ip) ?? stale[0]
    if (first) this.remoteCandidates = this.remoteCandidates.filter((candidate) => candidate !== first)
    return first
  }

  /** The peer has none at this address any more. Those that were forgotten. */
  removeRemote(gone: Candidate): Candidate[] {
    const removed = this.remoteCandidates.filter((known) => isSameRemote(known, gone))
    this.remoteCandidates = this.remoteCandidates.filter((candidate) => !removed.includes(candidate))
    const isHeld = (held: Candidate | null) => held !== null && isSameRemote(held, gone)
    for (let i = this.#held.findIndex(isHeld); i >= 0; i = this.#held.findIndex(isHeld)) this.#held.splice(i, 1)
    return removed
  }

  /** The remote candidate at an authenticated source, made peer-reflexive when unknown. RFC 8445 §7.3.1.3. */
  remoteAt({ protocol, remote, priority }: EarlyCheck): { candidate: Candidate; known: boolean } {
    const address = { ip: withoutScope(remote.ip), port: remote.port }
    const known = this.remoteCandidates.find((it) => it.protocol === protocol && sameAddress(it.address, address))
    if (known) return { candidate: known, known: true }
    // A NAT before our mapped port, or a NAT64, may change where a relay's packet comes from; that makes it no direct path.
    const translated = this.remoteCandidates.find(
      (it) => it.type === 'relay' && isSeenThroughNat64(it.address, address),
    )
    const relay = translated ?? (protocol === 'udp' ? this.#relayAlone(address.ip) : undefined)
    const candidate: Candidate = {
      type: relay ? 'relay' : 'prflx',
      protocol,
      ...(protocol === 'tcp' && { tcpType: 'active' }),
      address,
      foundation: `r${this.#reflexive++}`,
      component: 1,
      priority: relay?.priority ?? priority,
      ...(this.remote && { usernameFragment: this.remote.usernameFragment }),
    }
    if (relay) (this.#presumedRelays ??= new WeakSet()).add(candidate)
    return { candidate, known: false }
  }

  /** A relay that has checked us through a NAT64 before it was signalled: its paths are relayed ones. */
  #unmask({ type, address }: Candidate): void {
    if (type !== 'relay') return
    for (const [index, known] of this.remoteCandidates.entries()) {
      if (known.type === 'prflx' && isSeenThroughNat64(address, known.address)) {
        this.#replaceRemote(index, { ...known, type })
      }
    }
  }

  /** The peer's relay on this IP address, when no other candidate of the peer's has it. */
  #relayAlone(ip: string): Candidate | undefined {
    const there = this.remoteCandidates.filter(({ address }) => address.ip === ip)
    return there.every(({ type }) => type === 'relay') ? there[0] : undefined
  }

  #replaceRemote(index: number, candidate: Candidate): void {
    const old = this.remoteCandidates[index]
    this.remoteCandidates = this.remoteCandidates.with(index, candidate)
    for (const pair of this.checklist.pairs) if (pair.remote === old) pair.remote = candidate
  }
}

function isSameRemote(a: Candidate, b: Candidate): boolean {
  return a.protocol === b.protocol && a.component === b.component && sameAddress(a.address, b.address)
}
