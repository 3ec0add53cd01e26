import type { Address, Attributes, DecodedMessage, Packet, PortReport } from '@floe/stun'
import { decode, formatAddress, isStun, verifyIntegrity } from '@floe/stun'
import { isReachable } from './candidate.ts'
import type { Pair } from './candidate-pair.ts'
import type { Checklist } from './checklist.ts'
import { FRESH_SOCKETS, LIFETIME, SEARCH, UNPRIVILEGED_PORTS } from './defaults.ts'
import { Following } from './following.ts'
import type { Generation } from './generation.ts'
import { isPeersOwn, type NatEvidence, ownNat, peersNat } from './nat-evidence.ts'
import { Openers } from './openers.ts'
import type { Context } from './outputs.ts'
import { drawPorts, mayForetell, sweepPorts } from './port-range.ts'
import { DIRECT, tierOf } from './preference.ts'
import { randomFraction } from './random-fraction.ts'
import { Search, type SearchTask } from './search.ts'
import type { Sources } from './sources.ts'
import type { TraversalOptions } from './traversal-options.ts'

export interface TraversalOwner {
  readonly generation: () => Generation
  readonly connectivity: {
    readonly path: {
      readonly selected: Pair | undefined
      /** The base of the pair in use, when its mapping is about to end and no other path is there. */
      takeAgingBase(now: number, checklist: Checklist): Address | undefined
    }
    /** What our requests say of our role. */
    readonly claim: Attributes
    /** There is a way to the peer that is no pair yet. */
    meet(now: number, local: Address, remote: Address, claim?: number): void
    /** Sends a check on the pair in use, so that the peer hears our report. */
    tell(now: number): void
  }
  readonly sources: Sources
}

/**
 * What is done when no direct path has been found for a while: fresh sockets, in case an unsolicited packet has taken our
 * port, or a search for the ports of a NAT that gives each flow another one.
 */
export class Traversal {
  readonly #context: Context
  readonly #options: TraversalOptions
  readonly #owner: TraversalOwner
  #generation: Generation | undefined
  /** There has been no direct path since. */
  #since: number | undefined
  #decideAt = Number.POSITIVE_INFINITY
  /** A search that will be due soon may ask our own server. */
  #prepareAt = Number.POSITIVE_INFINITY
  #decisions = 0
  #search: Search | undefined
  /** Sockets opened in place of others, in order. */
  readonly #fresh: Address[] = []
  /** The base whose mapping is about to end, while a socket is being opened that will do instead. */
  #aging: Address | undefined
  #renewals = 0
  #selected: Pair | undefined
  /** When what that leads through was made: a NAT may make it anew. */
  #bornAt: number | undefined
  /** It is none of those from before an ICE restart, with which the peer begins anew as well. */
  #isListed = false
  /** Made when data first leaves a pair that died. */
  #following: Following | undefined
  /** The peer has not come along to this pair: a socket is being opened beside it that may bring it. */
  #unfollowed: Pair | undefined
  #tellAt = Number.POSITIVE_INFINITY
  /** What the peer is told of our own search. */
  #spread = NO_SPREAD
  #peer: PortReport | undefined
  /** The peer has said that it has no sockets any more, unless that was said before it had them. */
  #givenUpAt = Number.POSITIVE_INFINITY

  constructor(context: Context, options: TraversalOptions, owner: TraversalOwner) {
    this.#context = context
    this.#options = options
    this.#owner = owner
  }

