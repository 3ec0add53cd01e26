/**
 * One signaling server in a process of its own: `node server.mjs '{"port":…}'`. One JSON line when it listens. SIGTERM stops
 * it; on SIGUSR2 it says how much memory is in use, garbage not counted (with `--expose-gc`).
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createSignalingServer } from '@floe/signaling/server'

const { report, ...options } = JSON.parse(process.argv[2] ?? '{}')
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const log = (record) => {
  if (report !== undefined && record.event === report) say(record)
}
const server = await createSignalingServer({ metricsPath: '/metrics', log, ...options })
say({ event: 'listening', url: server.url })
process.on('SIGUSR2', async () => {
  for (let times = 0; times < 3; times++) {
    globalThis.gc?.()
    await delay(200) // what finalizers let go of is the next one's
  }
  const { heapUsed, external } = process.memoryUsage()
  say({ event: 'memory', megabytes: Math.round((heapUsed + external) / 1_048_576) })
})
process.once('SIGTERM', async () => {
  await server.stop()
  process.exit(0)
})
