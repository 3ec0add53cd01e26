/**
 * What connected agents without data to send still do: how often a timer of theirs goes off, and what CPU time they take.
 * RFC 7675 wants a consent check every 5 s on average from each; what goes beyond is the implementation's own.
 *
 * Timers are counted from outside and for all alike, those of node:timers/promises too: async_hooks tells of each one
 * that fires. Counting costs time, so the CPU time is taken afterwards, without it. Each competitor has its own process.
 */

import { createHook, executionAsyncResource } from 'node:async_hooks'
import { CONNECT } from './agents.mjs'
import { inOwnProcess } from './own-process.mjs'
import { report } from './report.mjs'

const PAIRS = 500
/** How many connect at once: each of werift's takes 20 ms of waiting. */
const AT_ONCE = 20
const SECONDS = 20
/** Longer than any wait that connecting leaves behind. */
const SETTLE_SECONDS = 12
/** RFC 7675 §5.1: the mean interval. */
const CONSENT_SECONDS = 5

const [competitor] = process.argv.slice(2)
if (competitor) console.log(JSON.stringify(await measure(CONNECT[competitor])))
else compare()

function compare() {
  const results = Object.fromEntries(
    Object.keys(CONNECT).map((name) => [name, inOwnProcess(import.meta.filename, name)]),
  )
  const row = (what, unit, quantity, more) => ({
    what,
    unit,
    ours: results.floe[quantity],
    peer: results.werift[quantity],
    better: 'lower',
    ...more,
  })
  report('idle', `${2 * PAIRS} idle connected agents, over ${SECONDS} s`, 'werift', [
    // A few per cent more than the mean: intervals are drawn, and few are observed whole.
    row('timers that go off, per agent and consent interval', '1', 'timersPerInterval', { limit: 1.1 }),
    row('timers that go off, of all agents', '1/s', 'timers'),
    row('CPU time, of all agents', 'ms/s', 'cpu'),
  ])
}

async function measure(connect) {
  const pairs = []
  while (pairs.length < PAIRS) pairs.push(...(await Promise.all(Array.from({ length: AT_ONCE }, connect))))
  await sleep(SETTLE_SECONDS)
  let fired = 0
  const hook = createHook({
    before: () => {
      if (executionAsyncResource()?.constructor?.name === 'Timeout') fired++
    },
  }).enable()
  await sleep(SECONDS)
  hook.disable()
  const timers = (fired - 1) / SECONDS // One was this function's.
  const start = process.cpuUsage()
  await sleep(SECONDS)
  const { user, system } = process.cpuUsage(start)
  for (const pair of pairs) await pair.close()
  return { timers, timersPerInterval: (timers * CONSENT_SECONDS) / (2 * PAIRS), cpu: (user + system) / 1000 / SECONDS }
}

function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
