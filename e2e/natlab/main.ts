/**
 * npm run natlab -- matrix [--peers node-node,node-chromium] [--only eim-apdf,apdm-random] [--with nat64]
 *     [--jobs 2] [--pcap]
 * npm run natlab -- events [--only words]
 * npm run natlab -- recovery [--peers node-node,werift-werift] [--only words] [--runs 50] [--jobs 4]
 * npm run natlab -- upgrade [--peers node-node,node-chromium] [--loss 0.1] [--minutes 10]
 * npm run natlab -- report
 * npm run natlab -- hard-nat [--only words] [--runs 40]
 * npm run natlab -- mapping [--only words] [--runs 10]
 * npm run natlab -- up easy hard [--pcap]
 */
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import { BEGINNINGS, type Begun, begin } from './beginnings.ts'
import { capture } from './capture.ts'
import { sideBySide } from './decisions.ts'
import { EVENTS } from './events.ts'
import {
  describeBegun,
  describeSurvival,
  hasBegun,
  isAsExpected,
  recordEvents,
  rewriteEvents,
} from './events-report.ts'
import { type Figures, titleOf as hardNatTitle, isReached, measure, summary, TABLE_HEAD, TRIALS } from './hard-nat.ts'
import { Internet } from './internet.ts'
import { cellsOf, inParallel, judgeCell, type Peers, type Result, resultOf, TYPE_NAMES, titleOf } from './matrix.ts'
import { whyNot } from './namespaces.ts'
import { PEER_KINDS, type PeerKind } from './peer.ts'
import {
  MAPPING_HEAD,
  MAPPING_TRIALS,
  measureMapping,
  measureRestarts,
  RESTART_HEAD,
  RESTARTED,
} from './port-mapping.ts'
import { type Recovery, recoverTogether } from './recovery.ts'
import { RECOVERY_EVENTS, type RecoveryEvent } from './recovery-events.ts'
import {
  describeRecorded,
  holds,
  PAIRINGS,
  type Recorded as Recovered,
  recordRecovery,
  rewriteRecovery,
  toRecorded,
} from './recovery-report.ts'
import { record, rewrite } from './report.ts'
import { iceServers, startServers } from './servers.ts'
import { type Survival, survive } from './survival.ts'
import { UPGRADE_HEAD, upgrade, upgradeRow } from './upgrade.ts'

const USAGE = `npm run natlab -- matrix [--peers a-b,…] [--only place,…] [--with place] [--jobs n] [--pcap]
npm run natlab -- events [--only words]
npm run natlab -- recovery [--peers a-b,…] [--only words] [--runs n] [--jobs n]
npm run natlab -- upgrade [--peers a-b,…] [--loss n] [--minutes n]
npm run natlab -- report                        what docs/ has, with the simulator as it is now
npm run natlab -- hard-nat [--only words] [--runs n]
npm run natlab -- mapping [--only words] [--runs n]
npm run natlab -- up place place … [--pcap]

places: ${TYPE_NAMES.join(' ')}; easy is eim-apdf, hard is apdm-random
peers:  ${PEER_KINDS.join(' ')}`

const ALL_PEERS: readonly Peers[] = [
  ['node', 'node'],
  ['node', 'chromium'],
  ['chromium', 'node'],
  ['node', 'firefox'],
  ['werift', 'werift'],
]

/** Where captures go. */
const CAPTURES = join(import.meta.dirname, '..', '..', 'test-results', 'natlab-pcap')

/** Resolves with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args)
  const [command, ...names] = positionals
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  if (command === 'report') {
    rewrite()
    rewriteEvents()
    rewriteRecovery()
    return 0
  }
  const reason = whyNot()
  if (reason) return complain(`No internet can be made here: ${reason}.`)
  if (command === 'up' && names.length > 0) return up(names.map(placeNamed), values.pcap)
  if (command === 'events') return events(values.only)
  if (command === 'hard-nat') return hardNat(values.only, Number(values.runs ?? 40))
  if (command === 'mapping') return mapping(values.only, Number(values.runs ?? 10))
  if (command === 'recovery') {
    const peers = values.peers?.split(',').map(peersNamed) ?? PAIRINGS
    return recovery(peers, values.only, Number(values.runs ?? 50), Number(values.jobs ?? 4))
  }
  if (command === 'upgrade') {
    const peers = values.peers?.split(',').map(peersNamed) ?? UPGRADING
    return upgrades(peers, Number(values.loss ?? 0), Number(values.minutes ?? 0.1))
  }
  if (command !== 'matrix') return complain(USAGE)
  return matrix({
    peers: values.peers?.split(',').map(peersNamed) ?? ALL_PEERS,
    ...(values.only !== undefined && { only: values.only.split(',').map(placeNamed) }),
    ...(values.with !== undefined && { one: placeNamed(values.with) }),
    jobs: Number(values.jobs ?? 2),
    pcap: values.pcap,
  })
}

/** Throws RangeError with what can be typed. */
function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        peers: { type: 'string' },
        only: { type: 'string' },
        with: { type: 'string' },
        runs: { type: 'string' },
        jobs: { type: 'string' },
        loss: { type: 'string' },
        minutes: { type: 'string' },
        pcap: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new RangeError(`${(error as Error).message}\n\n${USAGE}`)
  }
}

