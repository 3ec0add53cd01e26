import { type Address, isIPv6 } from '@floe/stun'
import type { NatBehavior } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'
import type { RelayPlan, ServerPlan, SignalingPlan } from '../topology/scenario.ts'
import { assertQuietAfterClose, assertStatesLegal, assertUnverifiedBounded } from './invariants.ts'
import { type Attachment, type Host, Network, Realm } from './network.ts'
import { Peer, type PeerOptions, type ServerAddress } from './peer.ts'
import { RawPeer, type RawPeerOptions } from './raw-peer.ts'
import { Router } from './router.ts'
import { Signaling } from './signaling.ts'
import { StunServer, type StunServerOptions } from './stun-server.ts'
import type { Trace } from './trace.ts'
import { TCP_PORT, TurnServer } from './turn-server.ts'

/** A test internet with its inhabitants, built by a few calls. Everything follows from `seed`. */
export class World {
  readonly seed: number
  readonly network: Network
  readonly peers: Peer[] = []
  readonly servers: StunServer[] = []
  readonly relays: TurnServer[] = []
  readonly routers = new Map<string, Router>()
  /** The relays that peers are told of over TCP too. */
  readonly #overTcp = new Set<TurnServer>()
  /** The routers of addresses whose ports they map. */
  readonly #mapping = new Map<string, Router>()
  #places = 0

  constructor(seed: number, trace?: Trace) {
    this.seed = seed
    this.network = new Network(seed, trace)
  }

  get now(): number {
    return this.network.clock.now
  }

  stunServer({ family = 4, ...options }: Partial<StunServerOptions> & ServerPlan = {}): StunServer {
    const n = this.servers.length + 1
    const ip = family === 6 ? `2001:db8:ffff::${n}` : `192.0.2.${n}`
    const server = new StunServer(this.network, `stun${n}`, { ip, ...options })
    this.servers.push(server)
    return server
  }

  /** A TURN server with addresses of both families. */
  turnServer({ dead = false, link = {}, tcp = false }: RelayPlan = {}): TurnServer {
    const n = this.relays.length + 1
    const addresses = { ip: `192.0.2.${100 + n}`, ip6: `2001:db8:fffe::${n}` }
    const server = new TurnServer(this.network, `turn${n}`, { ...addresses, link })
    if (dead) server.die()
    if (tcp) this.#overTcp.add(server)
    this.relays.push(server)
    return server
  }

  /** The STUN and TURN servers as they are configured. */
  get configuredServers(): readonly ServerAddress[] {
    const relays = this.relays.flatMap((relay): ServerAddress[] => {
      const { address, address6, url, username, credential } = relay
      const udp = [address, address6!].map((one) => ({ address: one, url, username, credential }))
      const { ip } = address
      const tcp = { address: { ip, port: TCP_PORT }, url, username, credential, protocol: 'tcp' } as const
      return this.#overTcp.has(relay) ? [...udp, tcp] : udp
    })
    return [...this.servers, ...relays]
  }

  /** Whether this address of a host's reaches IPv4 through NAT64. */
  isTranslated(host: Host, ip: string): boolean {
    const attachment = host.attachments.find((it) => it.ip === ip)
    return isIPv6(ip) && attachment !== undefined && this.#routerOf(attachment.realm)?.nat64 !== undefined
  }

  /** Where the outside reaches this endpoint by a mapping that its router has been asked for. */
  mapped({ ip, port }: Address): Address | undefined {
    const router = this.#mapping.get(ip)
    return router?.nat?.map({ ip, port })
  }

  /** An agent on a host with one address per placement. */
  peer(name: string, placements: Placement | readonly Placement[] = {}, options: PeerOptions = {}): Peer {
    const host = this.host(name, placements)
    const base = (ip: string, port: number) => {
      const mapped = this.mapped({ ip, port })
      return {
        ...(mapped && { mapped: [mapped] }),
        ...(this.isTranslated(host, ip) && { translated: true }),
        ...options.base?.(ip, port),
      }
    }
    const peer = new Peer(host, { servers: this.configuredServers, ...options, base })
    this.peers.push(peer)
    return peer
  }

  rawPeer(name: string, placement: Placement = {}, options: RawPeerOptions = {}): RawPeer {
    return new RawPeer(this.host(name, placement), options)
  }

