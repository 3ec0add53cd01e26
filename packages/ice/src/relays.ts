import type { Address, Packet } from '@floe/stun'
import { LIMITS } from './defaults.ts'
import { type LocalBase, reaches } from './local-base.ts'
import type { Context } from './outputs.ts'
import { Relay } from './relay.ts'
import type { RelayOptions, RelayOwner } from './relay-options.ts'
import type { TurnServer } from './servers.ts'

/** What an agent hears of its relays. */
export type RelaysOwner = Omit<RelayOwner<Relay>, 'onconnection'>

/**
 * The relays of an agent, by the connections they use and the addresses they relay. They outlive ICE restarts: an
 * allocation knows nothing of ufrags.
 */
export class Relays {
  readonly #context: Context
  readonly #owner: RelaysOwner
  #relays: Relay[] = []
  /** On servers that are no longer configured. */
  #retired: Relay[] = []
  #byConnection: Map<Address, Relay> | undefined
  #byRelayed: Map<Address, Relay> | undefined

  constructor(context: Context, owner: RelaysOwner) {
    this.#context = context
    this.#owner = owner
  }

  /** Those that have an address to offer. */
  get allocated(): readonly Relay[] {
    return this.#relays.filter(({ state }) => state === 'allocated')
  }

  /** No result is waited for. */
  get settled(): boolean {
    return this.#relays.every(({ settled }) => settled)
  }

  gather(bases: readonly LocalBase[], servers: readonly TurnServer[]): void {
    for (const server of servers) {
      const sources = sourcesFor(server, bases)
      if (sources.length === 0) continue
      // Over TCP and TLS one has to do, from whichever address leads there.
      const each = server.protocol === 'udp' ? sources.slice(0, LIMITS.relayInterfaces).map((ip) => [ip]) : [sources]
      for (const from of each) this.#add({ server, from, families: [4, 6] })
    }
  }

