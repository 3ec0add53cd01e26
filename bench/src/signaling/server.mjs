/** One signaling server in a process of its own: `node server.mjs '{"port":…}'`. One JSON line when it listens; SIGTERM drains. */
import { createSignalingServer } from '@floe/signaling/server'

const { report, ...options } = JSON.parse(process.argv[2] ?? '{}')
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const log = (record) => {
  if (report !== undefined && record.event === report) say(record)
}
const server = await createSignalingServer({ metricsPath: '/metrics', log, ...options })
say({ event: 'listening', url: server.url })
process.once('SIGTERM', async () => {
  await server.stop()
  process.exit(0)
})
