import type { Address, Packet } from '@floe/stun'
import { addressFamily, sameAddress } from '@floe/stun'
import type { Pair } from './candidate-pair.ts'
import type { Generation } from './generation.ts'
import { isSameBase, type LocalBase } from './local-base.ts'
import type { Context } from './outputs.ts'
import type { Relay } from './relay.ts'
import { Relays } from './relays.ts'
import type { ServerAddress, ServerChange, StunServer, TurnServer } from './servers.ts'
import { unreachable } from './unreachable.ts'

export interface SourcesOptions {
  /** The generation that candidates are gathered for. */
  readonly generation: () => Generation
  /** Pairs that cannot carry anything any more. */
  readonly onlost: (now: number, isLost: (pair: Pair) => boolean) => void
  /** Pairs that a relay refuses to serve. */
  readonly onrefused: (now: number, isRefused: (pair: Pair) => boolean, reason: string) => void
  /** A packet has come through a relay: `local` is the relayed address. */
  readonly onpacket: (now: number, packet: Packet) => void
}

/** What a path leads through at our end. */
export interface WayOut {
  /** The interface; an IP address where interfaces have no names. */
  readonly via: string
  /** IP address of the TURN server. */
  readonly relay: string | undefined
}

/**
 * What an agent gathers from: its sockets, its servers and the relays on them. They outlive ICE restarts, after which a
 * new generation's gatherer makes candidates of them again.
 */
export class Sources {
  readonly relays: Relays
  readonly #options: SourcesOptions
  readonly #context: Context
  #bases: readonly LocalBase[] = []
  #servers: ServerAddress[] = []
  /** While what is lost is gone together with something else. */
  #losing: Address[] | undefined
  #complete = false
  /** URLs that no base reaches, once that was said. */
  #unreachable: Set<string> | undefined

  constructor(context: Context, options: SourcesOptions) {
    this.#context = context
    this.#options = options
    this.relays = new Relays(context, {
      onallocated: (now, relay) => this.#addRelayed(now, relay),
      onlost: (now, _, relayed) => this.#loseRelayed(now, relayed),
      onsettled: (now) => options.generation().gatherer.relaysSettled(now),
      onrefused: (now, relay, ip, reason) =>
        options.onrefused(now, ({ base, remote }) => relay.relayed.includes(base) && remote.address.ip === ip, reason),
      ondata: options.onpacket,
    })
  }

