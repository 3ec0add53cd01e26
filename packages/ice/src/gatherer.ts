import type { Address, DecodedMessage, Packet } from '@floe/stun'
import { addressFamily, formatAddress, isIPv4, newTransactionId, sameAddress, Transaction } from '@floe/stun'
import { type Candidate, candidatePriority, isReachable } from './candidate.ts'
import { LIMITS, SERVER_REFLEXIVE_DEMOTION } from './defaults.ts'
import type { GatheringBase, Inquiry } from './inquiry.ts'
import { guessKeptPort } from './kept-port.ts'
import {
  asOurs,
  blankAddress,
  isSameBase,
  type LocalBase,
  peerReflexive,
  type RelayedAddress,
  reaches,
  relatedAddress,
  unsignalled,
} from './local-base.ts'
import { isFull, withoutOldReflexive } from './local-limits.ts'
import { ADOPTED_PREFERENCE, relayPreference, tcpPreference, uniquePriority } from './local-preference.ts'
import { isMapped, mappingChanges } from './mapped-addresses.ts'
import { networkExtensions } from './network-cost.ts'
import type { Context } from './outputs.ts'
import { relayExtensions } from './relay-protocol.ts'
import { reportFailure } from './server-failure.ts'
import type { StunServer } from './servers.ts'
import type { View } from './view.ts'

/** `replaced`: the peer-reflexive candidate that stood for it until now. */
export type OnCandidate = (now: number, candidate: Candidate, replaced: Candidate | undefined) => void

export interface GathererOptions {
  readonly oncandidate: OnCandidate
  /** A base reaches addresses that it did not reach before. */
  readonly onreach: (now: number, host: Candidate) => void
  /** They were told, and are no longer true. */
  readonly onremoved: (candidates: readonly Candidate[]) => void
  /** Whether relays are still being asked for: the end of candidates waits for them. */
  readonly awaitsRelays: () => boolean
}

/** Local candidates of one generation: host at once, server-reflexive from all servers in parallel. RFC 8445 §5.1.1. */
export class Gatherer {
  readonly #context: Context
  readonly #usernameFragment: string
  readonly #options: GathererOptions
  #bases: readonly GatheringBase[] = []
  readonly #servers: StunServer[] = []
  #foundations: readonly string[] = []
  /** Bases that there have been, of each family. */
  #ipv4Count = 0
  #ipv6Count = 0
  #relayCount = 0
  #inquiries: Inquiry[] = []
  #candidates: readonly Candidate[] = []
  #expectsMore = true
  #ended = false

  constructor(context: Context, usernameFragment: string, options: GathererOptions) {
    this.#context = context
    this.#usernameFragment = usernameFragment
    this.#options = options
  }

  get candidates(): readonly Candidate[] {
    return this.#candidates
  }

