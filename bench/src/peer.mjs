/**
 * Peer connections side by side: floe, werift alone, libwebrtc (@roamhq/wrtc) and libdatachannel (node-datachannel). Both
 * ends of a connection are in one process, and each implementation has processes of its own, which take turns. One that
 * cannot be loaded here is named, and left out.
 *
 * connect() is measured beside the data channel that it runs on: what its session costs, on the direct path.
 *
 * floe fills larger packets on a path within a machine, when both ends are floe. So that the figure says something about
 * networks it is measured a second time with a path that carries what Ethernet carries.
 *
 * Opening is timed from the constructors to a channel that is open at both ends. Throughput is one way, in messages of
 * MESSAGE bytes, of which about WINDOW bytes are on their way at any time: counted is what has been received. CPU time is
 * the whole process's, threads included. Memory is the resident set's growth between no connection and CONNECTIONS ends.
 */
import { spawnSync } from 'node:child_process'
import { PEER_CONNECTIONS } from './peer-connections.mjs'
import { report } from './report.mjs'
import { median } from './rounds.mjs'

const MESSAGE = 65_536
const WINDOW = 1_048_576
const OPENINGS = 15
const WARM_UP_OPENINGS = 3
const WARM_UP_MS = 1500
const TRANSFER_MS = 3000
const PAIRS = 20
const RUNS = 3
const GIVE_UP_MS = 60_000

/** Nothing may collect what is being measured. */
const kept = []

const [competitor] = process.argv.slice(2)
if (competitor) await measure(competitor)
else compare()

function compare() {
  const results = Object.fromEntries(Object.keys(PEER_CONNECTIONS).map((name) => [name, []]))
  const notes = []
  for (let run = 0; run < RUNS; run++) {
    for (const name of Object.keys(results)) {
      const result = inProcessOf(name)
      if (!result.error) results[name].push(result)
      else if (name.startsWith('floe')) throw new Error(`${name}: ${result.error}`)
      else if (run === 0) notes.push(`${name} could not be measured here: ${result.error}`)
    }
  }
  const of = (name, quantity) => median(results[name].map((result) => result[quantity]))
  const row = (what, unit, quantity, better, name, { ours = 'floe', beside = name, ...wanted } = {}) => ({
    what: `${what}, beside ${beside}`,
    unit,
    ours: of(ours, quantity),
    peer: of(name, quantity),
    better,
    ...wanted,
  })
  const rows = Object.keys(results)
    .filter((name) => !name.startsWith('floe') && results[name].length > 0)
    .flatMap((name) => {
      const [limit, target] = name === 'werift' ? [{ limit: 40 }, { target: 3 }] : [{}, {}]
      const onNetwork = { ours: 'floe, MTU 1500' }
      return [
        row('open', 'ms', 'open', 'lower', name, limit),
        row('throughput', 'MB/s', 'rate', 'higher', name, target),
        row('throughput, MTU 1500', 'MB/s', 'rate', 'higher', name, { ...onNetwork, ...target }),
        row('CPU time per MB', 'ms', 'cpu', 'lower', name),
        row('CPU time per MB, MTU 1500', 'ms', 'cpu', 'lower', name, onNetwork),
        row('memory per end', 'KiB', 'memory', 'lower', name),
      ]
    })
  for (const path of ['', ', MTU 1500']) {
    const onTop = { ours: `floe, connect()${path}`, beside: 'its data channel' }
    rows.push(row(`connect(): throughput${path}`, 'MB/s', 'rate', 'higher', `floe${path}`, onTop))
    rows.push(row(`connect(): CPU time per MB${path}`, 'ms', 'cpu', 'lower', `floe${path}`, onTop))
  }
  rows.push(
    row('connect(): open', 'ms', 'open', 'lower', 'floe', { ours: 'floe, connect()', beside: 'its data channel' }),
  )
  report('peer', `Peer connections on loopback, both ends in one process; medians of ${RUNS}`, 'beside', rows, notes)
}

/** A process that hangs or dies, as native ones may, is a result as well. */
function inProcessOf(name) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', import.meta.filename, name], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: GIVE_UP_MS,
    killSignal: 'SIGKILL',
  })
  try {
    return JSON.parse(stdout)
  } catch {
    const [last = 'without a word'] = stderr.match(/^.*Error.*$/m) ?? []
    return { error: `its process ended with ${signal ?? status}, ${last}` }
  }
}

async function measure(name) {
  const result = await resultOf(name).catch(({ code, message }) => ({ error: code ?? message }))
  // Not by process.exit(): a native library may take half a minute over it, or crash.
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.kill(process.pid, 'SIGKILL'))
}

async function resultOf(name) {
  const { open } = await PEER_CONNECTIONS[name]()
  const openings = []
  for (let i = -WARM_UP_OPENINGS; i < OPENINGS; i++) {
    const start = performance.now()
    const pair = await open()
    if (i >= 0) openings.push(performance.now() - start)
    await pair.close()
  }
  // Before the heap has grown: what is free in it would count for nothing.
  const memory = await memoryPerEnd(open)
  const pair = await open()
  await transfer(pair, WARM_UP_MS)
  const { rate, cpu } = await transfer(pair, TRANSFER_MS)
  await pair.close()
  return { open: median(openings), rate, cpu, memory }
}

/** They stay open: some take a quarter of a second to close, which is not measured here. */
async function memoryPerEnd(open) {
  const before = await settledMemory()
  for (let i = 0; i < PAIRS; i++) kept.push(await open())
  const after = await settledMemory()
  return (after - before) / 1024 / (2 * PAIRS)
}

/** Resident bytes. */
async function settledMemory() {
  for (let i = 0; i < 5; i++) {
    await wait(50)
    globalThis.gc()
  }
  return process.memoryUsage().rss
}

/** MB per second, and milliseconds of CPU time per MB. */
async function transfer({ sender, receiver }, milliseconds) {
  const message = new Uint8Array(MESSAGE).fill(7)
  let sent = 0
  let received = 0
  let running = true
  let drained
  const fill = () => {
    while (running && sent - received < WINDOW) {
      sender.send(message)
      sent += MESSAGE
    }
  }
  receiver.onmessage = ({ data }) => {
    received += data.byteLength
    fill()
    if (!running && received === sent) drained()
  }
  const start = performance.now()
  const cpu = process.cpuUsage()
  fill()
  await wait(milliseconds)
  const { user, system } = process.cpuUsage(cpu)
  const megabytes = received / 1e6
  const seconds = (performance.now() - start) / 1000
  running = false
  await new Promise((resolve) => {
    drained = resolve
    if (received === sent) resolve()
  })
  return { rate: megabytes / seconds, cpu: (user + system) / 1000 / megabytes }
}

function wait(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
