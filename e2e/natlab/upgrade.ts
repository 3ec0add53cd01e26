/**
 * A relay first, and then the direct path that was not there at the beginning: who moves, when, and whether the data does.
 * The packets on the wire are counted by the kernel, so that nobody has to be believed.
 */
import { Internet } from './internet.ts'
import type { Peers } from './matrix.ts'
import { isRelayed, typesOf } from './path-types.ts'
import type { Notes } from './peer/lab-peer.ts'
import type { Decision } from './peer/node-peer.ts'
import { type Peer, startPeer } from './peer.ts'
import { SERVER_ADDRESSES } from './plan.ts'
import { iceServers, startServers } from './servers.ts'
import { join } from './signaling.ts'
import { now, pause } from './time.ts'

export interface Upgrade {
  /** Candidate types of both ends' paths while there was no direct one. */
  readonly before: readonly [string, string]
  /** Milliseconds from the time that the direct path is there until each end says it uses it; Infinity: never. */
  readonly direct: readonly [number, number]
  /** Datagrams to each end in the last seconds: straight from the other end's NAT, and from the relay. */
  readonly toA: Counted
  readonly toB: Counted
  /** How often each end has moved from then on to the end of the watch: W3C's selectedCandidatePairChanges, NaN in Firefox. One is enough. */
  readonly moves: readonly [number, number]
  readonly decisions: readonly [readonly Decision[], readonly Decision[]]
  /** Longest time without a message at either end, from the time that the direct path is there. Milliseconds. */
  readonly gap: number
}

export interface Counted {
  readonly direct: number
  readonly relayed: number
}

export interface UpgradeOptions {
  /** On the hosts `a` and `b`; the first one offers, and controls where it is ours or a browser. */
  readonly peers: Peers
  /** Of packets each way, 0 to 1. Default 0. */
  readonly loss?: number
  /** For which the direct path is watched once it is in use, milliseconds. */
  readonly watch: number
  readonly onprogress?: (text: string) => void
}