  /** Goes with our checks as long as there is no direct path. */
  get report(): PortReport | undefined {
    if (this.#isDirect) return undefined
    const { mapping, address } = ownNat(this.#owner.generation()) ?? NOTHING_KNOWN
    return { willing: this.#options.hardNat === 'auto', mapping, address, ...this.#spread }
  }

  /** How a new pair is to be opened; `undefined`: like any other. */
  openingOf(now: number, pair: Pair): { readonly ttl: number; readonly lead: number } | undefined {
    if (!Openers.concern(pair)) return undefined
    const { openerTtl, openerLead, holdBack, freshHoldBack } = this.#context.timing
    const round = this.#fresh.indexOf(pair.base) + 1
    // The second fresh socket does without: perhaps the peer is nearer than all openers reach.
    if (round === FRESH_SOCKETS) return undefined
    // So long after the peer was told of our address it has sent an opener itself.
    const told = Math.min(
      now,
      ...this.#owner
        .generation()
        .gatherer.views(pair.base)
        .map(({ since }) => since),
    )
    const lead = told + (round > 0 ? freshHoldBack : holdBack) - now
    return { ttl: round > 0 ? openerTtl - 2 : openerTtl, lead: Math.max(openerLead, lead) }
  }

  /** From an authenticated check. */
  hear(now: number, report: PortReport): void {
    this.#peer = report
    this.#search?.aim(report.address.ip, report.aim)
    // Checks overtake each other, and old ones are repeated: who goes on says so every second.
    if (report.sockets > 0) this.#givenUpAt = Number.POSITIVE_INFINITY
    else if (this.#search?.side === 'ports') this.#givenUpAt = Math.min(this.#givenUpAt, now + 2 * SEARCH.reportEvery)
    if (report.sockets > 0 && this.#since !== undefined && !this.#search)
      this.#decideAt = Math.max(now, this.#since + this.#context.timing.directPatience)
  }

  /** To be called after every change. */
  update(now: number): void {
    const generation = this.#owner.generation()
    if (generation !== this.#generation) {
      this.#generation = generation
      this.#since = undefined
      this.#peer = undefined
      this.#end(now, 'ICE restart')
    }
    const { candidates } = generation.gatherer
    if (this.#search && !candidates.some(({ address }) => address === this.#search?.base))
      this.#end(now, 'its interface is gone')
    if (!generation.credentials) return
    this.#follow(now)
    if (this.#isDirect) {
      this.#since = undefined
      this.#decideAt = this.#prepareAt = Number.POSITIVE_INFINITY
      this.#decisions = 0
      this.#end(now, 'there is a direct path')
      this.#renew(now, generation)
    } else if (this.#since === undefined) {
      this.#since = now
      this.#decideAt = now + this.#context.timing.directPatience
      this.#prepareAt = this.#decideAt - SEARCH.lead
    }
  }

  /** The driver has opened what `sockets` asked for. */
  opened(now: number, near: Address, addresses: readonly Address[]): void {
    const [fresh, ...spare] = addresses
    // There may be none: what comes later is not for them any more.
    if (near === this.#aging) {
      this.#aging = undefined
      return fresh && this.#owner.sources.adopt(now, near, fresh, false)
    }
    if (near === this.#unfollowed?.base) return this.#rescue(now, this.#unfollowed, fresh)
    if (this.#search) return this.#search.addSockets(now, addresses)
    const isWanted = fresh && this.#since !== undefined && this.#fresh.length < FRESH_SOCKETS
    for (const local of isWanted ? spare : addresses) this.#context.emit({ type: 'release', local })
    if (!isWanted) return
    this.#fresh.push(fresh)
    this.#owner.sources.adopt(now, near, fresh, false)
  }

  /** `true`: it was for a socket of a search, and says nothing to others. */
  handlePacket(now: number, packet: Packet): boolean {
    if (!this.#search?.has(packet.local)) return false
    const message = isStun(packet.bytes) ? decode(packet.bytes) : undefined
    if (message?.method !== 'binding') return true
    if (message.class !== 'request') {
      this.#search.handleResponse(now, message, packet)
      return true
    }
    const { local, localKey } = this.#owner.generation()
    if (!message.attributes.username?.startsWith(`${local.usernameFragment}:`)) return true
    if (!verifyIntegrity(message, localKey)) return true
    this.#promote(now, packet.local)
    return false
  }

  /** The answer to a check of a search, or to its question to a server. */
  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    return this.#search?.handleResponse(now, message, packet) ?? false
  }

  handleTimeout(now: number): void {
    if (now >= this.#givenUpAt) this.#end(now, 'the peer has given up')
    if (this.#search && now >= this.#search.timeout()) this.#search.handleTimeout(now)
    if (now >= this.#prepareAt) this.#prepare(now)
    if (now >= this.#decideAt) this.#decide(now)
    if (now >= this.#tellAt) this.#tell(now)
    const unfollowed = this.#following?.take(now)
    this.#unfollowed = unfollowed ?? this.#unfollowed
    if (unfollowed) this.#context.emit({ type: 'sockets', near: unfollowed.base, count: 1 })
  }

  timeout(): number {
    const search = this.#search?.timeout() ?? Number.POSITIVE_INFINITY
    const following = this.#following?.timeout() ?? Number.POSITIVE_INFINITY
    return Math.min(this.#prepareAt, this.#decideAt, this.#tellAt, this.#givenUpAt, search, following)
  }

  close(now: number): void {
    this.#decideAt = this.#prepareAt = Number.POSITIVE_INFINITY
    this.#end(now, 'closed')
  }

  get #isDirect(): boolean {
    const { selected } = this.#owner.connectivity.path
    return selected !== undefined && tierOf(selected) === DIRECT
  }

  /** Asking our own server for ports, and opening sockets, are no search yet: they need not wait for all of the patience. */
  #prepare(now: number): void {
    this.#prepareAt = Number.POSITIVE_INFINITY
    const generation = this.#owner.generation()
    const own = ownNat(generation)
    if (this.#search || this.#isDirect || own?.mapping !== 'endpoint-dependent') return
    const theirs = this.#peer ?? peersNat(generation.remoteCandidates)
    const task = theirs && this.#taskFor(generation, own, theirs)
    if (task) this.#begin(now, own, task)
  }

  /** Asked a few times only: an idle agent on a relay has nothing to wake for. */
  #decide(now: number): void {
    this.#decideAt = Number.POSITIVE_INFINITY
    const generation = this.#owner.generation()
    const own = ownNat(generation)
    if (this.#search || this.#isDirect) return
    if (++this.#decisions <= DECISIONS) this.#decideAt = now + this.#context.timing.directPatience
    if (!own) return
    this.#owner.connectivity.tell(now)
    const theirs = this.#peer ?? peersNat(generation.remoteCandidates)
    const [isOurs, isTheirs] = [own, theirs].map((nat) => nat?.mapping === 'endpoint-dependent')
    if (!theirs || (!isOurs && !isTheirs)) return this.#refresh(own.base.address)
    const task = this.#taskFor(generation, own, theirs)
    if (task && !this.#begin(now, own, task)) this.#decideAt = this.#options.gate.opensAt(now, task.ip)
  }

  /** The preconditions of a search, all but the time. */
  #taskFor(generation: Generation, own: OwnNat, theirs: NatEvidence | PortReport): SearchTask | undefined {
    const { ip } = theirs.address
    const isAllowed = this.#options.hardNat === 'auto' && this.#peer?.willing !== false
    if (!isAllowed || !this.#owner.connectivity.path.selected || !isPeersOwn(generation, ip)) return undefined
    if (own.mapping === 'endpoint-dependent') {
      // Where both are, each has to foretell a port, and to tell it.
      const isHopeful = this.#peer && mayForetell(own.base.address.port, own.ports)
      if (theirs.mapping === 'endpoint-dependent')
        return isHopeful ? { side: 'sockets', ip, port: undefined, offers: false } : undefined
      // The port is the peer's word, and no socket sends to 0.
      if (theirs.mapping !== 'endpoint-independent' || !isReachable(theirs.address)) return undefined
      return { side: 'sockets', ip, port: theirs.address.port, offers: !this.#peer }
    }
    if (own.mapping !== 'endpoint-independent' || theirs.mapping !== 'endpoint-dependent') return undefined
    const ports = 'ports' in theirs ? this.#sweep(theirs.ports) : this.#portsOf(theirs)
    return ports.length > 0 ? { side: 'ports', ip, ports } : undefined
  }

  /** Of a peer that has spread sockets over a range. */
  #portsOf({ sockets, low, high }: PortReport): readonly number[] {
    if (sockets === 0 || low < UNPRIVILEGED_PORTS.low || low > high) return []
    return drawPorts(low, high, SEARCH.probes, randomFraction(this.#context.random))
  }

  /** Of one that has one socket, several ports of which were seen. */
  #sweep(seen: readonly number[]): readonly number[] {
    if (Math.max(...seen) - Math.min(...seen) >= SEARCH.sweep) return []
    return sweepPorts(seen, SEARCH.sweep, randomFraction(this.#context.random))
  }

  /** `false`: it is not its turn. */
  #begin(now: number, { base, address }: OwnNat, task: SearchTask): boolean {
    const { credentials, local } = this.#owner.generation()
    const [server] = this.#owner.sources.stunServers
    const { ip } = task
    const { gate } = this.#options
    if (!credentials || !server) return true
    if (!gate.enter(now, this, ip)) return false
    const what = task.side === 'sockets' ? 'many sockets' : `${task.ports.length} ports`
    this.#context.log(now, 'search', () => `${what} for ${ip}`, 'no direct path, and one NAT’s ports are not known')
    this.#search = new Search(now, this.#context, {
      task,
      base,
      external: address,
      server,
      credentials,
      usernameFragment: local.usernameFragment,
      notBefore: (this.#since ?? now) + this.#context.timing.directPatience,
      claim: () => this.#owner.connectivity.claim,
      onrange: (at, { low, high, aim = 0 }, sockets) => {
        this.#spread = { sockets, low, high, aim }
        this.#tell(at)
      },
      onmet: (at, from, to) => this.#met(at, from, to),
      onend: (at, reason) => {
        this.#end(at, reason, true)
        this.#decideAt = gate.opensAt(at, ip)
        // So that the peer does not look for sockets that are closed.
        this.#owner.connectivity.tell(at)
      },
    })
    if (this.#peer) this.#search.aim(this.#peer.address.ip, this.#peer.aim)
    return true
  }

  #tell(now: number): void {
    this.#tellAt = this.#search ? now + SEARCH.reportEvery : Number.POSITIVE_INFINITY
    if (this.#search) this.#owner.connectivity.tell(now)
  }

  /** Where our NAT ends mappings at an age, another one is made before this one's end. */
  #renew(now: number, { checklist }: Generation): void {
    const near = this.#owner.connectivity.path.takeAgingBase(now, checklist)
    if (!near || this.#renewals === LIFETIME.sockets) return
    this.#renewals++
    this.#aging = near
    this.#context.log(now, 'renew', () => formatAddress(near), 'its mapping is about to end')
    this.#context.emit({ type: 'sockets', near, count: 1 })
  }

  #refresh(near: Address): void {
    if (this.#fresh.length < FRESH_SOCKETS) this.#context.emit({ type: 'sockets', near, count: 1 })
  }

  #follow(now: number): void {
    const { selected } = this.#owner.connectivity.path
    const { pairs } = this.#owner.generation().checklist
    const [before, bornAt, wasListed] = [this.#selected, this.#bornAt, this.#isListed]
    this.#selected = selected
    this.#bornAt = selected?.bornAt
    this.#isListed = selected !== undefined && pairs.includes(selected)
    if (!before || (selected === before && bornAt === this.#bornAt)) return
    const isLost = before.dead || (wasListed && (selected === before || !pairs.includes(before)))
    if (isLost) this.#following ??= new Following(this.#context.timing)
    this.#following?.moved(now, before, selected, pairs, isLost)
  }

  /** A path that the peer has not judged yet, from the network where data is now. */
  #rescue(now: number, { base, destination }: Pair, fresh: Address | undefined): void {
    this.#unfollowed = undefined
    if (!fresh) return
    this.#context.log(now, 'rescue', () => formatAddress(fresh), 'the peer stays where the path has died')
    this.#owner.sources.adopt(now, base, fresh, true)
    this.#owner.connectivity.meet(now, fresh, destination, this.#following!.nextPriority())
  }

  #met(now: number, local: Address, remote: Address): void {
    if (this.#search?.has(local)) this.#promote(now, local)
    else this.#end(now, 'found')
    this.#owner.connectivity.meet(now, local, remote)
  }

  /** One of many becomes a base like any other. */
  #promote(now: number, local: Address): void {
    const near = ownNat(this.#owner.generation())?.base.address ?? local
    this.#search?.take(local)
    this.#owner.sources.adopt(now, near, local, true)
    this.#end(now, 'found')
  }

  /** `inVain`: it counts, however early. */
  #end(now: number, reason: string, inVain = false): void {
    const search = this.#search
    this.#givenUpAt = Number.POSITIVE_INFINITY
    if (!search) return
    this.#search = undefined
    this.#spread = NO_SPREAD
    this.#tellAt = Number.POSITIVE_INFINITY
    this.#options.gate.leave(this, !inVain && search.isUnbegun(now))
    this.#context.log(now, 'search-end', () => `${search.probes} checks`, reason)
    search.close()
  }
}

type OwnNat = NonNullable<ReturnType<typeof ownNat>>

const NO_SPREAD = { sockets: 0, low: 0, high: 0, aim: 0 }

const NOTHING_KNOWN = { mapping: 'unknown', address: { ip: '0.0.0.0', port: 0 } } as const

/** How often it is considered what to do: the peer's report may come later than the first time. */
const DECISIONS = 4