const RECORD_EVERY = 20

interface MatrixOptions {
  readonly peers: readonly Peers[]
  /** Both places are among these. */
  readonly only?: readonly NatTypeName[]
  /** One of the places is this. */
  readonly one?: NatTypeName
  readonly jobs: number
  readonly pcap: boolean
}

async function matrix({ peers, only, one, jobs, pcap }: MatrixOptions): Promise<number> {
  const cells = cellsOf(peers, only).filter(({ places }) => !one || places.includes(one))
  const results: Result[] = []
  let failures = 0
  const start = performance.now()
  await inParallel(cells, jobs, async (cell) => {
    const folder = join(CAPTURES, titleOf(cell).replace(/[^\w-]+/g, '-'))
    const { outcome, failure } = await judgeCell(cell, { searches: true, ...(pcap && { captures: folder }) })
    const result = resultOf(outcome)
    results.push(result)
    // Now and then, so that a run that is stopped has not run in vain.
    if (results.length % RECORD_EVERY === 0) record(results)
    console.log(`${String(results.length).padStart(4)}/${cells.length} ${describe(result)}`)
    // What others cannot do stands in the table, and is no failure of ours.
    if (!failure || cell.peers.includes('werift')) return
    failures++
    console.log(`FAILED ${failure}\n${sideBySide(outcome.ends[0].decisions, outcome.ends[1].decisions)}`)
  })
  record(results)
  const seconds = ((performance.now() - start) / 1_000).toFixed(0)
  console.log(`${cells.length} cells in ${seconds} s, ${failures} not as expected; docs/nat-matrix.md has the table`)
  return failures === 0 ? 0 : 1
}

function describe({ places, peers, route, pairs, firstByte, direct, sent }: Result): string {
  const times = `${firstByte ?? '-'} ms to the first byte, ${direct ?? '-'} to a direct path`
  return `${titleOf({ places, peers })}: ${route} ${pairs.join(' / ')}, ${times}, ${sent.join(' / ')} datagrams`
}

/** Those whose names have `words` in them; one after the other, since time is what is measured. */
async function events(words = ''): Promise<number> {
  const begun: Begun[] = []
  for (const beginning of BEGINNINGS.filter(({ name }) => name.includes(words))) {
    const one = await begin(beginning)
    begun.push(one)
    console.log(describeBegun(one))
    if (!hasBegun(one)) console.log(sideBySide(one.ends[0].decisions, one.ends[1].decisions))
  }
  const survivals: Survival[] = []
  for (const event of EVENTS.filter(({ name, simulatorOnly }) => name.includes(words) && !simulatorOnly)) {
    const survival = await survive(event)
    survivals.push(survival)
    console.log(describeSurvival(survival))
    if (!isAsExpected(survival)) console.log(`FAILED ${event.expected.reason}\n${sideBySide(...survival.decisions)}`)
  }
  recordEvents(begun, survivals)
  return survivals.every(isAsExpected) && begun.every(hasBegun) ? 0 : 1
}

/** Those whose titles have `words` in them; one run after the other, since time is what is measured. */
async function hardNat(words = '', runs: number): Promise<number> {
  const all: Figures[] = []
  for (const trial of TRIALS.filter((one) => hardNatTitle(one).includes(words))) {
    console.log(hardNatTitle(trial))
    all.push(await measure(trial, runs, (text) => console.log(text)))
  }
  console.log([TABLE_HEAD, ...all.map(summary)].join('\n'))
  return all.every(isReached) ? 0 : 1
}

/** Those whose names have `words` in them, and the restarts of a router. */
async function mapping(words = '', runs: number): Promise<number> {
  const onrun = (text: string) => console.log(text)
  const rows: Awaited<ReturnType<typeof measureMapping>>[] = []
  for (const trial of MAPPING_TRIALS.filter(({ name }) => name.includes(words))) {
    rows.push(await measureMapping(trial, runs, onrun))
  }
  const restarts: Awaited<ReturnType<typeof measureRestarts>>[] = []
  for (const protocol of RESTARTED.filter((name) => `restart of ${name}`.includes(words))) {
    restarts.push(await measureRestarts(protocol, runs, onrun))
  }
  console.log(
    [MAPPING_HEAD, ...rows.map(({ row }) => row), '', RESTART_HEAD, ...restarts.map(({ row }) => row)].join('\n'),
  )
  return [...rows, ...restarts].every(({ isReached }) => isReached) ? 0 : 1
}

