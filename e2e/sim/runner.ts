import { SEARCH, TIMING } from '@floe/ice'
import type { Fault } from '../topology/fault.ts'
import type { Placement } from '../topology/placement.ts'
import type { Scenario } from '../topology/scenario.ts'
import { assertAgreement, assertPriorities, betterPair, isRelayed, Violation } from './invariants.ts'
import { type Expectation, expectationOf } from './oracle.ts'
import { describePair, type Peer } from './peer.ts'
import type { Verdict } from './reachability.ts'
import { outlive } from './recovery.ts'
import { watchRoles } from './role-watch.ts'
import { endOfFaults, type Session, stage } from './scenario.ts'
import type { Trace } from './trace.ts'
import { simulate, type World } from './world.ts'

export interface Outcome {
  /** Milliseconds until both were connected; Infinity: never. */
  readonly connectedAfter: number
  /** Local and remote candidate type of each end's selected pair once all is quiet: `srflx-prflx`; `none` without one. */
  readonly a: string
  readonly b: string
  readonly states: readonly [a: string, b: string]
  /** Milliseconds until both used a path without a relay; Infinity: never. */
  readonly directAfter: number
  /** Sockets that each had open at a time. */
  readonly sockets: readonly [a: number, b: number]
  /** Datagrams that the agents sent until then, checks, gathering and relaying included. */
  readonly sent: readonly [a: number, b: number]
}

export interface Judged extends Outcome {
  /** Whether the two had to meet. */
  readonly expected: Verdict
}

export interface JudgeOptions {
  /** Takes down what happens. Without one a failure carries the end of its own. */
  readonly trace?: Trace
  /** Does something to the world before anybody lives in it. */
  readonly prepare?: (world: World) => void
}

/** Milliseconds after the connection in which better pairs may still take over, and after which they must have. */
const SETTLE = 5_000
const SETTLE_AT_LAST = 20_000
/** The same where a search, which begins late and takes its time, may find a direct path. */
const SEARCHED = TIMING.directPatience + SEARCH.duration + SETTLE
/** The same after faults: a consent check or two (5 s) show the peer where this side is now. */
const SETTLE_AFTER_FAULTS = 15_000
/** Milliseconds after which a path that the faults broke must have lost its consent (30 s), with a margin. */
const CONSENT_IS_OVER = 40_000
/** How often a session on a very bad path may be found in the midst of dying or reviving. */
const LIVES = 3
/** Small words, so that it shows whether there is a path and not how wide it is. */
const PROBE = { interval: 250 }
/** Milliseconds in which a relay has given way to a direct path. */
const UPGRADE = 30_000
/** Milliseconds without a word that faults which touch no path may cause at most: some words are lost in foul weather. */
const INTERRUPTION = 3_000

/**
 * Runs a scenario without faults to its end with all invariants: `simulate`'s, and agreement about the path if any.
 * `patience`: milliseconds after the connection in which a better path may still be found.
 */
export function runScenario(scenario: Scenario, patience?: number): Outcome {
  return simulate(scenario.seed, (world) => connect(world, scenario, stage(world, scenario), patience))
}

/** The same for any scenario, and holds the agents to what the oracle expects of them. Throws `Violation`. */
export function judge(scenario: Scenario, { trace, prepare }: JudgeOptions = {}): Judged {
  const expectation = expectationOf(scenario)
  return simulate(
    scenario.seed,
    (world) => {
      prepare?.(world)
      const session = stage(world, scenario)
      for (const peer of [session.a, session.b]) watchRoles(peer)
      const expected = expectation.meet
      if (scenario.bounded) return { ...outcomeOf(session, outlive(world, scenario, session)), expected: 'must' }
      if (scenario.faults?.length) return { ...survive(world, scenario, session, expectation), expected }
      const outcome = connect(world, scenario, session, expectation.mayTurnDirect ? SEARCHED : SETTLE)
      assertConnection(world, scenario, session, expectation, outcome.connectedAfter)
      return { ...outcome, expected }
    },
    trace,
  )
}

