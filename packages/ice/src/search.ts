import type { Address, Attributes, DecodedMessage, Packet, TransactionId } from '@floe/stun'
import { encode, newTransactionId, sameAddress, verifyIntegrity } from '@floe/stun'
import type { Candidate } from './candidate.ts'
import { candidatePriority, peerReflexivePriority } from './candidate.ts'
import type { CheckCredentials } from './check.ts'
import { SEARCH, UNPRIVILEGED_PORTS } from './defaults.ts'
import { networkInfoOf } from './network-cost.ts'
import type { Context } from './outputs.ts'
import { drawPorts, type PortRange } from './port-range.ts'
import { randomFraction } from './random-fraction.ts'
import { SearchControl } from './search-control.ts'
import { nextTurn, SearchSockets } from './search-sockets.ts'

/** What a search is for. Its target has been seen as the peer's own address: `isPeersOwn`. */
export type SearchTask =
  /**
   * Our NAT gives each flow another port. `port`: of the peer's, to send to; `undefined`: its NAT does the same, and
   * `aim()` brings what it foretells. `offers`: the peer is told of ports as candidates.
   */
  | { readonly side: 'sockets'; readonly ip: string; readonly port: number | undefined; readonly offers: boolean }
  /** The peer's does: these of its ports are tried, one after the other. */
  | { readonly side: 'ports'; readonly ip: string; readonly ports: readonly number[] }

export interface SearchOptions {
  readonly task: SearchTask
  /** The socket that probes, or beside which others are opened. */
  readonly base: Candidate
  /** Where our NAT shows that base. */
  readonly external: Address
  /** A STUN server of ours: tells ports, and whether the router copes. */
  readonly server: Address
  readonly credentials: CheckCredentials
  readonly usernameFragment: string
  /** When it may send to the peer: until then our own server is asked for ports. */
  readonly notBefore: number
  /** ICE-CONTROLLING or ICE-CONTROLLED. */
  readonly claim: () => Attributes
  /** Our mappings are being made: the peer is to be told. */
  readonly onrange: (now: number, range: PortRange, sockets: number) => void
  /** The peer has answered on a path that is no pair yet. */
  readonly onmet: (now: number, local: Address, remote: Address) => void
  readonly onend: (now: number, reason: string) => void
}

/**
 * One search for a way between a NAT whose mappings depend on the endpoint and one whose do not, from either side and
 * within the bounds of SEARCH. It ends with the first authenticated packet of the peer's that comes through.
 */
export class Search {
  /** Checks that were sent. */
  probes = 0
  readonly #context: Context
  readonly #options: SearchOptions
  readonly #sockets: SearchSockets | undefined
  readonly #asked = new Map<TransactionId, { readonly local: Address; readonly remote: Address }>()
  readonly #endsAt: number
  #probeAt = Number.POSITIVE_INFINITY
  #next = 0
  readonly #control: SearchControl
  #offers: number[] = []
  #offerAt = Number.POSITIVE_INFINITY
  /** The peer has to have foretold a port by then. */
  #aimBy = Number.POSITIVE_INFINITY

