import type { LinkQuality, NatBehavior } from '../topology/behavior.ts'
import type { Fault, Side } from '../topology/fault.ts'
import type { Placement } from '../topology/placement.ts'
import type { Scenario, ServerPlan } from '../topology/scenario.ts'
import { reachability, type Verdict } from './reachability.ts'
import { tryToMeet } from './reference.ts'
import { placementsOf } from './scenario.ts'

/** What the agents of a scenario owe. */
export interface Expectation {
  /** Whether they meet in the network of the beginning, relays included. */
  readonly meet: Verdict
  /** Whether they meet there without a relay: then none is in use in the end. */
  readonly direct: Verdict
  /** A search may find a direct path where there is none by itself; not before a relay has carried data for a while. */
  readonly mayTurnDirect: boolean
  /** Whether an ICE restart finds a path in the network that the faults leave behind. */
  readonly meetAgain: Verdict
  /** Checks pass for good where data does not: two may be together and hear nothing of each other. */
  readonly mayHearNothing: boolean
  /** Milliseconds after which two agents without a path must have said so. */
  readonly patience: number
  /** No fault does lasting harm to a path in use: the session must survive, without a restart. */
  readonly unharmed: boolean
}

/** Milliseconds of outage, all in all, that a session survives for sure: consent lasts 30 s from the last answer. */
const SURVIVABLE = 15_000
/**
 * Loss of each wire up to which no session dies of it. An answer has four wires to pass, RFC 7675 repeats no request,
 * and six lost in a row end the consent.
 */
const BEARABLE_LOSS = 0.01
/** Milliseconds that gathering and first checks take in the worst weather drawn: what happens before may prevent them. */
const BEGINNING = 10_000
/** A NAT that grants fewer mappings may starve checks that theory counts on. */
const AMPLE_QUOTA = 32
/** … and a search leaves none of so many for a while: it makes as many as it may. */
const AMPLE_FOR_SEARCH = 1_024

/** RFC 8863's 39.5 s, and not much more. */
const PATIENCE = 60_000
/**
 * Two NATs that give each check a new port, and let new ports in, show the agents a new peer-reflexive candidate with
 * every check: they go on until there are LIMITS.remoteCandidates of them.
 */
const PATIENCE_WITH_TWO_DEPENDENT = 180_000
/** A path with a known round trip is tried with an RTO of two of them: Rc 7 and Rm 16 make 79 RTO. */
const ROUND_TRIPS_OF_A_CHECK = 2 * 79
const WIRES_OF_A_ROUND_TRIP = 4

export function expectationOf(scenario: Scenario): Expectation {
  const { faults = [] } = scenario
  const search = maySearch(scenario)
  const direct = withSearch(search, withLuck(scenario, verdict(scenario)))
  const meet = either(direct, relayed(scenario, []))
  const lasting = faults.filter(changesNetwork)
  const chancy = invalidatesMapping(scenario) || starves(scenario) || faults.some(losesMost)
  const directAgain =
    lasting.length === 0 ? direct : withSearch(search, withLuck(scenario, tryToMeet(scenario, faults)))
  const meetAgain = chancy ? 'perhaps' : either(directAgain, relayed(scenario, faults))
  const uncertain = meet !== meetAgain || faults.some(preventsBeginning)
  return {
    meet: uncertain ? 'perhaps' : meet,
    direct: uncertain ? 'perhaps' : direct,
    mayTurnDirect: search && direct !== 'must',
    meetAgain,
    mayHearNothing: faults.some(losesData),
    patience: patienceFor(scenario),
    unharmed:
      isCalm(scenario) &&
      !agesMappings(scenario) &&
      isUnharmed(faults) &&
      !(direct !== 'must' && faults.some(isRelayDeath)),
  }
}

function changesNetwork(fault: Fault): boolean {
  if (fault.kind === 'server-down' || fault.kind === 'relay-down') return fault.for === undefined
  return fault.kind === 'interface-gone' || fault.kind === 'interface-new' || fault.kind === 'link'
}

