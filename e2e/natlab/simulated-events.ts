/** The events and beginnings of the kernel lab in virtual time. */
import type { Peer } from '../sim/peer.ts'
import { pairTypes } from '../sim/runner.ts'
import { type Session, stage } from '../sim/scenario.ts'
import { simulate, type World } from '../sim/world.ts'
import type { Scenario } from '../topology/scenario.ts'
import type { Beginning, Begun } from './beginnings.ts'
import type { Route } from './encounter.ts'
import type { LabEvent } from './events.ts'
import type { Survival } from './survival.ts'

/** Virtual time. */
export type SimulatedSurvival = Omit<Survival, 'decisions'>

export interface SimulatedBeginning {
  readonly beginning: Beginning
  readonly route: Route
  readonly pair: Begun['ends'][0]['pair']
  /** Until both agents were connected: there is no DTLS and no SCTP here. Infinity: never. */
  readonly connected: number
  readonly sent: readonly [number, number]
}

/** A transfer is words as large as SCTP's packets, so many per second that a megabyte takes four. Nothing is sent again. */
const WORD = { interval: 5, bytes: 1_200 }
/** As in the kernel lab. Milliseconds. */
const LATENCY = 10
const BEAT = 40
const PATIENCE = { connect: 20_000, alone: 20_000, restarted: 20_000, transfer: 30_000, move: 40_000 }
const COUNTED = 400
/** Time before a fault, and time in which data must have come all the while before it counts as flowing. */
const BEFORE = 1_500
const FLOWING = 1_200

export function surviveSimulated(event: LabEvent, seed = 1): SimulatedSurvival {
  const { a, b, relay = false, idle = 0, faults } = event
  const relays = relay ? [{}] : []
  const scenario: Scenario = { seed, a, b, relays, link: { latency: LATENCY }, limit: PATIENCE.connect }
  return simulate(seed, (world) => {
    const session = stage(world, scenario)
    const { traffic, signaling } = session
    if (!world.runUntil(() => session.a.connected && session.b.connected, PATIENCE.connect)) {
      throw new Error(`${event.name}: never connected`)
    }
    world.run(idle)
    const beginning = world.now
    traffic.start(event.transfer ? WORD : { interval: BEAT })
    world.run(BEFORE)
    const before = pairTypes(session.a)
    const since = idle > 0 ? beginning : world.now
    happen(world, session, event)
    world.run(Math.max(0, ...faults.map((fault) => fault.at + (('for' in fault && fault.for) || 0))))
    const happened = world.now
    const transferred = event.transfer && transfer(world, session, event.transfer) - happened
    let flows = flowing(world, session, PATIENCE.alone)
    const restarted = !flows
    if (restarted) {
      signaling.restart(session.a)
      flows = flowing(world, session, PATIENCE.restarted)
    }
    const interruption = flows ? Math.round(traffic.longestGap(since)) : Number.POSITIVE_INFINITY
    const moved = event.movesTo !== undefined && movedTo(world, session, event.movesTo) - happened
    return {
      event,
      interruption,
      restarted,
      ...(transferred && { transferred: Math.round(transferred) }),
      ...(moved !== false && { moved: Math.round(moved) }),
      paths: [before, pairTypes(session.a)] as const,
    }
  })
}

/** When so many bytes have arrived at either end from now on; Infinity: not in time. */
function transfer(world: World, { a, b }: Session, bytes: number): number {
  const before = [a.received.length, b.received.length] as const
  const words = Math.ceil(bytes / WORD.bytes)
  const isThere = () => a.received.length >= before[0] + words && b.received.length >= before[1] + words
  return world.runUntil(isThere, PATIENCE.transfer) ? world.now : Number.POSITIVE_INFINITY
}

/** When most packets of `a` went over that interface; Infinity: not in time. As in the kernel lab: counted, not asked. */
function movedTo(world: World, { a: { host } }: Session, wanted: number): number {
  const counts = new Map<string, number>()
  const count = (ip: string) => counts.set(ip, (counts.get(ip) ?? 0) + 1)
  const deadline = world.now + PATIENCE.move
  world.network.observers.push({
    sent: ({ source }, sender) => sender === host && count(source.ip),
    delivered: ({ destination }, receiver) => receiver === host && count(destination.ip),
  })
  while (world.now < deadline) {
    counts.clear()
    world.run(COUNTED)
    const [[busiest] = []] = [...counts].sort(([, one], [, other]) => other - one)
    if (busiest !== undefined && busiest === host.attachments[wanted]?.ip) return world.now
  }
  return Number.POSITIVE_INFINITY
}

/** One process is all servers of the kernel lab; here the TURN server is a host of its own, and stands still likewise. */
function happen(world: World, session: Session, { faults }: LabEvent) {
  session.play(faults)
  const { clock } = world.network
  for (const fault of faults) {
    if (fault.kind !== 'server-down') continue
    for (const { host } of world.relays) {
      clock.after(fault.at, () => host.suspend())
      if (fault.for !== undefined) clock.after(fault.at + fault.for, () => host.resume())
    }
  }
}

/** Until both ends have heard of each other all the time for a while. */
function flowing(world: World, { a, b, traffic }: Session, patience: number): boolean {
  const hear = ({ received, now }: Peer) => now - (received.at(-1)?.time ?? 0) <= FLOWING / 2
  const deadline = world.now + patience
  let quiet = world.now
  while (world.now < deadline) {
    world.run(BEAT)
    if (![a, b].every(hear)) quiet = world.now
    if (world.now - quiet > FLOWING && traffic.longestGap(world.now - FLOWING) < FLOWING) return true
  }
  return false
}

export function beginSimulated(beginning: Beginning, seed = 1): SimulatedBeginning {
  const { a, b, link = { latency: LATENCY }, relay = false, signaling, serversDead = false, contestedPort } = beginning
  const server = serversDead ? { dead: true } : {}
  const scenario: Scenario = {
    seed,
    a,
    b,
    link,
    servers: [server],
    relays: relay ? [server] : [],
    signaling: { latency: signaling?.latency ?? 20 },
    limit: PATIENCE.connect,
  }
  return simulate(seed, (world) => {
    if (contestedPort !== undefined) occupy(world, a, contestedPort)
    const session = stage(world, scenario, () => (contestedPort === undefined ? {} : { port: contestedPort }))
    const both = world.runUntil(() => session.a.connected && session.b.connected, PATIENCE.connect)
    const connected = both ? Math.round(world.now) : Number.POSITIVE_INFINITY
    if (both) world.run(5_000)
    const pair = pairTypes(session.a)
    const relayed = [session.a, session.b].some((peer) => pairTypes(peer).includes('relay'))
    const sent = [session.a.packetsSent, session.b.packetsSent] as const
    return { beginning, route: both ? (relayed ? 'relay' : 'direct') : 'none', pair, connected, sent }
  })
}

/** A neighbour of `a` has had its port for a while. */
function occupy(world: World, place: Beginning['a'], port: number) {
  const neighbour = world.host('neighbour', place)
  const probe = world.stunServer().address
  neighbour.bind(neighbour.attachments[0]!.ip, port).send(probe, new Uint8Array(8))
  world.run(100)
}
