import type { FirewallPolicy } from './firewall.ts'
import { assertQuietAfterClose, assertStatesLegal, assertUnverifiedBounded } from './invariants.ts'
import type { LinkQuality } from './link.ts'
import type { NatBehavior } from './nat.ts'
import { type Host, Network, Realm, Router } from './network.ts'
import { Peer, type PeerOptions } from './peer.ts'
import { RawPeer, type RawPeerOptions } from './raw-peer.ts'
import { Signaling, type SignalingOptions } from './signaling.ts'
import { StunServer, type StunServerOptions } from './stun-server.ts'

/** Where a host stands. Left out: on the open internet, over a perfect wire. */
export interface Placement {
  /** The home router's NAT. */
  readonly nat?: NatBehavior
  /** A second NAT between home and internet. Homes that name the same carrier stand behind the same one. */
  readonly carrier?: { readonly name: string; readonly nat: NatBehavior }
  readonly firewall?: FirewallPolicy
  /** Hosts with the same name share one LAN and its router, which the first of them describes. */
  readonly lan?: string
  readonly link?: LinkQuality
  /** The host's own address, when the test cares. */
  readonly ip?: string
  readonly family?: 4 | 6
}

/** A test internet with its inhabitants, built by a few calls. Everything follows from `seed`. */
export class World {
  readonly seed: number
  readonly network: Network
  readonly peers: Peer[] = []
  readonly servers: StunServer[] = []
  readonly routers = new Map<string, Router>()
  #places = 0

  constructor(seed: number) {
    this.seed = seed
    this.network = new Network(seed)
  }

  get now(): number {
    return this.network.clock.now
  }

  stunServer(options: Partial<StunServerOptions> = {}): StunServer {
    const n = this.servers.length + 1
    const server = new StunServer(this.network, `stun${n}`, { ip: `192.0.2.${n}`, ...options })
    this.servers.push(server)
    return server
  }

  /** An agent on a host with one address per placement. */
  peer(name: string, placements: Placement | readonly Placement[] = {}, options: PeerOptions = {}): Peer {
    const peer = new Peer(this.host(name, placements), { servers: this.servers, ...options })
    this.peers.push(peer)
    return peer
  }

  rawPeer(name: string, placement: Placement = {}, options: RawPeerOptions = {}): RawPeer {
    return new RawPeer(this.host(name, placement), options)
  }

  host(name: string, placements: Placement | readonly Placement[] = {}): Host {
    const host = this.network.host(name)
    for (const placement of [placements].flat()) {
      const { realm, ip } = this.#place(name, placement)
      host.attach(realm, placement.ip ?? ip, placement.link)
    }
    return host
  }

  /** Joins two peers by signaling and lets both gather. */
  connect(first: Peer, second: Peer, options: SignalingOptions = {}): Signaling {
    const signaling = this.signaling(first, second, options)
    signaling.start()
    return signaling
  }

  /** The same, not started yet. */
  signaling(first: Peer, second: Peer, options: SignalingOptions = {}): Signaling {
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
    assertUnverifiedBounded(this.peers)
    assertStatesLegal(this.peers)
    assertQuietAfterClose(this)
  }

  #place(name: string, placement: Placement): { realm: Realm; ip: string } {
    const { nat, firewall, lan, carrier, family = 4 } = placement
    const place = ++this.#places
    if (!nat && !firewall && lan === undefined) {
      return { realm: this.network.internet, ip: family === 6 ? `2001:db8::${place}` : `203.0.113.${place}` }
    }
    const key = lan ?? `home${this.routers.size + 1} of ${name}`
    const outside = carrier ? this.#carrier(carrier).inside : this.network.internet
    const router = this.routers.get(key) ?? this.#router(key, outside, nat, firewall)
    const n = [...this.routers.keys()].indexOf(key) + 1
    const ip = family === 6 ? `2001:db8:${n}::${place}` : nat ? `10.0.${n}.${place}` : `203.0.113.${100 + place}`
    return { realm: router.inside, ip }
  }

  #carrier({ name, nat }: { name: string; nat: NatBehavior }): Router {
    return this.routers.get(name) ?? this.#router(name, this.network.internet, nat)
  }

  #router(key: string, outside: Realm, nat?: NatBehavior, firewall?: FirewallPolicy): Router {
    const n = this.routers.size + 1
    const externalIp = outside === this.network.internet ? `198.51.100.${n}` : `100.64.0.${n}`
    const options = { ...(nat && { nat, externalIp }), ...(firewall && { firewall }) }
    const router = new Router(key, new Realm(this.network, key), outside, options)
    this.routers.set(key, router)
    return router
  }
}

/** Steps of the trace that a failure shows. */
const TRACE_LINES = 150

/** Runs `body` in a fresh world, then the invariants; a failure carries the seed and the last steps of the trace. */
export function simulate<T>(seed: number, body: (world: World) => T): T {
  const world = new World(seed)
  try {
    const result = body(world)
    world.finish()
    return result
  } catch (error) {
    if (!(error instanceof Error)) throw error
    error.message += `\n\nseed ${seed}, virtual time ${world.now} ms\n${world.network.trace.format(TRACE_LINES)}`
    throw error
  }
}
