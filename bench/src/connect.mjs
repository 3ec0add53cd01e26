/**
 * From nothing to connected: two agents of one process are made, gather, trickle, check, nominate; the clock stops when
 * both are connected. Rounds in turn, so that a busy machine is busy for both.
 */
import { CONNECT } from './agents.mjs'
import { report } from './report.mjs'
import { quantile } from './rounds.mjs'

const ROUNDS = 200
/** The first ones measure the compiler. */
const WARM_UP = 20

const times = Object.fromEntries(Object.keys(CONNECT).map((name) => [name, []]))
for (let round = -WARM_UP; round < ROUNDS; round++) {
  for (const name in CONNECT) {
    const start = performance.now()
    const pair = await CONNECT[name]()
    if (round >= 0) times[name].push(performance.now() - start)
    await pair.close()
  }
}

const row = (what, fraction, limit) => ({
  what,
  unit: 'ms',
  ours: quantile(times.floe, fraction),
  peer: quantile(times.werift, fraction),
  better: 'lower',
  limit,
})
report('connect', `ICE agent to ICE agent on loopback, ${ROUNDS} connections each`, 'werift', [
  row('connected on both sides, median', 0.5, 2),
  row('95th percentile', 0.95),
])
