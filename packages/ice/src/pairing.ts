import { type Address, withoutScope } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { candidatePriority } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import { describePair } from './candidate-pair.ts'
import { Checklist } from './checklist.ts'
import type { EarlyCheck, Generation } from './generation.ts'
import type { Context } from './outputs.ts'
import type { IceRole } from './parameters.ts'

export interface PairingOptions {
  readonly policy: (candidate: Candidate) => boolean
  /** A pair is there that was not before. */
  readonly onpair: (now: number, pair: Pair) => void
}

/** A pair has made room for others. */
type OnForgotten = (now: number, pair: Pair) => void

/** Forms the pairs of a generation from its candidates (RFC 8445 §6.1.2) and from checks that come in (§7.3.1.3). */
export class Pairing {
  readonly #context: Context
  readonly #options: PairingOptions
  readonly #onforgotten: OnForgotten

  constructor(context: Context, options: PairingOptions, onforgotten: OnForgotten) {
    this.#context = context
    this.#options = options
    this.#onforgotten = onforgotten
  }

  /** Pairs a remote candidate with every local base; one that stands for a peer-reflexive one brings its priority. */
  addRemote(now: number, generation: Generation, remote: Candidate, role: IceRole): void {
    const { usernameFragment, address, type } = remote
    const foreign = usernameFragment !== undefined && usernameFragment !== generation.remote?.usernameFragment
    // Perhaps of a restart whose parameters it has overtaken: the next start() knows.
    if (foreign) return generation.hold(remote)
    if (!this.#options.policy(remote)) {
      return this.#context.log(now, 'candidate-refused', () => `${type} ${address.ip}:${address.port}`, 'policy')
    }
    // A zone is the sender's own business (RFC 4007 §6), and would make one address many.
    const candidate = address.ip.includes('%')
      ? { ...remote, address: { ip: withoutScope(address.ip), port: address.port } }
      : remote
    if (!this.#addRemote(now, generation, candidate)) return
    generation.checklist.reprioritise(role)
    for (const local of generation.gatherer.candidates) {
      if (isBase(local)) this.#pair(now, generation, local, candidate, role)
    }
  }

  /** Pairs a new base with every remote candidate; one that stands for a peer-reflexive one takes its pairs over. */
  adoptLocal(
    now: number,
    generation: Generation,
    local: Candidate,
    replaced: Candidate | undefined,
    role: IceRole,
  ): void {
    const { checklist, remoteCandidates } = generation
    if (isBase(local)) for (const remote of remoteCandidates) this.#pair(now, generation, local, remote, role)
    if (!replaced) return
    for (const pair of checklist.pairs) if (pair.local === replaced) pair.local = local
    checklist.reprioritise(role)
  }

  /** The pair that an authenticated check came over: known, or made of a new peer-reflexive candidate. */
  pairOf(now: number, generation: Generation, check: EarlyCheck, role: IceRole): Pair | undefined {
    const { protocol, local, remote } = check
    const known = generation.checklist.find(check)
    if (known) return this.#isExcluded(known) ? undefined : known
    const base = generation.gatherer.candidates.find(
      (candidate) => isBase(candidate) && candidate.protocol === protocol && sameBase(candidate, local),
    )
    if (!base) return undefined
    const source = generation.remoteAt(check)
    if (!this.#options.policy(source.candidate)) {
      this.#context.log(now, 'candidate-refused', () => `${remote.ip}:${remote.port}`, 'policy')
      return undefined
    }
    if (!source.known && !this.#addRemote(now, generation, source.candidate, local)) return undefined
    const pair =
      protocol === 'udp'
        ? this.#pair(now, generation, base, source.candidate, role)
        : this.#add(now, generation, base, source.candidate, role, local)
    return pair && this.#isExcluded(pair) ? undefined : pair
  }

  /** A pair of a path outside the checklist. `claim`: the PRIORITY of its checks, with which the peer is to be won over. */
  meet(
    now: number,
    generation: Generation,
    local: Address,
    remote: Address,
    role: IceRole,
    claim?: number,
  ): Pair | undefined {
    const priority = candidatePriority('prflx', 0)
    const path = { protocol: 'udp', local, remote, priority } as const
    const unsaid = { remoteUsernameFragment: '', useCandidate: false, nomination: undefined }
    const pair = this.pairOf(now, generation, { ...path, ...unsaid }, role)
    if (!pair || claim === undefined) return pair
    pair.claimedPriority = claim
    pair.court(now, this.#context.timing)
    return pair
  }

  #isExcluded(pair: Pair): boolean {
    return this.#context.verdicts?.of(pair) === 'exclude'
  }

  #addRemote(now: number, generation: Generation, remote: Candidate, seenAt?: Address): boolean {
    const { checklist } = generation
    if (!generation.hasRoomFor(remote, seenAt)) {
      const before = now - this.#context.timing.consentTimeout
      const stale = generation.staleReflexive(before, remote.address.ip)
      if (stale) for (const pair of checklist.remove(({ remote }) => remote === stale)) this.#onforgotten(now, pair)
    }
    return generation.addRemote(remote, seenAt)
  }

  #pair(now: number, generation: Generation, local: Candidate, remote: Candidate, role: IceRole): Pair | undefined {
    const translated = generation.gatherer.translates(local.base ?? local.address)
    return Checklist.canPair(local, remote, translated) ? this.#add(now, generation, local, remote, role) : undefined
  }

  #add(
    now: number,
    generation: Generation,
    local: Candidate,
    remote: Candidate,
    role: IceRole,
    connection?: Address,
  ): Pair | undefined {
    const forgotten = (victim: Pair) => this.#onforgotten(now, victim)
    const pair = generation.checklist.add(local, remote, role, connection, forgotten)
    if (!pair) return undefined
    this.#context.log(now, 'pair', () => `${pair.id} ${describePair(pair)}`)
    this.#options.onpair(now, pair)
    return pair
  }
}

/** Reflexive candidates are sent from their base, and so are pruned to it: RFC 8445 §6.1.2.4. */
function isBase({ type }: Candidate): boolean {
  return type === 'host' || type === 'relay'
}

function sameBase(candidate: Candidate, local: Address): boolean {
  const base = candidate.base ?? candidate.address
  return base === local || (base.port === local.port && base.ip === local.ip)
}
