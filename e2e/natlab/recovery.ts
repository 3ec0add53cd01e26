/**
 * How soon a connection is itself again, and what it has cost: numbered messages over the reliable data channel, both
 * ways, while something happens to the path they take. Each run is a lab of its own; several wait for each other, so that
 * nothing is built or taken away while time counts.
 */
import type { Fault } from '../topology/fault.ts'
import { Faults, type Stage, withLaterPlacements } from './faults.ts'
import { countPackets, interfaceInUse, serverInUse } from './in-use.ts'
import { Internet } from './internet.ts'
import type { Peers } from './matrix.ts'
import { pathOf } from './path-types.ts'
import type { StreamReport } from './peer/message-stream.ts'
import type { Decision } from './peer/node-peer.ts'
import { type Peer, type PeerKind, startPeer } from './peer.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import type { RecoveryEvent } from './recovery-events.ts'
import { iceServers, type Servers, startServers, turnServers } from './servers.ts'
import { join } from './signaling.ts'
import { now, pause } from './time.ts'

export interface Recovery {
  /**
   * Milliseconds from the event until data flows again both ways: the end of the last gap, or the longest time between
   * two messages where none was a gap. Infinity: not within PATIENCE.
   */
  readonly again: number
  /** Messages that were sent, and never arrived or not in their turn. */
  readonly lost: number
  readonly restarted: boolean
  /** Candidate types of the first end's path, before and after. */
  readonly paths: readonly [before: string, after: string]
  readonly decisions: readonly [readonly Decision[], readonly Decision[]]
  /** Since the epoch. */
  readonly at: number
}

/** Milliseconds one way between a host and the core: 40 ms from host to host. */
const LATENCY = 20
/** Between two messages of either end. */
const INTERVAL = 20
/** Longer than this without a message, data does not flow. */
const GAP = 200
/** Data that has flowed for so long is back for good. */
const STEADY = 2_500
/** For data to come back: it is given up then, and counts as never. */
export const PATIENCE = 15_000
/** For the two to connect, to settle, and for the last messages to arrive. */
const CONNECT = 30_000
const SETTLE = 3_000
const DRAIN = 5_000
const LOOK_EVERY = 100

const RELAYS = SERVER_ADDRESSES.slice(0, 2)

/** So many runs at once; those that could not begin are undefined. */
export async function recoverTogether(
  event: RecoveryEvent,
  peers: Peers,
  runs: number,
  onready: () => void = () => {},
): Promise<(Recovery | Error)[]> {
  const labs = await Promise.allSettled(Array.from({ length: runs }, () => Lab.connect(event, peers)))
  try {
    await pause(SETTLE)
    onready()
    const measured = labs.map((lab) => (lab.status === 'fulfilled' ? lab.value.measure() : Promise.reject(lab.reason)))
    const results = await Promise.allSettled(measured)
    return results.map((result) => (result.status === 'fulfilled' ? result.value : new Error(String(result.reason))))
  } finally {
    await Promise.all(labs.map((lab) => lab.status === 'fulfilled' && lab.value.close()))
  }
}

/** Two peers with data flowing between them. */
class Lab {
  readonly #event: RecoveryEvent
  readonly #stage: Stage
  readonly #relays: readonly Servers[]