const HOME = { nat: { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' } } as const
/** Milliseconds one way between host and core, as where recovery is measured; between messages; without a direct path; for it. */
const LATENCY = 20
const BEAT = 20
const BLOCKED = 3_000
const PATIENCE = 30_000
const CONNECT = 30_000
/** In which packets are counted at the end. */
const COUNTED = 3_000
const LOOK_EVERY = 250

export async function upgrade({ peers, loss = 0, watch, onprogress = () => {} }: UpgradeOptions): Promise<Upgrade> {
  // A packet has two wires to pass.
  const place = { ...HOME, link: { latency: LATENCY, loss: 1 - Math.sqrt(1 - loss) } }
  await using internet = await Internet.build({ hosts: { a: [place], b: [place] }, latency: LATENCY })
  await startServers(internet)
  await block(internet)
  const start = (host: string, i: 0 | 1) =>
    startPeer(internet, host, peers[i], { iceServers: iceServers(internet, host, { relay: true }) })
  const ends = await Promise.all([start('a', 0), start('b', 1)])
  const { broken } = join(ends[0].endpoint, ends[1].endpoint)
  return await Promise.race([broken, follow(internet, ends, watch, onprogress)])
}

/** One row of the table. */
export function upgradeRow(peers: Peers, { before, direct, toA, toB, moves, gap }: Upgrade): string {
  const seconds = direct.map((ms) => (Number.isFinite(ms) ? `${ms}` : 'never')).join(' / ')
  const counted = [toA, toB].map((to) => `${to.direct} and ${to.relayed}`).join(' / ')
  const moved = moves.map((n) => (Number.isNaN(n) ? 'not told' : n)).join(' / ')
  return `| ${peers.join(' → ')} | ${before.join(' / ')} | ${seconds} | ${counted} | ${moved} | ${gap} |`
}

export const UPGRADE_HEAD = `| offering → answering | path before | direct after, ms | datagrams in the last 3 s, direct and relayed | moves | longest gap, ms |
|---|---|---|---|---|---|`

async function follow(
  internet: Internet,
  ends: readonly [Peer, Peer],
  watch: number,
  onprogress: (text: string) => void,
): Promise<Upgrade> {
  await ends[0].endpoint.offer()
  await both(ends, ({ endpoint }) => endpoint.opened(CONNECT))
  await both(ends, ({ endpoint }) => endpoint.beat(BEAT))
  await pause(BLOCKED)
  const before = await both(ends, async ({ endpoint }) => typesOf((await endpoint.notes()).paths.at(-1)))
  const moved = await both(ends, changesOf)
  const at = now()
  await internet.run('core', 'nft delete table ip blocked')
  const deadline = at + PATIENCE
  while (now() < deadline && !(await both(ends, isDirect)).every(Boolean)) await pause(LOOK_EVERY)
  for (const end = now() + watch; now() < end; await pause(Math.min(60_000, Math.max(0, end - now())))) {
    onprogress(`moves so far: ${await both(ends, async (end, i) => (await changesOf(end)) - moved[i]!)}`)
  }
  await internet.run('core', countingRules(internet))
  await pause(COUNTED)
  const counters = await internet.run('core', 'nft list table ip counted')
  const notes = await both(ends, ({ endpoint }) => endpoint.notes())
  const arrivals = await both(ends, ({ endpoint }) => endpoint.arrivals(at))
  return {
    before,
    direct: notes.map(({ paths }) => Math.round((firstDirect(paths, at)?.at ?? Infinity) - at)) as [number, number],
    toA: countedOf(counters, 'a'),
    toB: countedOf(counters, 'b'),
    moves: (await both(ends, changesOf)).map((n, i) => n - moved[i]!) as [number, number],
    decisions: await both(ends, (peer) => peer.decisions()),
    gap: Math.round(Math.max(...arrivals.map((times) => longest([at, ...times, now()])))),
  }
}

/** Nothing passes from one home's router to the other's. */
async function block(internet: Internet): Promise<void> {
  const [a, b] = [outsideOf(internet, 'a'), outsideOf(internet, 'b')]
  const rules = [`ip saddr ${a} ip daddr ${b} drop`, `ip saddr ${b} ip daddr ${a} drop`]
  await internet.run('core', tableOf('blocked', [], rules))
}

function countingRules(internet: Internet): string {
  const sides = [
    ['a', 'b'],
    ['b', 'a'],
  ] as const
  const counters = sides.flatMap(([to]) => [`${to}direct`, `${to}relayed`])
  // What comes from the delay line, so that each packet counts once. STUN checks are among them; messages are many more.
  const rules = sides.flatMap(([to, from]) => [
    `iifname "line" ip saddr ${outsideOf(internet, from)} ip daddr ${outsideOf(internet, to)} counter name ${to}direct`,
    `iifname "line" ip saddr ${SERVER_ADDRESSES[0]} ip daddr ${outsideOf(internet, to)} counter name ${to}relayed`,
  ])
  return tableOf('counted', counters, rules)
}

function tableOf(name: string, counters: readonly string[], rules: readonly string[]): string {
  const chain = ['chain forward {', 'type filter hook forward priority 1', ...rules, '}']
  const lines = [`table ip ${name} {`, ...counters.map((counter) => `counter ${counter} { }`), ...chain, '}']
  return `nft -f - <<'end'\n${lines.join('\n')}\nend`
}

function countedOf(counters: string, side: 'a' | 'b'): Counted {
  const packets = (name: string) => Number(new RegExp(`counter ${name} \\{\\s*packets (\\d+)`).exec(counters)?.[1] ?? 0)
  return { direct: packets(`${side}direct`), relayed: packets(`${side}relayed`) }
}

function outsideOf(internet: Internet, host: string): string {
  const [router] = internet.host(host).routers
  return internet.plan.routers.get(router!)!.outside[0]!
}

type Path = Notes['paths'][number]

/** NaN where nobody counts. */
async function changesOf({ endpoint }: Peer): Promise<number> {
  return (await endpoint.pairChanges()) ?? Number.NaN
}

async function isDirect({ endpoint }: Peer): Promise<boolean> {
  const path = (await endpoint.notes()).paths.at(-1)
  return path !== undefined && !isRelayed(path)
}

function firstDirect(paths: readonly Path[], at: number): Path | undefined {
  return paths.find((path) => path.at >= at && !isRelayed(path))
}

async function both<T>(ends: readonly [Peer, Peer], what: (peer: Peer, i: 0 | 1) => Promise<T>): Promise<[T, T]> {
  return Promise.all([what(ends[0], 0), what(ends[1], 1)])
}

function longest(times: readonly number[]): number {
  return Math.max(...times.slice(1).map((time, i) => time - times[i]!))
}
