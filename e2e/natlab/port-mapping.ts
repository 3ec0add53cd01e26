/** What a port mapped at a home router does for peers that never meet without: many runs of each way to get one. */
import { APDM_RANDOM as HARD, LINUX_MASQUERADE } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import { sideBySide } from './decisions.ts'
import { type Meeting, meet, type Route } from './encounter.ts'
import { Internet } from './internet.ts'
import type { MappingRouter } from './mapping-router.ts'
import { middle, most } from './table.ts'
import { now, pause } from './time.ts'

const EVERY_PROTOCOL: Placement = { nat: HARD, mappingProtocols: ['pcp', 'nat-pmp', 'upnp'] }
const NEIGHBOUR: Placement = {
  nat: LINUX_MASQUERADE,
  carrier: { name: 'carrier', nat: { ...HARD, filtering: 'endpoint-independent' } },
  mappingProtocols: ['pcp'],
}

export interface MappingTrial {
  readonly name: string
  readonly a: Placement
  readonly b: Placement
  readonly expected: Route
}

export const MAPPING_TRIALS: readonly MappingTrial[] = [
  { name: 'no router maps ports', a: { nat: HARD }, b: { nat: HARD }, expected: 'relay' },
  ...(['pcp', 'nat-pmp', 'upnp'] as const).map((protocol): MappingTrial => {
    const a: Placement = { nat: HARD, mappingProtocols: [protocol] }
    return { name: `${protocol} alone, at one end`, a, b: { nat: HARD }, expected: 'direct' }
  }),
  { name: 'all protocols, at both ends', a: EVERY_PROTOCOL, b: EVERY_PROTOCOL, expected: 'direct' },
  {
    name: 'pcp at home, neighbours behind a carrier that does not hairpin',
    a: NEIGHBOUR,
    b: NEIGHBOUR,
    expected: 'direct',
  },
]

const CELL = {
  places: ['apdm-random', 'apdm-random'],
  peers: ['node', 'node'],
  relay: true,
  portMapping: true,
} as const
const PATIENCE = { connect: 10_000, upgrade: 8_000 }
/**
 * How long a router runs before it is restarted, milliseconds. PCP: a clock that has run for less is forgiven for
 * standing at zero (RFC 6887 §8.5). UPnP: miniupnpd's boot id counts seconds.
 */
const UPTIME = { pcp: 4_000, upnp: 1_200 } as const

/** Protocols whose routers are restarted: each as the only one, with an announcement of its own. */
export const RESTARTED = ['pcp', 'upnp'] as const
export type Restarted = (typeof RESTARTED)[number]

export async function meetMapped({ a, b }: MappingTrial): Promise<Meeting> {
  await using internet = await Internet.build({ hosts: { a: [a], b: [b] } })
  return await meet(internet, CELL, PATIENCE)
}

export interface Restart {
  readonly meeting: Meeting
  readonly before: Awaited<ReturnType<MappingRouter['mappings']>>
  /** Milliseconds from the daemon's first packet until the router had them back as they were; `undefined`: it had not. */
  readonly backAfter: number | undefined
}

/** The router of a mapped peer is restarted, with nothing left of what it knew, and announces itself. */
export async function restartRouter(protocol: Restarted): Promise<Restart> {
  const a: Placement = { nat: HARD, mappingProtocols: [protocol] }
  await using internet = await Internet.build({ hosts: { a: [a], b: [{ nat: HARD }] } })
  const meeting = await meet(internet, CELL, PATIENCE)
  const [router] = [...internet.mappingRouters.values()]
  const before = await router!.mappings()
  await pause(UPTIME[protocol])
  await router!.stop()
  if ((await router!.mappings()).length > 0) throw new Error('the router has kept its mappings')
  await router!.start()
  const start = now()
  while (now() < start + 8_000) {
    if (JSON.stringify(await router!.mappings()) === JSON.stringify(before))
      return { meeting, before, backAfter: Math.round(now() - start) }
    await pause(20)
  }
  return { meeting, before, backAfter: undefined }
}

/** One row of the table. */
export async function measureMapping(trial: MappingTrial, runs: number, onrun: (text: string) => void) {
  const meetings: Meeting[] = []
  for (let run = 0; run < runs; run++) {
    const meeting = await meetMapped(trial)
    meetings.push(meeting)
    const { route, firstByte, direct, ends } = meeting
    onrun(
      `${trial.name}: ${route} ${ends[0].pair}, ${firstByte ?? '-'} ms to the first byte, ${direct ?? '-'} to direct`,
    )
    if (route !== trial.expected) onrun(sideBySide(ends[0].decisions, ends[1].decisions))
  }
  const asExpected = meetings.filter(({ route }) => route === trial.expected).length
  const times = meetings.flatMap(({ direct }) => direct ?? [])
  const pairs = [...new Set(meetings.map(({ ends }) => ends[0].pair))].join(', ')
  const firstBytes = meetings.flatMap(({ firstByte }) => firstByte ?? [])
  return {
    isReached: asExpected === runs,
    row: `| ${trial.name} | ${trial.expected} in ${asExpected} of ${runs} | ${pairs} | ${middle(firstBytes)} | ${middle(times)} | ${most(times)} |`,
  }
}

export const MAPPING_HEAD = `| hard with hard, and … | path | pair of the first end | first byte, median ms | direct, median ms | last ms |
|---|---|---|---|---|---|`

/** One row of restarts. */
export async function measureRestarts(protocol: Restarted, runs: number, onrun: (text: string) => void) {
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    const { backAfter } = await restartRouter(protocol)
    onrun(`${protocol} router restarted: mapping back after ${backAfter ?? 'more than 8,000'} ms`)
    if (backAfter !== undefined) times.push(backAfter)
  }
  const row = `| ${protocol} alone | ${times.length} of ${runs} | ${middle(times)} | ${most(times)} |`
  return { isReached: times.length === runs, row }
}

export const RESTART_HEAD = `| the router is restarted | mapping back | median ms | last ms |
|---|---|---|---|`