/** What theory and network say, unless luck decides. */
function withLuck(scenario: Scenario, known: Verdict): Verdict {
  // A mapping that has died leaves its port to the next one, which may be the one that the peer knows; and one towards the
  // peer that is made first may have the socket's own port, which an agent that searches names as a guess.
  const chance = agesMappings(scenario) || mayGuessPort(scenario)
  const luck = known === 'cannot' ? chance : isPoisoned(scenario) || beginsLateInBursts(scenario)
  return luck ? 'perhaps' : known
}

function withSearch(search: boolean, known: Verdict): Verdict {
  return search && known === 'cannot' ? 'perhaps' : known
}

/** One side may look for the ports of the other's NAT, or be found by it: over a relay, since a search needs a path. */
function maySearch(scenario: Scenario): boolean {
  const { a, b, traversal = {} } = scenario
  if (traversal.a !== 'auto' && traversal.b !== 'auto') return false
  if (!isDependent(a) && !isDependent(b)) return false
  return relayed(scenario, []) !== 'cannot'
}

/** Theory where it is sure; else the network is asked. */
function verdict(scenario: Scenario): Verdict {
  const { a, b, servers = [{}], relays = [] } = scenario
  const [left, right] = [[a].flat() as Placement[], [b].flat() as Placement[]]
  const plain = left.length === 1 && right.length === 1 && isTextbook(left[0]!) && isTextbook(right[0]!)
  // A TURN server tells addresses too.
  const stun = [...servers, ...relays].some(({ dead, family }: ServerPlan) => !dead && family !== 6)
  const theory = plain ? reachability(left[0]!, right[0]!, stun) : 'perhaps'
  return theory === 'perhaps' ? tryToMeet(scenario) : theory
}

/** Whether both can hold an allocation on a TURN server that lives. */
function relayed({ a, b, relays = [] }: Scenario, faults: readonly Fault[]): Verdict {
  const dead = (index: number) =>
    faults.some((fault) => fault.kind === 'relay-down' && fault.for === undefined && fault.relay === index)
  const alive = relays.filter((relay, index) => !relay.dead && !dead(index))
  if (alive.length === 0) return 'cannot'
  const blocked = [
    [...[a].flat(), ...added(faults, 'a')],
    [...[b].flat(), ...added(faults, 'b')],
  ].map((side) => side.map(({ firewall }: Placement) => firewall?.outgoingPorts !== undefined))
  // Nobody blocks TCP to port 443, which they are reached at.
  const overTcp = alive.some(({ tcp }) => tcp)
  if (!overTcp && blocked.some((side) => side.every(Boolean))) return 'cannot'
  // Not every address of a host gets a relay, and one that goes away may have had the only one.
  const touched = faults.some(({ kind }) => kind === 'link' || kind === 'interface-gone' || kind === 'interface-new')
  return touched || blocked.some((side) => side.some(Boolean)) ? 'perhaps' : 'must'
}

function added(faults: readonly Fault[], side: Side): Placement[] {
  return faults.flatMap((fault) => (fault.kind === 'interface-new' && fault.of === side ? [fault.placement] : []))
}

function either(one: Verdict, other: Verdict): Verdict {
  if (one === 'must' || other === 'must') return 'must'
  return one === 'perhaps' || other === 'perhaps' ? 'perhaps' : 'cannot'
}

/** What theory is about: IPv4, and NATs of one kind of mapping and one kind of filter. */
function isTextbook({ family, nat, nat64, portMapping }: Placement): boolean {
  return family !== 6 && !nat64 && !portMapping && !nat?.overloading
}

function isCalm({ a, b, link }: Scenario): boolean {
  return [link, ...[a, b].flat().map((placement: Placement) => placement.link)].every(
    (quality) => quality === undefined || isBearable(quality),
  )
}

function isUnharmed(faults: readonly Fault[]): boolean {
  let outage = 0
  for (const fault of faults) {
    if (fault.kind === 'nat-reboot' || fault.kind === 'wan-address' || fault.kind === 'interface-gone') return false
    if (fault.kind === 'suspend') outage += fault.for
    if (fault.kind !== 'link' || isBearable(fault.quality)) continue
    if (fault.for === undefined) return false
    outage += fault.for
  }
  return outage <= SURVIVABLE
}

function isRelayDeath({ kind }: Fault): boolean {
  return kind === 'relay-down'
}

