/** What happens to a connection that has one: a fault each, and how long data stops for it. Times in milliseconds. */
import type { Fault } from '../topology/fault.ts'
import { EIM_APDF as EASY, APDM_RANDOM as HARD } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'

/** An event of the table; all of it is data. */
export interface LabEvent {
  readonly name: string
  readonly a: readonly Placement[]
  readonly b: readonly Placement[]
  /** `at` counts from the time that data flows both ways. */
  readonly faults: readonly Fault[]
  /** The peers have a relay beside. */
  readonly relay?: boolean
  /** Silence before the faults, in which neither end sends data of its own. */
  readonly idle?: number
  /** Bytes that each end sends the other once the faults have happened: what their packets carry shows by their checksums. */
  readonly transfer?: number
  /** The number of the interface of `a` that carries the data in the end. */
  readonly movesTo?: number
  /** Why the kernel lab leaves it out. */
  readonly simulatorOnly?: string
  /** Where the simulator comes to something else than the kernel, and why. */
  readonly simulated?: LabEvent['expected']
  readonly expected: {
    /** Data stops for at most this long, the fault's own duration included. NEVER: it does not come back. */
    readonly within: number
    /** Only an ICE restart brings it back. */
    readonly restart: boolean
    /** The `transfer` is there, both ways. */
    readonly transferred?: number
    /** Data goes over `movesTo`. */
    readonly moved?: number
    readonly reason: string
  }
}

/** What is not survived so far. When it is, the event's expectation has to say so. */
export const NEVER = Number.POSITIVE_INFINITY

const HOME: readonly Placement[] = [{ nat: EASY }]
const OPEN: readonly Placement[] = [{}]
const TWO_HOMES: readonly Placement[] = [{ nat: EASY }, { nat: EASY }]

const TWO_HARD: readonly Placement[] = [{ nat: HARD }, { nat: HARD }]

const DEAD = { drops: 'all' } as const
const MEGABYTE = 1_000_000

const SLOW: Placement = { nat: EASY, link: { latency: 60 } }
const FAST: Placement = { nat: EASY, link: { latency: 5 } }

/** The simulator's host tells its agent of an address at once; nobody tells Node: IceTransport looks every second. */
const WATCHED = 'interfaces are watched, and the agent gathers on the new one'
const TOLD = 'the host tells its agent of the new address at once'

