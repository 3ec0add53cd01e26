/** How two peers find each other in foul weather, and when signaling or servers are slow. Times in milliseconds. */
import type { LinkQuality, NatBehavior } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'
import { type Encounter, type Meeting, meet, type Route } from './encounter.ts'
import { Internet } from './internet.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import { Probe } from './probe.ts'

export interface Beginning extends Partial<Pick<Encounter, 'relay' | 'signaling' | 'serversDead'>> {
  readonly name: string
  readonly a: Placement
  readonly b: Placement
  /** Of the wires of both. */
  readonly link?: LinkQuality
  /** The local port of both peers; a neighbour of `a` has held the same one for a while. */
  readonly contestedPort?: number
  readonly expected: {
    readonly route: Route
    /** Until both have data of the other. */
    readonly within: number
  }
}

const HOME: Placement = { nat: { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' } }
const LINUX: NatBehavior = {
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  overloading: true,
  unsolicited: 'tracked',
}

export const BEGINNINGS: readonly Beginning[] = [
  ...[1, 5, 20].map((percent) => ({
    name: `${percent} % loss each way`,
    a: HOME,
    b: HOME,
    // A packet has two wires to pass.
    link: { latency: 10, loss: 1 - Math.sqrt(1 - percent / 100) },
    expected: { route: 'direct' as const, within: percent < 10 ? 5_000 : 15_000 },
  })),
  {
    name: 'loss in bursts of 100 ms, every 500 ms',
    a: HOME,
    b: HOME,
    link: { latency: 10, bursts: { every: 500, lasting: 100, loss: 1 } },
    expected: { route: 'direct', within: 10_000 },
  },
  {
    name: '100 ms one way, 50 ms jitter, a third of the packets overtaken',
    a: HOME,
    b: HOME,
    link: { latency: 100, jitter: 50, reorder: 0.3 },
    expected: { route: 'direct', within: 10_000 },
  },
  {
    name: 'packets above 1280 bytes vanish',
    a: HOME,
    b: HOME,
    link: { latency: 10, mtu: 1_280 },
    expected: { route: 'direct', within: 3_000 },
  },
  ...(
    [
      [0, 0],
      [500, 0],
      [0, 500],
      [500, 500],
    ] as const
  ).map((latency) => ({
    name: `signaling takes ${latency[0]} ms forth and ${latency[1]} ms back`,
    a: HOME,
    b: HOME,
    signaling: { latency },
    expected: { route: 'direct' as const, within: 4_000 },
  })),
  ...(
    [
      [0, 300],
      [300, 0],
    ] as const
  ).map((latency) => ({
    name: `a poisoning router at either end, signaling ${latency[0]} ms forth and ${latency[1]} ms back`,
    a: { nat: LINUX },
    b: { nat: LINUX },
    relay: true,
    signaling: { latency },
    // Whose packet comes first spoils the other one's mapping: a relay is what is left.
    expected: { route: 'relay' as const, within: 4_000 },
  })),
  {
    name: 'the STUN servers never answer, one side is public',
    a: HOME,
    b: {},
    serversDead: true,
    expected: { route: 'direct', within: 3_000 },
  },
  {
    name: 'two hosts with one port behind one NAT',
    a: { ...HOME, lan: 'home' },
    b: HOME,
    contestedPort: 50_000,
    expected: { route: 'direct', within: 3_000 },
  },
]

const PATIENCE = { connect: 25_000, upgrade: 2_000 }

export interface Begun extends Meeting {
  readonly beginning: Beginning
}

export async function begin(beginning: Beginning): Promise<Begun> {
  const { a, b, link, contestedPort, relay = false, ...encounter } = beginning
  const wired = (placement: Placement) => [{ ...placement, ...(link && { link }) }]
  await using internet = await Internet.build({
    hosts: { a: wired(a), b: wired(b), ...(contestedPort && { neighbour: wired(a) }) },
  })
  if (contestedPort) await occupy(internet, contestedPort)
  const range = contestedPort && { ice: { portRange: [contestedPort, contestedPort] } }
  const described: Encounter = { peers: ['node', 'node'], relay, ...encounter, configuration: { ...range } }
  return { beginning, ...(await meet(internet, described, PATIENCE)) }
}

/** The neighbour's mapping, before anybody else comes. */
async function occupy(internet: Internet, port: number): Promise<void> {
  const neighbour = await Probe.start(internet, 'neighbour')
  const server = await (await Probe.start(internet, 'servers')).open(SERVER_ADDRESSES[1])
  const socket = await neighbour.open(internet.host('neighbour').attachments[0]!.address, port)
  if ((await socket.reach(server))?.port !== port) throw new Error('the neighbour has not got the port')
}