/** Every event with these peers, so many runs at once: they wait for each other before each event. */
async function recovery(pairings: readonly Peers[], words = '', runs: number, jobs: number): Promise<number> {
  let failures = 0
  for (const peers of pairings) {
    for (const event of RECOVERY_EVENTS.filter(({ name }) => name.includes(words))) {
      const recorded = await recoveries(event, peers, runs, jobs)
      recordRecovery(event, peers, recorded)
      // What others cannot do stands in the table, and is no failure of ours.
      const verdict = holds(event, recorded) ? '  ok  ' : isOurs(peers) ? 'FAILED' : '      '
      console.log(`${verdict} ${peers.join('-')}, ${event.name}: ${describeRecorded(recorded)}`)
      if (verdict === 'FAILED') failures++
    }
  }
  return failures === 0 ? 0 : 1
}

async function recoveries(event: RecoveryEvent, peers: Peers, runs: number, jobs: number): Promise<Recovered> {
  const results: (Recovery | Error)[] = []
  let load = 0
  const onready = () => {
    load = Math.max(load, loadavg()[0]!)
  }
  while (results.length < runs) {
    const wave = await recoverTogether(event, peers, Math.min(jobs, runs - results.length), onready)
    results.push(...wave)
    for (const one of wave) {
      if (one instanceof Error) console.log(`${peers.join('-')}, ${event.name}: ${one.stack}`)
      else if (isOurs(peers) && (one.again > event.within || one.lost > 0)) {
        console.log(`${one.again} ms, ${one.lost} lost, ${one.paths.join(' → ')}\n${sideBySide(...one.decisions)}`)
      }
    }
  }
  return toRecorded(results, { together: jobs, load })
}

function isOurs(peers: Peers): boolean {
  return peers.every((kind) => kind === 'node')
}

const UPGRADING: readonly Peers[] = [
  ['node', 'node'],
  ['node', 'chromium'],
  ['chromium', 'node'],
  ['node', 'firefox'],
  ['firefox', 'node'],
]

/** How a relayed path gives way to a direct one, and whether that stays. */
async function upgrades(pairings: readonly Peers[], loss: number, minutes: number): Promise<number> {
  const rows = [UPGRADE_HEAD]
  for (const peers of pairings) {
    const onprogress = (text: string) => console.log(`${peers.join('-')}: ${text}`)
    const result = await upgrade({ peers, loss, watch: 60_000 * minutes, onprogress })
    rows.push(upgradeRow(peers, result))
    if (result.moves.some((n) => n > 1)) console.log(sideBySide(...result.decisions))
  }
  console.log(rows.join('\n'))
  return 0
}

async function up(places: readonly NatTypeName[], pcap: boolean): Promise<number> {
  const hosts = Object.fromEntries(places.map((name, i) => [String.fromCharCode(97 + i), NAT_TYPES[name].placements]))
  await using internet = await Internet.build({ hosts })
  await startServers(internet)
  if (pcap) await capture(internet, CAPTURES)
  for (const [i, [host, { attachments, routers }]] of [...internet.plan.hosts].entries()) {
    console.log(`${host}  ${places[i]}: ${NAT_TYPES[places[i]!].description}`)
    console.log(
      `   ${attachments.map(({ address }) => address).join(', ')}${routers.length > 0 ? ` behind ${routers.join(' and ')}` : ''}`,
    )
    console.log(`   ${shellLine(internet.command(host, ['bash']))}`)
    console.log(`   ${JSON.stringify(iceServers(internet, host, { relay: true }))}`)
  }
  for (const name of internet.plan.routers.keys())
    console.log(`${name}  ${shellLine(internet.command(name, ['bash']))}`)
  if (pcap) console.log(`captures: ${CAPTURES}`)
  console.log('Ctrl-C ends it.')
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve))
  return 0
}

/** To be pasted into a shell. */
function shellLine(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ')
}

/** Short names for what one tries first. */
const NICKNAMES: Readonly<Record<string, NatTypeName>> = { easy: 'eim-apdf', hard: 'apdm-random' }

function placeNamed(text: string): NatTypeName {
  if (Object.hasOwn(NICKNAMES, text)) return NICKNAMES[text]!
  if (Object.hasOwn(NAT_TYPES, text)) return text as NatTypeName
  throw new RangeError(`there is no place ${text}\n\n${USAGE}`)
}

function peersNamed(text: string): Peers {
  const kinds = text.split('-')
  if (kinds.length !== 2 || !kinds.every((kind) => PEER_KINDS.includes(kind as PeerKind))) {
    throw new RangeError(`${text} are no two peers\n\n${USAGE}`)
  }
  return kinds as unknown as Peers
}

function complain(text: string): number {
  console.error(text)
  return 2
}