  /** `complete`: nothing is to be added later, so the end of these is the end of candidates. */
  gather(now: number, bases: readonly LocalBase[], servers: readonly ServerAddress[], complete: boolean): void {
    for (const base of bases) this.#takeBase(now, base)
    for (const server of servers) if (!this.#servers.includes(server)) this.#servers.push(server)
    this.#complete = complete
    // First: the end of candidates waits for them.
    this.relays.gather(this.#bases, this.#servers.filter(isTurn))
    this.#reportUnreachable(now)
    this.#options.generation().gatherer.gather(now, bases, servers.flatMap(asStun), complete)
  }

  #takeBase(now: number, base: LocalBase): void {
    const index = this.#bases.findIndex((known) => isSameBase(known, base))
    const known = this.#bases[index]
    if (!known) return void (this.#bases = this.#bases.concat(base))
    if (!base.mapped && !base.translated) return
    this.#bases = this.#bases.with(index, { ...known, ...base, address: known.address })
    this.#options.generation().gatherer.update(now, base)
  }

  /** Makes candidates of everything once more, for a new generation. */
  regather(now: number, change?: ServerChange): void {
    const { gatherer } = this.#options.generation()
    if (change) this.#changeServers(now, change)
    this.relays.retry(now)
    gatherer.gather(now, this.#bases, this.#servers.flatMap(asStun), false)
    for (const relay of this.relays.allocated) this.#addRelayed(now, relay)
    gatherer.gather(now, [], [], this.#complete)
  }

  /** The generation before has served its time: what only its pairs needed is given back. */
  forgetPrevious(now: number): void {
    this.relays.closeRetired(now)
    const { pairs } = this.#options.generation().checklist
    this.relays.forget((relayed, ip) =>
      pairs.some(({ base, destination }) => relayed.includes(base) && destination.ip === ip),
    )
  }

  /** STUN servers by address. */
  get stunServers(): Address[] {
    return this.#servers.flatMap(asStun).map(({ address }) => address)
  }

  /** One more base, like `near`. `met`: the peer has found it, so that it needs no candidates. */
  adopt(now: number, near: Address, address: Address, met: boolean): void {
    const { mapped: _, ...like } = this.#bases.find((base) => base.address === near) ?? { address }
    const base = { ...like, address, fresh: true }
    if (!met) return this.gather(now, [base], [], this.#complete)
    this.#bases = this.#bases.concat(base)
    this.#options.generation().gatherer.adopt(base)
  }

  /** And with them the relays that are reached from them alone: all at once, or data would move to one that goes next. */
  removeBases(now: number, addresses: readonly Address[]): void {
    const isRemoved = (one: Address) => addresses.some((address) => sameAddress(address, one))
    const gone = this.#bases.filter(({ address }) => isRemoved(address))
    if (gone.length === 0) return
    this.#bases = this.#bases.filter((base) => !gone.includes(base))
    const isLeft = (ip: string) => !this.#bases.some(({ address }) => address.ip === ip)
    const left = new Set(gone.map(({ address: { ip } }) => ip).filter(isLeft))
    const relayed = this.#leave(now, left)
    const isGone = (base: Address) => isRemoved(base) || relayed.includes(base)
    this.#options.generation().gatherer.removeBases(now, isGone)
    this.#options.onlost(now, ({ base }) => isGone(base))
    // Other interfaces take their place.
    if (left.size > 0) this.relays.gather(this.#bases, this.#servers.filter(isTurn))
  }

  /** The relayed addresses that are lost by it. */
  #leave(now: number, ips: Iterable<string>): readonly Address[] {
    const losing: Address[] = []
    this.#losing = losing
    for (const ip of ips) this.relays.leave(now, ip)
    this.#losing = undefined
    return losing
  }

  /** Other routes, another network: servers tell what is true now. */
  networkChanged(now: number): void {
    this.#options.generation().gatherer.remap(now)
    this.relays.retry(now)
  }

  /** What a path from this base, which may be a relayed address, leads through. */
  wayOut(base: Address): WayOut {
    const relay = this.relays.at(base)
    const ip = relay?.from ?? base.ip
    const via = this.#bases.find(({ address }) => address.ip === ip)?.interfaceName ?? ip
    return { via, relay: relay?.server.address.ip }
  }

  /** Something waits for its turn in the pace of RFC 8445 §14.2. */
  get hasWork(): boolean {
    return this.#options.generation().gatherer.hasWork || this.relays.hasWork
  }

  startNext(now: number): void {
    const { gatherer } = this.#options.generation()
    if (gatherer.hasWork) gatherer.startNext(now)
    else this.relays.startNext(now)
  }

  /** RFC 8656 §9: a relay lets in whom it was told of, so it hears of a peer as soon as there is a pair. */
  permit(now: number, { base, destination }: Pair): void {
    this.relays.permit(now, base, destination.ip)
  }

  /** A valid pair will be used, now or when another fails. */
  bindChannel(now: number, { base, destination }: Pair): void {
    this.relays.bindChannel(now, base, destination)
  }

  #changeServers(now: number, { keeps, adds, complete }: ServerChange): void {
    this.relays.retire(now, (server) => !keeps(server))
    this.#servers = [...this.#servers.filter(keeps), ...adds]
    this.#complete = complete
    this.#unreachable = undefined
    this.relays.gather(this.#bases, this.#servers.filter(isTurn))
    this.#reportUnreachable(now)
  }

  /** A machine without IPv6, or with nothing but loopback, has servers that it need not ask. */
  #reportUnreachable(now: number): void {
    if (!this.#complete) return
    for (const { url, reason } of unreachable(this.#servers, this.#bases)) {
      if (this.#unreachable?.has(url)) continue
      this.#unreachable ??= new Set()
      this.#unreachable.add(url)
      this.#context.log(now, 'server-failed', () => url, reason)
      this.#context.emit({ type: 'candidateerror', url, address: null, port: null, errorCode: 701, errorText: reason })
    }
  }

  #addRelayed(now: number, { server, relayed, mapped, from }: Relay): void {
    const network = this.#bases.find(({ address: { ip } }) => ip === from)?.network
    const { gatherer } = this.#options.generation()
    // Where no other candidate is offered, the related address must not give away what the relay is to hide.
    const isTold = mapped !== undefined && this.#bases.some(({ relayOnly, hostname }) => !relayOnly && !hostname)
    for (const address of relayed) {
      const { protocol, address: serverAddress, url } = server
      const sameFamily = isTold && addressFamily(mapped.ip) === addressFamily(address.ip)
      const told = sameFamily ? { mapped } : {}
      gatherer.addRelayed(now, { address, protocol, server: serverAddress, url, network, ...told })
    }
  }

  #loseRelayed(now: number, relayed: readonly Address[]): void {
    if (this.#losing) return void this.#losing.push(...relayed)
    for (const address of relayed) this.#options.generation().gatherer.removeRelayed(address)
    this.#options.onlost(now, ({ base }) => relayed.includes(base))
  }
}

function isTurn(server: ServerAddress): server is TurnServer {
  return server.scheme === 'turn'
}

/** A TURN server answers Binding requests too (RFC 8656 §3), so it also tells the reflexive address. */
function asStun(server: ServerAddress): StunServer[] {
  if (server.scheme === 'stun') return [server]
  const { protocol, address, url } = server
  return protocol === 'udp' ? [{ scheme: 'stun', address, url, tacit: true }] : []
}