  static async connect(event: RecoveryEvent, peers: Peers): Promise<Lab> {
    const faults = event.faults(0)
    const hosts = { a: withLaterPlacements('a', event.a, faults), b: withLaterPlacements('b', event.b, faults) }
    const internet = await Internet.build({ hosts, latency: LATENCY })
    try {
      await Faults.downLater(internet, { a: event.a.length, b: event.b.length })
      const relays = event.relays ? await Promise.all(RELAYS.map((address) => startServers(internet, [address]))) : []
      const servers = relays[0] ?? (await startServers(internet))
      const start = (host: 'a' | 'b', kind: PeerKind) => {
        const given = event.relays ? turnServers(RELAYS) : iceServers(internet, host, { relay: false })
        return startPeer(internet, host, kind, { iceServers: given }, { everyInterface: event[host].length > 1 })
      }
      const [a, b] = await Promise.all([start('a', peers[0]), start('b', peers[1])])
      const signaling = join(a.endpoint, b.endpoint)
      const lab = new Lab(event, { internet, servers, signaling, peers: { a, b } }, relays)
      await Promise.race([signaling.broken, lab.#begin()])
      return lab
    } catch (error) {
      await internet.close()
      throw error
    }
  }

  private constructor(event: RecoveryEvent, stage: Stage, relays: readonly Servers[]) {
    this.#event = event
    this.#stage = stage
    this.#relays = relays
  }

  async measure(): Promise<Recovery> {
    const { a, b } = this.#stage.peers
    const inUse = await this.#inUse()
    const [before, names] = [await pathOf(a), await namesOf(a, b)]
    const at = now()
    await this.#play(this.#event.faults(inUse), inUse)
    const again = await this.#again(at)
    return {
      again,
      at,
      lost: await this.#lost(),
      restarted: (await namesOf(a, b)) !== names,
      paths: [before, await pathOf(a)],
      decisions: [await a.decisions(), await b.decisions()],
    }
  }

  async close(): Promise<void> {
    await this.#stage.internet.close()
  }

  async #begin(): Promise<void> {
    const { a, b } = this.#stage.peers
    if (this.#event.relays) await countPackets(this.#stage.internet, RELAYS)
    await a.endpoint.offer()
    await Promise.all([a, b].map(({ endpoint }) => endpoint.opened(CONNECT)))
    await Promise.all([a, b].map(({ endpoint }) => endpoint.startStream(INTERVAL)))
  }

  #inUse(): Promise<number> {
    const { internet } = this.#stage
    return this.#event.relays ? serverInUse(internet, RELAYS) : interfaceInUse(internet, 'a')
  }

  async #play(faults: readonly Fault[], inUse: number): Promise<void> {
    const servers = this.#relays[inUse] ?? this.#stage.servers
    const { a, b } = this.#event
    await new Faults({ ...this.#stage, servers }, { a: a.length, b: b.length }).play(faults)
  }

  async #again(at: number): Promise<number> {
    for (;;) {
      await pause(LOOK_EVERY)
      const reports = await this.#reports(at, GAP)
      const gaps = reports.flatMap((report) => report.gaps)
      const time = now()
      const back = Math.max(at, ...gaps.map(({ until }) => until))
      // A gap that has not ended yet ends now.
      if (time - back >= STEADY) return Math.round(gaps.length > 0 ? back - at : await this.#longestPause(at))
      if (back - at > PATIENCE) return Number.POSITIVE_INFINITY
    }
  }

  async #longestPause(at: number): Promise<number> {
    const reports = await this.#reports(at, 0)
    return Math.max(...reports.flatMap(({ gaps }) => gaps.map(({ from, until }) => until - from)))
  }

  async #lost(): Promise<number> {
    const { a, b } = this.#stage.peers
    await Promise.all([a, b].map(({ endpoint }) => endpoint.stopStream()))
    for (let deadline = now() + DRAIN; ; await pause(LOOK_EVERY)) {
      const [one, other] = await this.#reports(0, Number.POSITIVE_INFINITY)
      const missing = one!.sent - other!.received + other!.sent - one!.received
      if (missing === 0 || now() > deadline) return missing + one!.outOfOrder + other!.outOfOrder
    }
  }

  #reports(since: number, least: number): Promise<StreamReport[]> {
    const { a, b } = this.#stage.peers
    return Promise.all([a, b].map(({ endpoint }) => endpoint.stream(since, least)))
  }
}

/** An ICE restart makes others. */
async function namesOf(a: Peer, b: Peer): Promise<string> {
  const statuses = await Promise.all([a, b].map(({ endpoint }) => endpoint.status()))
  return JSON.stringify(statuses.map(({ usernameFragments }) => usernameFragments))
}