function connect(world: World, scenario: Scenario, session: Session, patience = SETTLE): Outcome {
  const { a, b } = session
  const both = world.runUntil(() => a.connected && b.connected, scenario.limit)
  const connectedAfter = both ? world.now : Number.POSITIVE_INFINITY
  if (both) {
    settle(world, session, patience)
    assertBestPair(world, scenario, session)
  }
  return outcomeOf(session, connectedAfter)
}

function assertConnection(
  world: World,
  { limit }: Scenario,
  session: Session,
  { meet, direct, patience }: Expectation,
  connectedAfter: number,
) {
  const { a, b } = session
  if (connectedAfter < Number.POSITIVE_INFINITY) return assertRoute(world, session, direct)
  if (meet === 'must') throw new Violation('unconnected', `not connected within ${limit} ms, though there is a path`)
  const decided = () => (a.state === 'failed' && b.state === 'failed') || (a.connected && b.connected)
  if (!world.runUntil(decided, Math.max(0, patience - limit))) throw undecided(session)
}

/** A relay is used where nothing else works, and only there. */
function assertRoute(world: World, { a, b }: Session, direct: Verdict) {
  const isDirect = () => [a, b].every(({ selected }) => selected && !isRelayed(selected))
  if (direct === 'cannot' && isDirect())
    throw new Violation('impossible', 'a direct path was found where there is none')
  if (direct !== 'must' || world.runUntil(isDirect, UPGRADE)) return
  throw new Violation(
    'direct',
    `a relay is still in use, though there is a direct path: ${pairTypes(a)}, ${pairTypes(b)}`,
  )
}

/** Plays all faults, then asks what has become of the session. */
function survive(world: World, scenario: Scenario, session: Session, expectation: Expectation): Outcome {
  const { a, b, traffic } = session
  const { faults = [], limit } = scenario
  const end = endOfFaults(faults)
  const connected = world.runUntil(() => a.connected && b.connected, end)
  const connectedAfter = connected ? world.now : Number.POSITIVE_INFINITY
  if (connected && scenario.traffic) traffic.start(scenario.traffic)
  world.run(end - world.now)
  traffic.start(PROBE)
  const flowing = expectation.unharmed
    ? carryOn(world, session, expectation, limit)
    : recover(world, session, expectation, limit)
  if (connected && scenario.traffic && expectation.unharmed && !faults.some(isOutage))
    assertNoGap(session, connectedAfter)
  traffic.stop()
  if (flowing && !expectation.mayHearNothing) settleAfterFaults(world, session, expectation)
  return outcomeOf(session, connectedAfter)
}

/** No fault has done lasting harm: what could meet before is together now. */
function carryOn(world: World, session: Session, { meet, patience }: Expectation, limit: number): boolean {
  const { traffic } = session
  const { now } = world
  const flows = () => traffic.flowsSince(now) < Number.POSITIVE_INFINITY
  if (meet === 'must') {
    if (world.runUntil(flows, limit)) return true
    throw new Violation('unrecovered', `${limit} ms after the last fault no data flows: ${describeEnds(session)}`)
  }
  if (!world.runUntil(() => flows() || haveGivenUp(session), patience)) throw undecided(session)
  if (meet === 'cannot' && flows()) throw new Violation('impossible', 'a path was found where there is none')
  return flows()
}

/** A path may be lost for good. Then there is another one, or both say so, and an ICE restart finds what there is. */
function recover(world: World, session: Session, expectation: Expectation, limit: number): boolean {
  const { meetAgain, mayHearNothing, patience } = expectation
  const { traffic, signaling, a, b } = session
  world.run(CONSENT_IS_OVER)
  const { now } = world
  const flows = () => traffic.flowsSince(now) < Number.POSITIVE_INFINITY
  const decided = () => flows() || haveGivenUp(session) || (mayHearNothing && a.connected && b.connected)
  if (!world.runUntil(decided, patience)) throw undecided(session)
  if (flows() || signaling.isDown || meetAgain === 'cannot') return flows()
  signaling.restart(a)
  const restarted = world.now
  const flowsAgain = () => traffic.flowsSince(restarted) < Number.POSITIVE_INFINITY
  if (world.runUntil(flowsAgain, limit) || meetAgain === 'perhaps' || mayHearNothing) return flowsAgain()
  throw new Violation('unrecovered', `${limit} ms after an ICE restart no data flows: ${describeEnds(session)}`)
}