  gather(now: number, bases: readonly LocalBase[], servers: readonly StunServer[], complete: boolean): void {
    this.#expectsMore = !complete
    const fresh = bases
      .filter((base) => !this.#bases.some((known) => isSameBase(known.base, base)))
      .map((base, index) => ({ base, rank: base.rank ?? index }))
      .sort((a, b) => a.rank - b.rank)
    for (const { base } of fresh) this.#addBase(now, base)
    for (const server of servers) this.#addServer(server)
    this.#endIfDone(now)
  }

  /** A base that is given again: other addresses reach it now, or it reaches others. */
  update(now: number, base: LocalBase): void {
    const local = this.#bases.find((known) => isSameBase(known.base, base))
    if (!local) return
    const { base: before } = local
    local.base = { ...before, ...base, address: before.address }
    if (base.mapped) this.#remap(now, local, before.mapped)
    if (!base.translated || before.translated) return
    const host = this.#candidates.find(({ type, base }) => type === 'host' && base === before.address)
    if (host) this.#options.onreach(now, host)
    for (const server of this.#servers) if (isIPv4(server.address.ip)) this.#inquire(local, server)
  }

  /** Whether pairs of this base with IPv4 addresses are of any use. */
  translates(address: Address): boolean {
    return this.#bases.some(({ base }) => base.translated && base.address === address)
  }

  /** A relayed candidate, RFC 8445 §5.1.1.2: its base is itself. */
  addRelayed(now: number, { address, protocol, server, url, mapped, network }: RelayedAddress): void {
    if (isFull(this.#candidates)) return
    this.#reopen()
    const family = addressFamily(address.ip)
    const ofNetwork = network && networkExtensions(network).extensions
    const candidate: Candidate = {
      type: 'relay',
      protocol: 'udp',
      relayProtocol: protocol,
      address,
      base: address,
      relatedAddress: mapped ?? blankAddress(family),
      foundation: this.#foundation('relay', address.ip, `${server.ip} ${protocol}`),
      component: 1,
      priority: candidatePriority('relay', relayPreference(protocol, family, this.#relayCount++)),
      usernameFragment: this.#usernameFragment,
      extensions: [...relayExtensions(protocol), ...(ofNetwork ?? [])],
      url,
    }
    this.#candidates = this.#candidates.concat(candidate)
    this.#options.oncandidate(now, candidate, undefined)
  }

  /** A base that the peer has found by itself: no candidate of it is signalled, and no server asked. */
  adopt(base: LocalBase): void {
    this.#bases = this.#bases.concat({ base, localPreference: 0 })
    const foundation = this.#foundation('host', base.address.ip, '')
    const priority = uniquePriority(this.#candidates, 'host', ADOPTED_PREFERENCE, 'udp')
    this.#candidates = this.#candidates.concat(unsignalled(base, foundation, this.#usernameFragment, priority))
  }

  /** Where servers have seen this base. */
  views(base: Address): View[] {
    return this.#inquiries.flatMap(({ local, server, mapped, mappedAt = 0 }) =>
      local.base.address === base && mapped ? [{ observer: server.address, mapped, since: mappedAt }] : [],
    )
  }

  /** The relays have changed: perhaps all candidates are known now. */
  relaysSettled(now: number): void {
    this.#endIfDone(now)
  }

  /** Forgets a relayed address that the server no longer holds for us. */
  removeRelayed(address: Address): void {
    this.#withdraw(({ base }) => base === address)
  }

  /** Forgets bases whose socket or interface is gone, or which are relayed addresses, with everything learnt through them. */
  removeBases(now: number, isGone: (base: Address) => boolean): void {
    this.#bases = this.#bases.filter(({ base }) => !isGone(base.address))
    this.#inquiries = this.#inquiries.filter(({ local }) => !isGone(local.base.address))
    this.#withdraw(({ base }) => base !== undefined && isGone(base))
    this.#endIfDone(now)
  }

  /** The network has changed, and NATs perhaps with it: all mappings are asked for again. */
  remap(now: number): void {
    for (const inquiry of this.#inquiries) if (inquiry.settled && !inquiry.transaction) this.#refresh(now, inquiry)
  }

  /** The candidate that the peer saw us at, RFC 8445 §7.2.5.3.1: a known one, or a new peer-reflexive one. */
  reflexive(host: Candidate, mapped: Address): Candidate {
    // A relay that sits behind a NAT of its own is a relay all the same, and no better than one.
    if (host.type === 'relay') return host
    const base = host.base ?? host.address
    const address = asOurs(mapped, base, host.protocol)
    const known = this.#candidates.find(
      (it) =>
        it.protocol === host.protocol && sameAddress(it.address, address) && sameAddress(it.base ?? it.address, base),
    )
    if (known) return known
    const local = this.#bases.find((it) => sameAddress(it.base.address, base))?.base ?? { address: base }
    const candidate = peerReflexive(
      host,
      local,
      address,
      this.#foundation('prflx', base.ip, ''),
      this.#usernameFragment,
    )
    this.#candidates = withoutOldReflexive(this.#candidates).concat(candidate)
    return candidate
  }

  /** Something waits for its turn in the pace of RFC 8445 §14.2. */
  get hasWork(): boolean {
    return this.#inquiries.some(({ transaction, settled }) => !transaction && !settled)
  }

  startNext(now: number): void {
    const inquiry = this.#inquiries.find(({ transaction, settled }) => !transaction && !settled)
    if (!inquiry) return
    inquiry.deadline = now + this.#context.timing.serverDeadline
    this.#ask(now, inquiry)
  }

  #ask(now: number, inquiry: Inquiry): void {
    const { timing, random } = this.#context
    inquiry.transaction = new Transaction(now, {
      message: { method: 'binding', class: 'request', transactionId: newTransactionId(random), attributes: {} },
      local: inquiry.local.base.address,
      remote: inquiry.server.address,
      rto: timing.serverRto,
      rc: timing.serverRc,
      rm: timing.Rm,
    })
    this.#drain(now, inquiry)
  }

  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    const inquiry = this.#inquiries.find(({ transaction }) => transaction?.id === message.transactionId)
    if (!inquiry?.transaction?.handleResponse(now, message, packet)) return false
    this.#drain(now, inquiry)
    this.#endIfDone(now)
    return true
  }

  /** `keepalive`: no pair is selected yet, so mappings are still needed (RFC 8445 §5.1.1.4). */
  handleTimeout(now: number, keepalive: boolean): void {
    for (const inquiry of this.#inquiries) {
      const { transaction } = inquiry
      if (transaction && now >= transaction.timeout()) {
        transaction.handleTimeout(now)
        this.#drain(now, inquiry)
      }
      if (!inquiry.settled && now >= inquiry.deadline) this.#settle(now, inquiry, 701, 'no answer')
      if (keepalive && now >= inquiry.refreshAt) this.#refresh(now, inquiry)
    }
    this.#endIfDone(now)
  }

  timeout(keepalive: boolean): number {
    let next = Number.POSITIVE_INFINITY
    for (const { transaction, settled, deadline, refreshAt } of this.#inquiries) {
      if (transaction) next = Math.min(next, transaction.timeout())
      if (!settled) next = Math.min(next, deadline)
      if (keepalive) next = Math.min(next, refreshAt)
    }
    return next
  }

  #addBase(now: number, base: LocalBase): void {
    const family = addressFamily(base.address.ip)
    if (!family || this.#bases.length >= LIMITS.localCandidates) return
    // RFC 8421 §4: the families take turns, IPv6 first, so that a broken family delays the other by one check at most.
    const rank = family === 6 ? 2 * this.#ipv6Count++ : 2 * this.#ipv4Count++ + 1
    const local = { base, localPreference: base.tcpType ? tcpPreference(base.tcpType, rank) : 65535 - rank }
    this.#bases = this.#bases.concat(local)
    if (base.relayOnly) return
    this.#add(now, local, 'host', base.address)
    for (const mapped of base.mapped ?? []) this.#add(now, local, 'srflx', mapped)
    for (const server of this.#servers) this.#inquire(local, server)
  }

  #remap(now: number, local: GatheringBase, before: readonly Address[] | undefined): void {
    const { gone, fresh } = mappingChanges(before, local.base.mapped)
    this.#withdraw((it) => it.base === local.base.address && isMapped(it, gone))
    if (gone.length + fresh.length > 0) this.#reopen()
    for (const mapped of fresh) this.#add(now, local, 'srflx', mapped)
  }

  #addServer(server: StunServer): void {
    if (this.#servers.some(({ address }) => sameAddress(address, server.address))) return
    this.#servers.push(server)
    for (const local of this.#bases) this.#inquire(local, server)
  }

  /** Over UDP only: a mapping of a TCP connection says nothing about the next one. */
  #inquire(local: GatheringBase, server: StunServer): void {
    if (local.base.relayOnly || local.base.tcpType) return
    if (!reaches(local.base, server.address.ip)) return
    const never = Number.POSITIVE_INFINITY
    this.#inquiries.push({ local, server, transaction: undefined, deadline: never, settled: false, refreshAt: never })
    this.#reopen()
  }

  #add(
    now: number,
    { base, localPreference }: GatheringBase,
    type: 'host' | 'srflx',
    address: Address,
    server?: StunServer,
  ): void {
    const { tcpType } = base
    const protocol = tcpType ? 'tcp' : 'udp'
    const index = this.#candidates.findIndex((it) => sameAddress(it.address, address) && it.base === base.address)
    const known = this.#candidates[index]
    // A check's answer may have been faster than the server's: the address is gathered all the same, RFC 8445 §5.1.3.
    if (known ? known.type !== 'prflx' : isFull(this.#candidates)) return
    const candidate: Candidate = {
      type,
      protocol,
      ...(tcpType && { tcpType }),
      address,
      base: base.address,
      foundation: this.#foundation(
        type,
        base.fresh ? formatAddress(base.address) : base.address.ip,
        tcpType ?? server?.address.ip ?? '',
      ),
      component: 1,
      priority: uniquePriority(
        this.#candidates,
        type,
        localPreference - (server ? SERVER_REFLEXIVE_DEMOTION : 0),
        protocol,
      ),
      usernameFragment: this.#usernameFragment,
      ...(type === 'srflx' && { relatedAddress: relatedAddress(base) }),
      ...(type === 'host' && base.hostname !== undefined && { hostname: base.hostname }),
      ...(base.network && networkExtensions(base.network)),
      ...(server && { url: server.url }),
    }
    if (known) this.#candidates = this.#candidates.with(index, candidate)
    else this.#candidates = this.#candidates.concat(candidate)
    this.#reopen()
    this.#options.oncandidate(now, candidate, known)
  }

  #withdraw(isGone: (candidate: Candidate) => boolean): void {
    const gone = this.#candidates.filter(isGone)
    this.#candidates = this.#candidates.filter((candidate) => !isGone(candidate))
    // Peer-reflexive ones are not signalled, so nobody has to be told that they are gone.
    const told = gone.filter(({ type }) => type !== 'prflx')
    if (told.length > 0) this.#options.onremoved(told)
  }

  /** RFC 8445 §5.1.1.3: equal for equal type, base address, server and transport, and for nothing else. */
  #foundation(type: string, baseIp: string, serverIp: string): string {
    const key = [type, baseIp, serverIp].join(' ')
    const known = this.#foundations.indexOf(key)
    if (known >= 0) return String(known + 1)
    this.#foundations = this.#foundations.concat(key)
    return String(this.#foundations.length)
  }

  #drain(now: number, inquiry: Inquiry): void {
    for (let output = inquiry.transaction?.poll(); output; output = inquiry.transaction?.poll()) {
      if (output.type === 'packet') this.#context.emit(output)
      else if (output.type === 'timeout') this.#settle(now, inquiry, 701, 'no answer')
      else this.#answered(now, inquiry, output.message)
    }
  }

  #answered(now: number, inquiry: Inquiry, { class: kind, attributes }: DecodedMessage): void {
    const mapped = attributes.xorMappedAddress ?? attributes.mappedAddress
    if (kind === 'success' && mapped && isReachable(mapped)) {
      inquiry.mapped = mapped
      inquiry.mappedAt ??= now
      this.#add(now, inquiry.local, 'srflx', mapped, inquiry.server)
      this.#guess(now, inquiry.local.base)
      this.#settle(now, inquiry)
      inquiry.refreshAt = now + this.#context.timing.mappingKeepalive
    } else {
      const { code, reason } = attributes.errorCode ?? { code: 701, reason: 'answer without an address of use' }
      this.#settle(now, inquiry, code, reason)
    }
  }

  #guess(now: number, base: LocalBase): void {
    const kept = guessKeptPort(base, this.views(base.address), this.#candidates)
    if (!kept || isFull(this.#candidates)) return
    this.#candidates = this.#candidates.concat(kept)
    this.#options.oncandidate(now, kept, undefined)
  }

  #settle(now: number, inquiry: Inquiry, errorCode?: number, errorText = ''): void {
    inquiry.transaction = undefined
    if (inquiry.settled) return
    inquiry.settled = true
    inquiry.deadline = Number.POSITIVE_INFINITY
    if (errorCode === undefined || inquiry.server.tacit) return
    reportFailure(now, this.#context, inquiry.local.base, inquiry.server, { errorCode, errorText })
  }

  #refresh(now: number, inquiry: Inquiry): void {
    // Whether it is answered or not: one lost exchange is no reason to let the mapping go.
    inquiry.refreshAt = now + this.#context.timing.mappingKeepalive
    this.#ask(now, inquiry)
  }

  /** More candidates after the last one: RFC 8838 knows no such thing, W3C's gathering state does. */
  #reopen(): void {
    if (this.#ended) this.#context.emit({ type: 'gatheringstate', state: 'gathering' })
    this.#ended = false
  }

  #endIfDone(now: number): void {
    if (
      this.#ended ||
      this.#expectsMore ||
      this.#options.awaitsRelays() ||
      this.#inquiries.some(({ settled }) => !settled)
    )
      return
    this.#ended = true
    this.#context.log(now, 'gathered', () => `${this.#candidates.length} candidates`)
    this.#context.emit({ type: 'candidate', candidate: null })
    this.#context.emit({ type: 'gatheringstate', state: 'complete' })
  }
}