export const EVENTS: readonly LabEvent[] = [
  {
    name: 'the NAT reboots, and gives the same port again',
    a: HOME,
    b: HOME,
    faults: [{ kind: 'nat-reboot', at: 0, of: 'a' }],
    expected: { within: 1_000, restart: false, reason: 'the next packet from inside makes the same mapping' },
  },
  {
    name: 'the NAT reboots, and gives another port',
    a: [{ nat: HARD }],
    b: OPEN,
    faults: [{ kind: 'nat-reboot', at: 0, of: 'a' }],
    expected: { within: 6_000, restart: false, reason: 'a check from inside shows the peer the new endpoint' },
  },
  {
    name: 'the NAT gets another address; the peer is public',
    a: HOME,
    b: OPEN,
    faults: [{ kind: 'wan-address', at: 0, of: 'a' }],
    expected: { within: 6_000, restart: false, reason: 'a check from inside shows the peer the new endpoint' },
  },
  {
    name: 'the NAT gets another address; the peer filters',
    a: HOME,
    b: HOME,
    faults: [{ kind: 'wan-address', at: 0, of: 'a' }],
    expected: { within: 40_000, restart: true, reason: 'the peer’s filter knows only the old address' },
  },
  {
    name: 'the NAT gets another address; there is a relay',
    a: HOME,
    b: HOME,
    relay: true,
    faults: [{ kind: 'wan-address', at: 0, of: 'a' }],
    expected: { within: 10_000, restart: false, reason: 'the relay’s path is kept warm by the other end' },
  },
  {
    name: 'silence for 5 s',
    a: HOME,
    b: HOME,
    faults: [{ kind: 'link', at: 0, for: 5_000, of: 'a', quality: DEAD }],
    expected: { within: 7_000, restart: false, reason: 'consent lasts 30 s' },
  },
  {
    name: 'silence for 5 s while signaling is down',
    a: HOME,
    b: HOME,
    faults: [
      { kind: 'signaling-down', at: 0 },
      { kind: 'link', at: 0, for: 5_000, of: 'a', quality: DEAD },
    ],
    expected: { within: 7_000, restart: false, reason: 'consent lasts 30 s, and needs no signaling' },
  },
  {
    name: 'one of two interfaces dies without a word',
    a: TWO_HOMES,
    b: OPEN,
    faults: [{ kind: 'link', at: 0, of: 'a', interface: 0, quality: DEAD }],
    expected: { within: 3_000, restart: false, reason: 'the other interface’s pair is kept as a backup' },
  },
  {
    name: 'one of two interfaces dies in the direction out',
    a: TWO_HOMES,
    b: OPEN,
    faults: [{ kind: 'link', at: 0, of: 'a', interface: 0, direction: 'up', quality: DEAD }],
    expected: { within: 3_000, restart: false, reason: 'the other interface’s pair is kept as a backup' },
  },
  {
    name: 'one of two interfaces swallows data, and lets STUN pass',
    a: TWO_HOMES,
    b: OPEN,
    faults: [{ kind: 'link', at: 0, of: 'a', interface: 0, quality: { drops: 'data' } }],
    expected: { within: 3_000, restart: false, reason: 'SCTP has no answer, and data arrives over the backup alone' },
  },
  {
    name: 'one of two interfaces is switched off',
    a: TWO_HOMES,
    b: OPEN,
    faults: [{ kind: 'interface-gone', at: 0, of: 'a', interface: 0 }],
    expected: { within: 3_000, restart: false, reason: 'the other interface’s pair is kept as a backup' },
  },
  {
    name: 'the only interface goes, another one comes',
    a: HOME,
    b: OPEN,
    faults: [
      { kind: 'interface-gone', at: 0, of: 'a', interface: 0 },
      { kind: 'interface-new', at: 500, of: 'a', placement: { nat: EASY } },
    ],
    expected: { within: 3_000, restart: false, reason: WATCHED },
    simulated: { within: 1_000, restart: false, reason: TOLD },
  },
  {
    name: 'a faster interface comes',
    a: [SLOW],
    b: OPEN,
    faults: [{ kind: 'interface-new', at: 0, of: 'a', placement: FAST }],
    movesTo: 1,
    expected: {
      within: 1_000,
      moved: 30_000,
      restart: false,
      reason:
        'the path in use goes on, until three round trips, one for each consent check, have shown that the new one is faster',
    },
  },
  {
    name: 'the process stands still for 10 s',
    a: HOME,
    b: HOME,
    faults: [{ kind: 'suspend', at: 0, for: 10_000, of: 'a' }],
    expected: { within: 12_000, restart: false, reason: 'consent lasts 30 s' },
  },
  {
    name: 'the process stands still for 60 s',
    a: HOME,
    b: HOME,
    faults: [{ kind: 'suspend', at: 0, for: 60_000, of: 'a' }],
    expected: { within: 90_000, restart: true, reason: 'consent lasts 30 s' },
  },
  {
    name: 'the relay in use stands still for 5 s',
    a: [{ nat: HARD }],
    b: [{ nat: HARD }],
    relay: true,
    faults: [{ kind: 'server-down', at: 0, for: 5_000, server: 0 }],
    expected: { within: 8_000, restart: false, reason: 'consent lasts 30 s, and the allocation longer' },
  },
  {
    name: 'the relay in use dies, and there is no other',
    a: [{ nat: HARD }],
    b: [{ nat: HARD }],
    relay: true,
    faults: [{ kind: 'relay-down', at: 0, relay: 0 }],
    expected: { within: NEVER, restart: true, reason: 'nothing else leads from the one to the other' },
  },
  {
    name: 'the relay dies while nobody uses it',
    a: HOME,
    b: HOME,
    relay: true,
    faults: [{ kind: 'relay-down', at: 0, relay: 0 }],
    expected: { within: 1_000, restart: false, reason: 'data goes without it' },
  },
  ...[20_000, 30_000, 60_000].map((mappingTimeout) => ({
    name: `mappings end after ${mappingTimeout / 1_000} s of silence`,
    a: [{ nat: { ...EASY, mappingTimeout } }],
    b: [{ nat: { ...EASY, mappingTimeout } }],
    idle: mappingTimeout + 10_000,
    faults: [],
    expected: { within: 1_000, restart: false, reason: 'consent checks keep them' },
  })),
  {
    name: 'mappings end at the age of 60 s, however busy',
    a: [{ nat: { ...HARD, maximumLifetime: 60_000 } }],
    b: OPEN,
    idle: 59_000,
    faults: [],
    simulatorOnly: 'connection tracking knows no age: what it comes to is a reboot of the NAT that gives another port',
    expected: { within: 6_000, restart: false, reason: 'a check from inside shows the peer the new endpoint' },
  },
  ...[0.01, 0.05, 0.2].map((loss) => ({
    name: `${100 * loss} % loss`,
    a: HOME,
    b: HOME,
    faults: [{ kind: 'link' as const, at: 0, for: 10_000, of: 'a' as const, quality: { loss } }],
    expected: { within: loss > 0.1 ? 2_000 : 1_000, restart: false, reason: 'no path dies of it' },
  })),
  ...[false, true].map((relay) => ({
    name: `the MTU of the path is 1280 bytes, and nobody says so; 1 MB each way${relay ? ', relayed' : ''}`,
    a: relay ? [{ nat: HARD }] : HOME,
    b: relay ? [{ nat: HARD }] : HOME,
    relay,
    faults: [{ kind: 'link' as const, at: 0, of: 'a' as const, quality: { mtu: 1_280 } }],
    transfer: MEGABYTE,
    expected: { within: 2_000, transferred: 10_000, restart: false, reason: 'no packet of ours is that large' },
  })),
  ...[false, true].map((relay) => ({
    name: `one of two interfaces swallows packets above 1000 bytes; 1 MB each way${relay ? ', relayed' : ''}`,
    a: relay ? TWO_HARD : TWO_HOMES,
    b: relay ? [{ nat: HARD }] : OPEN,
    relay,
    faults: [{ kind: 'link' as const, at: 0, of: 'a' as const, interface: 0, quality: { mtu: 1_000 } }],
    transfer: MEGABYTE,
    movesTo: 1,
    expected: {
      within: 10_000,
      transferred: 20_000,
      moved: 20_000,
      restart: false,
      reason: 'checks of the size of the data find out, and the other interface takes over',
    },
  })),
]
