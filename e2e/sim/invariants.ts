import { type CandidatePair, FRESH_SOCKETS, LIMITS, SEARCH, TIMING } from '@floe/ice'
import { type Address, formatAddress, sameAddress } from '@floe/stun'
import { describePair, type Peer } from './peer.ts'

/** What did not hold. `invariant` is its name, so that a smaller scenario can be asked whether it fails in the same way. */
export class Violation extends Error {
  readonly invariant: string

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`)
    this.invariant = invariant
  }
}

/** What these look at of a World: its agents, and a way to let virtual time pass (ms). */
interface Stage {
  readonly peers: readonly Peer[]
  run(duration: number): void
  runUntil(condition: () => boolean, limit: number): unknown
}

/**
 * Packets that an agent may send to one address which nothing has come from. A full transaction is 7 from each local base;
 * one new round after a triggered check is fair, a flood is not: a peer can name any address as its own.
 */
export const UNVERIFIED_LIMIT = 32
const UNVERIFIED_PER_BASE = 8
/** Milliseconds: while a relay is in use, what failed is asked again now and then. */
const UPGRADE_INTERVAL = 10_000

/** Milliseconds in which a closed agent may still tell TURN servers to release what they hold for it. */
const RELEASE = 2_000
/** Milliseconds of silence that are watched after that. */
const QUIET = 60_000

/** No address gets more packets than that per generation without having said a word. STUN servers were configured. */
export function assertUnverifiedBounded(peers: readonly Peer[]) {
  for (const peer of peers) {
    const bases = peer.outputs('candidate').filter(({ candidate }) => candidate?.type === 'host').length
    const once = Math.max(UNVERIFIED_LIMIT * (peer.agent.generation + 1), UNVERIFIED_PER_BASE * bases)
    // Many sockets send to one address three times each: an opener, a check, and once more.
    const search = peer.mostSockets > FRESH_SOCKETS + bases ? 3 * SEARCH.sockets * mostSearches(peer.now) : 0
    const limit = once + (bases * peer.now) / UPGRADE_INTERVAL + search
    assertFewPorts(peer)
    for (const [address, count] of peer.unverified) {
      if (count > limit && !isServer(peer, address)) {
        throw new Violation('unverified', `${peer.name} sent ${count} packets to ${address}, which has never answered`)
      }
    }
  }
}

/** At one IP address a peer is looked for where it says it is, and a search tries as many ports as are said of it. */
function assertFewPorts(peer: Peer) {
  const most =
    LIMITS.remoteCandidates * (peer.agent.generation + 1) + (peer.maySearch ? SEARCH.sweep * mostSearches(peer.now) : 0)
  const ports = new Map<string, number>()
  for (const address of peer.unverified.keys()) {
    const ip = address.slice(0, address.lastIndexOf(':'))
    const count = (ports.get(ip) ?? 0) + 1
    if (count > most) throw new Violation('unverified', `${peer.name} tried ${count} ports of ${ip}`)
    ports.set(ip, count)
  }
}

/** One at once, the next after the first pause, and then each after the last. Milliseconds. */
function mostSearches(now: number): number {
  const [first, later] = SEARCH.pauses
  return now < first ? 1 : 2 + Math.floor((now - first) / later)
}

/** A closed agent has state `closed` at once, soon wants no time and no connection, and stays silent whatever arrives. */
export function assertQuietAfterClose(world: Stage) {
  for (const peer of world.peers) peer.close()
  if (world.peers.some(({ servers }) => servers.some(({ username }) => username !== undefined))) world.run(RELEASE)
  const sent = world.peers.map(({ packetsSent }) => packetsSent)
  world.run(QUIET)
  for (const [index, peer] of world.peers.entries()) {
    if (peer.state !== 'closed') throw new Violation('quiet', `${peer.name} is ${peer.state} after close()`)
    if (peer.agent.timeout() !== Number.POSITIVE_INFINITY)
      throw new Violation('quiet', `${peer.name} keeps a timer after close()`)
    if (peer.agent.poll() !== undefined) throw new Violation('quiet', `${peer.name} has outputs left after close()`)
    if (peer.connections > 0) throw new Violation('quiet', `${peer.name} keeps a connection after close()`)
    if (peer.packetsSent !== sent[index]) throw new Violation('quiet', `${peer.name} sends after close()`)
  }
}

/** W3C RTCIceTransportState: what may follow what. An ICE restart leads from anywhere back to `checking`. */
const FOLLOWS: Record<string, readonly string[]> = {
  new: ['checking', 'closed'],
  checking: ['connected', 'completed', 'failed', 'disconnected', 'closed'],
  connected: ['completed', 'disconnected', 'checking', 'failed', 'closed'],
  completed: ['connected', 'disconnected', 'checking', 'failed', 'closed'],
  disconnected: ['connected', 'completed', 'checking', 'failed', 'closed'],
  failed: ['checking', 'connected', 'completed', 'closed'],
  closed: [],
}

/** States are reported once per change and only in an order that W3C knows. */
export function assertStatesLegal(peers: readonly Peer[]) {
  for (const peer of peers) {
    let state = 'new'
    for (const next of peer.states) {
      if (!FOLLOWS[state]!.includes(next)) throw new Violation('states', `${peer.name} went from ${state} to ${next}`)
      state = next
    }
  }
}

/** Milliseconds between the words of `assertAgreement`, and how often it is said again when packets get lost. */
const WORD_INTERVAL = 100
const WORDS = 20

/**
 * Both ends use the same path. Not asked of the agents but shown by data: what one sends over its selected pair must
 * come in at the other's selected base from the other's selected remote address, both ways.
 */
export function assertAgreement(world: Stage, a: Peer, b: Peer) {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const before = to.received.length
    for (let word = 0; word < WORDS && to.received.length === before; word++) {
      if (!from.sendText(`word ${word} of ${from.name}`))
        throw new Violation('agreement', `${from.name} is ${from.state} but cannot send`)
      world.run(WORD_INTERVAL)
    }
    world.runUntil(() => to.received.length > before, 1_000)
    const heard = to.received.at(-1)
    if (heard === undefined || to.received.length === before)
      throw new Violation('agreement', `data from ${from.name} does not arrive`)
    const { selected } = to
    if (selected === undefined) throw new Violation('agreement', `${to.name} hears data but has selected no pair`)
    if (!isWayOf(to, selected, heard)) {
      const way = `${formatAddress(heard.remote)} → ${formatAddress(heard.local)}`
      throw new Violation(
        'agreement',
        `${from.name} uses ${way}, but ${to.name} has selected ${describePair(selected)}`,
      )
    }
  }
}

/** Through a relay of its own a peer hears its TURN server; else the address that it has selected. */
function isWayOf(peer: Peer, { local, remote }: CandidatePair, heard: { local: Address; remote: Address }): boolean {
  if (local.type === 'relay') return isServer(peer, formatAddress(heard.remote))
  return sameAddress(local.base ?? local.address, heard.local) && sameAddress(remote.address, heard.remote)
}

/**
 * Of the pairs that work, one that the side that decides should have preferred to the selected one: it relays nothing, or,
 * where round trips say nothing, it has the higher priority.
 */
export function betterPair(peer: Peer, equalRoundTrips: boolean): CandidatePair | undefined {
  const { selected } = peer
  if (!selected || peer.agent.role !== 'controlling') return undefined
  return peer.agent.checklist.find((pair) => {
    if (pair.state !== 'succeeded') return false
    if (isRelayed(pair) !== isRelayed(selected)) return isRelayed(selected)
    const isHigher = rank(peer, pair) > rank(peer, selected)
    return equalRoundTrips && isHigher && !isLonger(pair, selected) && !hasMovedForRoundTrip(peer)
  })
}

/** Only for that does data wait so long before it moves; and a higher number alone takes it away from no proven pair. */
function hasMovedForRoundTrip(peer: Peer): boolean {
  const first = peer.timeOf(({ type }) => type === 'selectedpair')
  const [last = first, before = first] = peer.agent.switches.map(({ at }) => at).toReversed()
  return last - before >= TIMING.holdAfterMove
}

/** Relays are here and there: over two of them it may be longer than over one, which is a reason to stay. */
function isLonger(pair: CandidatePair, selected: CandidatePair): boolean {
  const [other = 0, used = other] = [pair.smoothedRoundTripTime, selected.smoothedRoundTripTime]
  return isRelayed(pair) && other - used >= Math.max(TIMING.gainMs, TIMING.gainRatio * other)
}

export function isRelayed({ local, remote }: CandidatePair): boolean {
  return local.type === 'relay' || remote.type === 'relay'
}

/** Pairs are ordered by RFC 8445 §6.1.2.3 as it is written there, whatever the agent's own formula is. */
export function assertPriorities(peers: readonly Peer[]) {
  for (const peer of peers) {
    const signalled = peer.agent.localCandidates.filter(({ type }) => type !== 'prflx')
    const ranks = new Set(signalled.map(({ type, priority, protocol }) => `${type} ${protocol} ${priority}`))
    if (ranks.size < signalled.length)
      throw new Violation('priorities', `${peer.name} has two candidates of one type and priority`)
    for (const pair of peer.agent.checklist) {
      if (pair.priority === rank(peer, pair)) continue
      throw new Violation('priorities', `${describePair(pair)} has ${pair.priority}, not ${rank(peer, pair)}`)
    }
  }
}

function rank({ agent }: Peer, { local, remote }: CandidatePair): bigint {
  const [g, d] = agent.role === 'controlling' ? [local.priority, remote.priority] : [remote.priority, local.priority]
  return 2n ** 32n * BigInt(Math.min(g, d)) + 2n * BigInt(Math.max(g, d)) + (g > d ? 1n : 0n)
}

function isServer(peer: Peer, address: string): boolean {
  return peer.servers.some((server) => formatAddress(server.address) === address)
}