  /** No base has this IP address any more: relays that are reached from it are lost. */
  leave(now: number, ip: string): void {
    const gone: Relay[] = []
    for (const relay of [...this.#relays, ...this.#retired]) {
      if (relay.from !== ip) continue
      if (relay.leave(now)) gone.push(relay)
    }
    this.#relays = this.#relays.filter((relay) => !gone.includes(relay))
  }

  /** These servers are no longer configured: the relays on them make no candidates, and stay until `closeRetired`. */
  retire(now: number, isGone: (server: TurnServer) => boolean): void {
    const gone = this.#relays.filter(({ server }) => isGone(server))
    this.#relays = this.#relays.filter((relay) => !gone.includes(relay))
    this.#retired = [...this.#retired.filter(({ state }) => state !== 'closed'), ...gone]
    for (const relay of gone) relay.retire(now)
  }

  /** No pair needs them any more. */
  closeRetired(now: number): void {
    for (const relay of this.#retired) {
      this.#forget(now, relay, relay.relayed)
      relay.close(now)
    }
  }

  /** An ICE restart asks servers again that have refused before: the caller may have mended something. */
  retry(now: number): void {
    for (const relay of this.#relays) relay.retry(now)
  }

  /** Something waits for its turn in the pace of RFC 8445 §14.2. */
  get hasWork(): boolean {
    return this.#relays.some(({ waits }) => waits)
  }

  startNext(now: number): void {
    this.#relays.find(({ waits }) => waits)?.start(now)
  }

  /** Whether packets with this local address leave through a relay. */
  carries(local: Address): boolean {
    return this.#byRelayed?.has(local) ?? false
  }

  /** The relay of a relayed address. */
  at(relayed: Address): Relay | undefined {
    return this.#byRelayed?.get(relayed)
  }

  /** `packet.local` is a relayed address. `false`: the relay is not up, and the packet is lost. */
  transmit(now: number, { local, remote, bytes }: Packet): boolean {
    return this.#byRelayed?.get(local)?.send(now, remote, bytes) ?? false
  }

  permit(now: number, relayed: Address, ip: string): void {
    this.#byRelayed?.get(relayed)?.permit(now, ip)
  }

  /** Peers that nobody needs to reach any more: whoever has their addresses now has no business with us. */
  forget(isNeeded: (relayed: readonly Address[], ip: string) => boolean): void {
    for (const relay of this.#relays) relay.forbid((ip) => !isNeeded(relay.relayed, ip))
  }

  /** A path has died: perhaps that to the servers as well, which have given up what they held for us. */
  verify(now: number): void {
    for (const relay of this.#relays) relay.verify(now)
    for (const relay of this.#retired) relay.verify(now)
  }

  bindChannel(now: number, relayed: Address, peer: Address): void {
    this.#byRelayed?.get(relayed)?.bindChannel(now, peer)
  }

  /** Whether packets to this local address come over a connection to a TURN server. */
  uses(local: Address): boolean {
    return this.#byConnection?.has(local) ?? false
  }

  connected(now: number, connection: Address): boolean {
    const relay = this.#byConnection?.get(connection)
    relay?.connected(now)
    return relay !== undefined
  }

  disconnected(now: number, connection: Address, reason: string): boolean {
    const relay = this.#byConnection?.get(connection)
    relay?.disconnected(now, reason)
    return relay !== undefined
  }

  handlePacket(now: number, packet: Packet): boolean {
    return this.#byConnection?.get(packet.local)?.handlePacket(now, packet) ?? false
  }

  handleTimeout(now: number): void {
    for (const relay of this.#relays) if (now >= relay.timeout()) relay.handleTimeout(now)
    for (const relay of this.#retired) if (now >= relay.timeout()) relay.handleTimeout(now)
  }

  timeout(): number {
    let next = Number.POSITIVE_INFINITY
    for (const relay of this.#relays) next = Math.min(next, relay.timeout())
    for (const relay of this.#retired) next = Math.min(next, relay.timeout())
    return next
  }

  close(now: number): void {
    this.#byRelayed?.clear()
    for (const relay of [...this.#relays, ...this.#retired]) relay.close(now)
  }

  #add(options: RelayOptions): void {
    const known = this.#relays.find((relay) => relay.isFor(options))
    if (known) return known.offer(options.from)
    if (this.#relays.length >= LIMITS.relays) return
    this.#relays.push(
      new Relay(this.#context, options, {
        ...this.#owner,
        onconnection: (relay, before, after) => this.#rename(relay, before, after),
        onallocated: (now, relay) => this.#adopt(now, relay),
        onlost: (now, relay, relayed) => this.#forget(now, relay, relayed),
      }),
    )
  }

  #rename(relay: Relay, before: Address | undefined, after: Address | undefined): void {
    if (before) this.#byConnection?.delete(before)
    if (after) (this.#byConnection ??= new Map()).set(after, relay)
  }

  #adopt(now: number, relay: Relay): void {
    this.#byRelayed ??= new Map()
    for (const address of relay.relayed) this.#byRelayed.set(address, relay)
    this.#owner.onallocated(now, relay)
    // Older servers know ADDITIONAL-ADDRESS-FAMILY not at all: they get a second request, for the other family alone.
    const { server, from } = relay
    if (from === undefined) return
    for (const family of relay.unanswered) this.#add({ server, from: [from], families: [family], tacit: true })
  }

  #forget(now: number, relay: Relay, relayed: readonly Address[]): void {
    for (const address of relayed) this.#byRelayed?.delete(address)
    this.#owner.onlost(now, relay, relayed)
  }
}

/**
 * The local addresses to reach a server from, one per interface, the best first. Over UDP the best of them get a relay
 * each, since a relay should outlive an interface. A proxy is reached as the system likes.
 */
function sourcesFor({ address, viaProxy }: TurnServer, bases: readonly LocalBase[]): string[] {
  if (viaProxy) return ['0.0.0.0']
  const fitting = bases
    .map((base, index) => ({ base, rank: base.rank ?? index }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ base }) => base)
    .filter((base) => reaches(base, address.ip))
  return fitting
    .filter((base, index) => fitting.findIndex((other) => isSameInterface(base, other)) === index)
    .map(({ address: { ip } }) => ip)
}

function isSameInterface(a: LocalBase, b: LocalBase): boolean {
  return a.address.ip === b.address.ip || (a.interfaceName !== undefined && a.interfaceName === b.interfaceName)
}
