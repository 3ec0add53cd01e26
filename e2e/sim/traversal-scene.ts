/** Two agents behind NATs that they have to get through, with or without a relay. */
import { SearchGate } from '@floe/ice'
import type { NatBehavior } from '../topology/behavior.ts'
import { LINUX_MASQUERADE } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import type { Peer, PeerOptions } from './peer.ts'
import { simulate, type World } from './world.ts'

export const POISONING: Placement = { nat: { ...LINUX_MASQUERADE, unsolicited: 'tracked' } }
export const EASY: Placement = { nat: nat('endpoint-independent') }
export const HARD: Placement = { nat: nat('address-and-port-dependent', 'random') }
/** Linux' own choice of ports, which some routers' NATs share. */
export const EPHEMERAL: Placement = { nat: nat('address-and-port-dependent', { low: 32_768, high: 60_999 }) }
export const BLOCK: Placement = { nat: nat('address-and-port-dependent', { low: 20_000, high: 20_511 }) }
export const PRESERVING: Placement = { nat: nat('address-and-port-dependent', 'preserve') }
export const SEQUENTIAL: Placement = { nat: nat('address-and-port-dependent', 'sequential') }

/** What a browser cannot: it takes part with ordinary ICE alone. */
export const plain = (): PeerOptions => ({})
export const able = (hardNat: 'auto' | 'off' = 'auto'): PeerOptions => ({
  traversal: { hardNat, gate: new SearchGate() },
})

export interface Figures {
  /** Milliseconds until both used a direct path. */
  readonly direct: number
  /** Until both were connected at all. */
  readonly relayed: number
  readonly a: Peer
  readonly b: Peer
}

export type Two<T> = readonly [a: T, b: T]

export function search(seed: number, places: Two<Placement>, options: Two<() => PeerOptions>): Figures {
  return simulate(seed, (world) => {
    const [a, b] = meet(world, places, options, { latency: 20 }, true)
    world.runUntil(() => a.connected && b.connected, 5_000)
    const relayed = world.now
    const direct = timeToDirect(world, [a, b], 30_000)
    world.run(200)
    return { direct, relayed, a, b }
  })
}

function nat(mapping: NatBehavior['mapping'], allocation: NonNullable<NatBehavior['allocation']> = 'preserve') {
  return { mapping, filtering: 'address-and-port-dependent', allocation } as const
}

export function meet(
  world: World,
  places: Two<Placement>,
  options: Two<() => PeerOptions>,
  signaling: { skew?: number; latency?: number },
  relay: boolean,
): Two<Peer> {
  world.stunServer({ link: { latency: 10 } })
  world.stunServer({ link: { latency: 10 } })
  if (relay) world.turnServer({ link: { latency: 10 } })
  const link = { latency: 10 }
  const session = [
    world.peer('a', { ...places[0], link }, options[0]()),
    world.peer('b', { ...places[1], link }, options[1]()),
  ] as const
  world.connect(...session, signaling)
  return session
}

export function timeToDirect(world: World, session: readonly Peer[], limit: number): number {
  const isDirect = ({ selected }: Peer) =>
    selected !== undefined && selected.local.type !== 'relay' && selected.remote.type !== 'relay'
  return world.runUntil(() => session.every(isDirect), limit) ? world.now : Number.POSITIVE_INFINITY
}

/**
 * A peer that a node reaches through its relay alone, and that reports what it likes of its own NAT for ten seconds: how
 * many packets each of its ports gets.
 */
export function portsSentTo(
  place: Placement,
  { port, ...report }: { mapping: 'endpoint-independent' | 'endpoint-dependent'; port: number; aim: number },
): Map<number, number> {
  return simulate(1, (world) => {
    world.stunServer()
    world.stunServer()
    const { address: relay } = world.turnServer()
    const node = world.peer('node', place, able())
    const attacker = world.rawPeer('attacker')
    attacker.remote = node.agent.localParameters
    attacker.answer = (_, received) => received.remote.ip === relay.ip && attacker.succeed(received)
    const ports = new Map<number, number>()
    world.network.observers.push({
      sent: ({ destination }) => {
        if (destination.ip === attacker.address.ip) ports.set(destination.port, (ports.get(destination.port) ?? 0) + 1)
      },
      delivered: () => {},
    })
    node.gather()
    node.start(attacker.parameters, 'controlled')
    node.addRemoteCandidate(attacker.candidate({ type: 'srflx' }))
    const address = { ip: attacker.address.ip, port }
    const portReport = { willing: true, sockets: 0, address, low: 0, high: 0, ...report }
    for (let second = 0; second < 10; second++) {
      world.run(1_000)
      const seen = attacker.requests().findLast(({ remote }) => remote.ip === relay.ip)
      if (seen) attacker.check(seen.remote, { portReport, useCandidate: true })
    }
    if (!node.connected) throw new Error('the node is not connected')
    return ports
  })
}