  host(name: string, placements: Placement | readonly Placement[] = {}): Host {
    const host = this.network.host(name)
    for (const placement of [placements].flat()) this.attach(host, placement)
    return host
  }

  /** Gives a host one more address. */
  attach(host: Host, placement: Placement): Attachment {
    const place = this.#place(host.name, placement)
    const { realm } = place
    const ip = placement.ip ?? place.ip
    const router = this.#routerOf(realm)
    if (placement.portMapping && router) this.#mapping.set(ip, router)
    return host.attach(realm, ip, placement.link)
  }

  /** Joins two peers by signaling and lets both gather. */
  connect(first: Peer, second: Peer, options: SignalingPlan = {}): Signaling {
    const signaling = this.signaling(first, second, options)
    signaling.start()
    return signaling
  }

  /** The same, not started yet. */
  signaling(first: Peer, second: Peer, options: SignalingPlan = {}): Signaling {
    return new Signaling(this.network.clock, first, second, options)
  }

  /** An agent and a hand-written peer that know each other's parameters and the hand-written one's candidate. */
  introduce(peer: Peer, raw: RawPeer) {
    raw.remote = peer.agent.localParameters
    peer.gather()
    peer.start(raw.parameters, raw.role === 'controlling' ? 'controlled' : 'controlling')
    peer.addRemoteCandidate(raw.candidate())
  }

  run(ms: number) {
    this.network.clock.runTo(this.now + ms)
  }

  /** Runs until `done()` or for `limit` ms; true when it was done. */
  runUntil(done: () => boolean, limit: number): boolean {
    return this.network.clock.runTo(this.now + limit, done)
  }

  /** What must hold in every run whatever it was about. Closes all peers. */
  finish() {
    for (const { host } of this.peers) host.resume()
    assertUnverifiedBounded(this.peers)
    assertStatesLegal(this.peers)
    assertQuietAfterClose(this)
  }

  /** The realm of a placement, and an address in it. */
  #place(name: string, placement: Placement): { realm: Realm; ip: string } {
    const { nat, nat64, firewall, lan, router, carrier, family = nat64 ? 6 : 4 } = placement
    const place = ++this.#places
    if (!nat && !nat64 && !firewall && lan === undefined && router === undefined) {
      return { realm: this.network.internet, ip: family === 6 ? `2001:db8::${place}` : `203.0.113.${place}` }
    }
    const key = lan ?? `${router ?? `home${this.routers.size + 1}`} of ${name}`
    const outside = carrier ? this.#carrier(carrier).inside : this.network.internet
    const box = this.routers.get(key) ?? this.#router(key, outside, placement)
    const n = [...this.routers.keys()].indexOf(key) + 1
    const ip = family === 6 ? `2001:db8:${n}::${place}` : box.nat ? `10.0.${n}.${place}` : `203.0.113.${100 + place}`
    return { realm: box.inside, ip }
  }

  #carrier({ name, nat }: { name: string; nat: NatBehavior }): Router {
    return this.routers.get(name) ?? this.#router(name, this.network.internet, { nat })
  }

  #router(key: string, outside: Realm, { nat, nat64, firewall }: Placement): Router {
    const n = this.routers.size + 1
    const externalIp = outside === this.network.internet ? `198.51.100.${n}` : `100.64.0.${n}`
    const options = {
      ...(nat && { nat }),
      ...(nat64 && { nat64 }),
      ...((nat ?? nat64) && { externalIp }),
      ...(firewall && { firewall }),
    }
    const router = new Router(key, new Realm(this.network, key), outside, options)
    this.routers.set(key, router)
    return router
  }

  #routerOf(realm: Realm): Router | undefined {
    return [...this.routers.values()].find(({ inside }) => inside === realm)
  }
}

/** Steps of the trace that a failure shows. */
const TRACE_LINES = 150

/**
 * Runs `body` in a fresh world, then the invariants. A failure carries the seed and the last steps of the trace, unless
 * the caller has brought a trace to read.
 */
export function simulate<T>(seed: number, body: (world: World) => T, trace?: Trace): T {
  const world = new World(seed, trace)
  try {
    const result = body(world)
    world.finish()
    return result
  } catch (error) {
    if (!(error instanceof Error) || trace) throw error
    error.message += `\n\nseed ${seed}, virtual time ${world.now} ms\n${world.network.trace.format(TRACE_LINES)}`
    throw error
  }
}
