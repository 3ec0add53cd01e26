import { formatAddress, sameAddress } from '@floe/stun'
import { describePair, type Peer } from './peer.ts'

/** What these look at of a World: its agents, and a way to let virtual time pass (ms). */
interface Stage {
  readonly peers: readonly Peer[]
  run(duration: number): void
  runUntil(condition: () => boolean, limit: number): unknown
}

/**
 * Packets that an agent may send to one address which nothing has come from. A full transaction is 7; a few local bases
 * and one new round after a triggered check are fair, a flood is not: a peer can name any address as its own.
 */
export const UNVERIFIED_LIMIT = 32

/** Milliseconds of silence that are watched after close(). */
const QUIET = 60_000

/** No address gets more than `UNVERIFIED_LIMIT` packets without having said a word. STUN servers were configured. */
export function assertUnverifiedBounded(peers: readonly Peer[]) {
  for (const peer of peers) {
    for (const [address, count] of peer.unverified) {
      if (count > UNVERIFIED_LIMIT && !isServer(peer, address)) {
        throw new Error(`${peer.name} sent ${count} packets to ${address}, which has never answered`)
      }
    }
  }
}

/** A closed agent has state `closed`, wants no time, and stays silent whatever still arrives. */
export function assertQuietAfterClose(world: Stage) {
  for (const peer of world.peers) peer.close()
  const sent = world.peers.map(({ packetsSent }) => packetsSent)
  world.run(QUIET)
  for (const [index, peer] of world.peers.entries()) {
    if (peer.state !== 'closed') throw new Error(`${peer.name} is ${peer.state} after close()`)
    if (peer.agent.timeout() !== Number.POSITIVE_INFINITY) throw new Error(`${peer.name} keeps a timer after close()`)
    if (peer.agent.poll() !== undefined) throw new Error(`${peer.name} has outputs left after close()`)
    if (peer.packetsSent !== sent[index]) throw new Error(`${peer.name} sends after close()`)
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
      if (!FOLLOWS[state]!.includes(next)) throw new Error(`${peer.name} went from ${state} to ${next}`)
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
        throw new Error(`${from.name} is ${from.state} but cannot send`)
      world.run(WORD_INTERVAL)
    }
    world.runUntil(() => to.received.length > before, 1_000)
    const heard = to.received.at(-1)
    if (heard === undefined || to.received.length === before) throw new Error(`data from ${from.name} does not arrive`)
    const { selected } = to
    if (selected === undefined) throw new Error(`${to.name} hears data but has selected no pair`)
    const base = selected.local.base ?? selected.local.address
    if (!sameAddress(base, heard.local) || !sameAddress(selected.remote.address, heard.remote)) {
      const way = `${formatAddress(heard.remote)} → ${formatAddress(heard.local)}`
      throw new Error(`${from.name} uses ${way}, but ${to.name} has selected ${describePair(selected)}`)
    }
  }
}

function isServer(peer: Peer, address: string): boolean {
  return peer.servers.some((server) => formatAddress(server.address) === address)
}