/** While one still waits for what signaling does not deliver, neither can know better. */
function haveGivenUp({ a, b, signaling }: Session): boolean {
  const waiting = !a.agent.remoteParameters || !b.agent.remoteParameters
  return (waiting && signaling.isDown) || (a.state === 'failed' && b.state === 'failed')
}

function undecided(session: Session): Violation {
  return new Violation('undecided', `neither a path nor both failed: ${describeEnds(session)}`)
}

function describeEnds({ a, b }: Session): string {
  return `a is ${a.state}, b is ${b.state}`
}

function isOutage({ kind }: Fault): boolean {
  return kind === 'link' || kind === 'suspend'
}

function assertNoGap({ traffic }: Session, since: number) {
  const gap = traffic.longestGap(since)
  if (gap > INTERRUPTION) throw new Violation('interrupted', `no data for ${gap} ms, though no path was touched`)
}

/** In foul weather the news of a better pair may be on its way for a while: they are asked again before it is a failure. */
function settle(world: World, { a, b }: Session, ms: number) {
  for (let patience = SETTLE_AT_LAST; ; patience -= SETTLE) {
    world.run(ms)
    try {
      return assertAgreement(world, a, b)
    } catch (error) {
      if (patience <= 0) throw error
    }
  }
}

/** What limps on after harm may still die of it, but then both must know. */
function settleAfterFaults(world: World, session: Session, { unharmed, patience }: Expectation) {
  world.run(SETTLE_AFTER_FAULTS)
  if (unharmed) return settle(world, session, SETTLE)
  const { a, b } = session
  for (let attempt = 1; ; attempt++) {
    const decided = () => haveGivenUp(session) || (a.connected && b.connected)
    if (!world.runUntil(decided, CONSENT_IS_OVER + patience)) throw undecided(session)
    if (haveGivenUp(session)) return
    try {
      return settle(world, session, SETTLE)
    } catch (error) {
      if (attempt === LIVES) throw error
    }
  }
}

/**
 * Better pairs may be on their way a little longer. A fresh socket is met before signaling tells what it counts, and that
 * a proven pair has the higher number then is no reason to go back: with such sockets only relays are compared.
 */
function assertBestPair(world: World, scenario: Scenario, { a, b }: Session) {
  const equal = haveEqualRoundTrips(scenario) && a.mostSockets + b.mostSockets === 0
  for (const peer of [a, b]) {
    if (world.runUntil(() => betterPair(peer, equal) === undefined, SETTLE_AT_LAST)) continue
    const [used, better] = [peer.selected!, betterPair(peer, equal)!]
    throw new Violation('best pair', `${peer.name} uses ${describePair(used)}, and ${describePair(better)} works too`)
  }
}

/** No two paths differ in their round trips, so that these are no reason to prefer one. */
function haveEqualRoundTrips({ a, b, link }: Scenario): boolean {
  const ownLinks = [a, b].flat().some((placement: Placement) => placement.link !== undefined)
  return !ownLinks && !link?.jitter && !link?.reorder
}

function outcomeOf({ a, b }: Session, connectedAfter: number): Outcome {
  assertPriorities([a, b])
  const [first, second] = [a, b].map((peer) =>
    peer.timeOf((output) => output.type === 'selectedpair' && !isRelayed(output.pair)),
  )
  return {
    connectedAfter,
    directAfter: Math.max(first!, second!),
    a: pairTypes(a),
    b: pairTypes(b),
    states: [a.state, b.state],
    sockets: [a.mostSockets, b.mostSockets],
    sent: [a.packetsSent, b.packetsSent],
  }
}

export function pairTypes({ selected }: Peer): string {
  return selected ? `${selected.local.type}-${selected.remote.type}` : 'none'
}