  constructor(now: number, context: Context, options: SearchOptions) {
    this.#context = context
    this.#options = options
    const { task, base, server, notBefore } = options
    this.#endsAt = Math.max(now, notBefore) + SEARCH.duration
    this.#control = new SearchControl(now, context, { local: base.address, server, onfailed: options.onend })
    if (task.side === 'ports') this.#probeAt = now
    else
      this.#sockets = new SearchSockets(now, context, {
        near: base.address,
        server,
        target: task.port === undefined ? undefined : { ip: task.ip, port: task.port },
        notBefore,
        check: (local, remote, ttl) => this.#check(local, remote, ttl),
        onrange: (at, range, sockets) => this.#spread(at, range, sockets),
        onfailed: options.onend,
      })
  }

  get side(): SearchTask['side'] {
    return this.#options.task.side
  }

  /** The socket that probes, or beside which others are opened. */
  get base(): Address {
    return this.#options.base.address
  }

  /** Nothing has been sent to the peer, and nothing was to be. */
  isUnbegun(now: number): boolean {
    return now < this.#options.notBefore
  }

  /** The port that the peer foretells of its own, if that is waited for. */
  aim(ip: string, port: number): void {
    const { task } = this.#options
    if (task.side !== 'sockets' || task.port !== undefined || task.ip !== ip || port < UNPRIVILEGED_PORTS.low) return
    this.#aimBy = Number.POSITIVE_INFINITY
    this.#sockets?.aim({ ip: task.ip, port })
  }

  has(local: Address): boolean {
    return this.#sockets?.has(local) ?? false
  }

  addSockets(now: number, addresses: readonly Address[]): void {
    this.#sockets?.add(now, addresses)
  }

  /** The socket becomes a base of the agent's; the others are closed with the search. */
  take(local: Address): void {
    this.#sockets?.take(local)
  }

  /** An answer to one of ours: from a server, or from the peer, which ends the search. */
  handleResponse(now: number, message: DecodedMessage, packet: Packet): boolean {
    if (this.#sockets?.handleResponse(now, message, packet)) return true
    this.#control.noteDelay(now - this.timeout())
    if (this.#control.handleResponse(now, message, packet)) return true
    const asked = this.#asked.get(message.transactionId)
    if (!asked || message.class !== 'success') return false
    if (!sameAddress(asked.remote, packet.remote) || !sameAddress(asked.local, packet.local)) return false
    if (!verifyIntegrity(message, this.#options.credentials.key)) return false
    this.#options.onmet(now, packet.local, packet.remote)
    return true
  }

  handleTimeout(now: number): void {
    if (now >= this.#endsAt) return this.#options.onend(now, 'not found in time')
    if (now >= this.#aimBy) return this.#options.onend(now, 'the peer’s ports cannot be foretold')
    this.#control.noteDelay(now - this.timeout())
    this.#sockets?.handleTimeout(now)
    while (now >= this.#probeAt) this.#probe(now)
    if (now >= this.#offerAt) this.#offer(now)
    this.#control.handleTimeout(now)
  }

  timeout(): number {
    const sockets = this.#sockets?.timeout() ?? Number.POSITIVE_INFINITY
    return Math.min(this.#endsAt, this.#aimBy, this.#probeAt, this.#offerAt, sockets, this.#control.timeout())
  }

  close(): void {
    this.#sockets?.close()
    this.#asked.clear()
  }

  /**
   * Each port is tried once; where there are few, once per second, since all hangs on one packet then. Timers are late by a
   * little: some probes are caught up on at once, and no more than that.
   */
  #probe(now: number): void {
    const { task, base } = this.#options
    if (task.side !== 'ports') return
    const port = task.ports[this.#next++]
    if (port !== undefined) {
      this.#probeAt = nextTurn(this.#probeAt, now, SEARCH.probeEvery)
      return this.#check(base.address, { ip: task.ip, port })
    }
    this.#next = 0
    this.#probeAt = task.ports.length > SEARCH.samples ? Number.POSITIVE_INFINITY : now + SEARCH.reportEvery
  }

  #spread(now: number, range: PortRange, sockets: number): void {
    const { task, notBefore, onrange } = this.#options
    if (task.side !== 'sockets') return
    if (!this.#sockets?.isAimed) this.#aimBy = Math.max(now, notBefore) + SEARCH.aimPatience
    onrange(now, range, sockets)
    if (!task.offers) return
    const random = randomFraction(this.#context.random)
    // Of random ports a browser would have to try thousands: the few that it will are as good as any.
    this.#offers = drawPorts(range.low, range.high, SEARCH.offers, random)
    // Sockets first: an early check would find nothing, and is not repeated soon.
    this.#offerAt = Math.max(now, notBefore) + sockets * SEARCH.openEvery
  }

  /** Predicted ports as candidates: a peer that knows nothing of searches checks them like any others. */
  #offer(now: number): void {
    const { base, external, usernameFragment } = this.#options
    for (const port of this.#offers.splice(0, SEARCH.offersAtOnce)) {
      this.#context.emit({
        type: 'candidate',
        candidate: {
          type: 'srflx',
          protocol: 'udp',
          address: { ip: external.ip, port },
          base: base.address,
          relatedAddress: { ip: '0.0.0.0', port: 9 },
          foundation: `p${port}`,
          component: 1,
          priority: candidatePriority('srflx', 0),
          usernameFragment,
          ...(base.extensions && { extensions: base.extensions }),
        },
      })
    }
    this.#offerAt = this.#offers.length > 0 ? now + SEARCH.offerEvery : Number.POSITIVE_INFINITY
  }

  #check(local: Address, remote: Address, ttl?: number): void {
    const { credentials, base, claim } = this.#options
    const transactionId = newTransactionId(this.#context.random)
    const networkInfo = networkInfoOf(base)
    const attributes = {
      username: credentials.username,
      priority: peerReflexivePriority(base),
      ...(networkInfo && { networkInfo }),
      ...claim(),
    }
    const bytes = encode(
      { method: 'binding', class: 'request', transactionId, attributes },
      { key: credentials.key, fingerprint: true },
    )
    this.#asked.set(transactionId, { local, remote })
    this.probes++
    const packet: Packet = { protocol: 'udp', local, remote, bytes }
    this.#context.emit(ttl === undefined ? { type: 'packet', packet } : { type: 'packet', packet, ttl })
  }
}