function isBearable({ drops, mtu, loss = 0, bursts }: LinkQuality): boolean {
  return drops === undefined && mtu === undefined && bursts === undefined && loss <= BEARABLE_LOSS
}

/** What is missing at the beginning never comes: candidates that no server told, messages that nobody passes on. */
function preventsBeginning(fault: Fault): boolean {
  if (fault.kind !== 'signaling-down' && fault.kind !== 'server-down' && fault.kind !== 'relay-down') return false
  return fault.at < BEGINNING && (fault.for === undefined || fault.kind !== 'signaling-down')
}

/** A path there is, but finding it takes luck. */
function losesMost(fault: Fault): boolean {
  return fault.kind === 'link' && fault.for === undefined && (fault.quality.loss ?? 0) >= 0.5
}

function losesData(fault: Fault): boolean {
  return fault.kind === 'link' && fault.for === undefined && fault.quality.drops === 'data'
}

/** Nobody tells the agent where its port is mapped after its router has got another address. */
function invalidatesMapping({ a, b, faults = [] }: Scenario): boolean {
  const mapped = [a, b].flat().some(({ portMapping }: Placement) => portMapping)
  return mapped && faults.some(({ kind }) => kind === 'wan-address')
}

function patienceFor(scenario: Scenario): number {
  const { a, b, faults = [] } = scenario
  const base = isDependent(a) && isDependent(b) ? PATIENCE_WITH_TWO_DEPENDENT : PATIENCE
  const wires = [
    ...(['a', 'b'] as const).flatMap((side) => placementsOf(scenario, side).map(({ link }) => link)),
    ...faults.map((fault) => (fault.kind === 'link' ? fault.quality : undefined)),
  ]
  const slowest = Math.max(...wires.map((link) => (link?.latency ?? 0) + (link?.jitter ?? 0)))
  return base + ROUND_TRIPS_OF_A_CHECK * WIRES_OF_A_ROUND_TRIP * slowest
}

function isDependent(side: Placement | readonly Placement[]): boolean {
  const dependent = (nat: NatBehavior | undefined) => nat !== undefined && nat.mapping !== 'endpoint-independent'
  return [side].flat().some(({ nat, carrier, nat64 }) => dependent(nat) || dependent(carrier?.nat) || dependent(nat64))
}

function starves(scenario: Scenario): boolean {
  const ample = maySearch(scenario) ? AMPLE_FOR_SEARCH : AMPLE_QUOTA
  return natsOf(scenario).some(({ portQuota = Number.POSITIVE_INFINITY }) => portQuota < ample)
}

/** A NAT that ends busy mappings reboots again and again, as far as its mappings are concerned. */
function agesMappings(scenario: Scenario): boolean {
  return natsOf(scenario).some(({ maximumLifetime }) => maximumLifetime !== undefined)
}

/** Before it has gathered, an agent can know its peer where one begins later, or a path comes anew. */
function mayGuessPort(scenario: Scenario): boolean {
  const { signaling, faults = [], traversal = {} } = scenario
  const keeps = natsOf(scenario).some(
    ({ mapping, allocation }) => mapping !== 'endpoint-independent' && allocation === 'preserve',
  )
  const searches = traversal.a === 'auto' || traversal.b === 'auto'
  return keeps && searches && (Boolean(signaling?.skew) || faults.some(changesNetwork))
}

/** Whose packet comes first decides: a box that takes an early one for its own gives the answer to it another port. */
function isPoisoned(scenario: Scenario): boolean {
  return natsOf(scenario).some(({ unsolicited }) => unsolicited === 'tracked')
}

/** One side's check may have two sends left when the other side, which has gathered for 5 s, begins: bursts take both. */
function beginsLateInBursts(scenario: Scenario): boolean {
  const wires = (['a', 'b'] as const).flatMap((side) => placementsOf(scenario, side))
  return scenario.signaling?.trickle === false && wires.some(({ link }) => link?.bursts !== undefined)
}

function natsOf({ a, b }: Scenario): NatBehavior[] {
  return [a, b].flat().flatMap(({ nat, carrier, nat64 }: Placement) => [nat, carrier?.nat, nat64].filter((it) => !!it))
}
