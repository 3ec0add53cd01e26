/**
 * What an idle connected agent takes: the difference of the whole process's memory, after a full collection, between no
 * pair and PAIRS of them, divided by the agents. Nothing is subtracted: sockets, timers and what Node keeps for them
 * count. Each competitor has a process of its own, in which some pairs have come and gone before, so that code and
 * caches are not counted as an agent's.
 */
import { CONNECT, connectFloe } from './agents.mjs'
import { inOwnProcess } from './own-process.mjs'
import { report } from './report.mjs'
import { median } from './rounds.mjs'

const PAIRS = 500
const WARM_UP = 50
const RUNS = 3

/** What its default, ICE over TCP beside UDP, takes: werift has nothing like it switched on. */
const COMPETITORS = { ...CONNECT, tcp: () => connectFloe(true) }

const [competitor] = process.argv.slice(2)
if (competitor) console.log(JSON.stringify(await measure(COMPETITORS[competitor])))
else compare()

function compare() {
  const runs = Object.fromEntries(Object.keys(COMPETITORS).map((name) => [name, []]))
  for (let run = 0; run < RUNS; run++)
    for (const name in COMPETITORS) runs[name].push(inOwnProcess(import.meta.filename, name, ['--expose-gc']))
  const of = (name, quantity) => median(runs[name].map((result) => result[quantity]))
  const row = (what, quantity, target, ours = 'floe') => ({
    what,
    unit: 'KiB',
    ours: of(ours, quantity),
    peer: of('werift', quantity),
    better: 'lower',
    target,
  })
  report('memory', `Memory per idle connected agent, of ${2 * PAIRS}; medians of ${RUNS} processes`, 'werift', [
    row('heap', 'heap', 1),
    row('resident set', 'resident'),
    row('heap, with ICE over TCP', 'heap', undefined, 'tcp'),
  ])
}

async function measure(connect) {
  const earlier = []
  for (let i = 0; i < WARM_UP; i++) earlier.push(await connect())
  for (const pair of earlier.splice(0)) await pair.close()
  const before = await settledMemory()
  const pairs = []
  for (let i = 0; i < PAIRS; i++) pairs.push(await connect())
  const after = await settledMemory()
  for (const pair of pairs) await pair.close()
  const perAgent = (bytes) => bytes / 1024 / (2 * PAIRS)
  return { heap: perAgent(after.heapUsed - before.heapUsed), resident: perAgent(after.rss - before.rss) }
}

/** Once what was closed or finished is let go: timers and sockets take some turns of the event loop. */
async function settledMemory() {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    globalThis.gc()
  }
  return process.memoryUsage()
}
