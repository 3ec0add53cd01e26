/**
 * From connect() at both ends to the first message of the application at the other one, through a signaling server that is
 * some milliseconds away: over the relay, over the relay with a shared secret, and as it was before there was a relay,
 * over the data channel. In Node and in Chromium, both ends in one process, so that there is one clock.
 *
 * "Latency" is from peer to peer through the signaling server, one way. UDP is as slow in Node, where the benchmark holds
 * each datagram back; Chromium's UDP is loopback's, which is to the advantage of its data channel.
 */
import { createServer as createHttpServer } from 'node:http'
import { createServer, connect as tcpConnect } from 'node:net'
import { join } from 'node:path'
import { IceTransport } from '@floe/ice/node'
import { createSignalingServer } from '@floe/signaling/server'
import { createSecret } from '@floe/webrtc'
import { chromium } from 'playwright'
import { build } from 'vite'
import { firstMessage } from './first-message-round.mjs'
import { report } from './report.mjs'
import { median } from './rounds.mjs'

const LATENCIES_MS = [0, 40, 150]
const ROUNDS = 15
/** The first ones measure the compiler. */
const WARM_UP = 3
/** In signaling round trips, where a round trip is more than the processor's share. */
const LIMIT = 1.5

let latency = 0
const send = IceTransport.prototype.send
IceTransport.prototype.send = function (bytes) {
  if (latency === 0) return send.call(this, bytes)
  setTimeout(() => this.state !== 'closed' && send.call(this, bytes), latency)
  return true
}

const loopback = { configuration: { ice: { includeLoopback: true, interfaceFilter: ({ name }) => name === 'lo' } } }
const MODES = {
  relay: {},
  'relay, shared secret': { secret: createSecret() },
  'data channel': { relay: false },
}

const server = await createSignalingServer({ origins: '*' })
const proxy = await delayProxy(server.url, () => latency / 2)
const page = await openPage()
const ends = {
  Node: (name, options) => firstMessage(proxy.url, name, { ...loopback, ...options }),
  Chromium: (name, options) => page.run(proxy.url, name, options),
}

const rows = []
let rooms = 0
for (latency of LATENCIES_MS) {
  for (const end in ends) {
    const times = Object.fromEntries(Object.keys(MODES).map((mode) => [mode, []]))
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const mode in MODES) {
        const milliseconds = await ends[end](`first-${++rooms}`, MODES[mode])
        if (round >= 0) times[mode].push(milliseconds)
      }
    }
    for (const mode in MODES) {
      rows.push({
        what: `${latency} ms, ${end}–${end}, ${mode}`,
        unit: 'ms',
        ours: median(times[mode]),
        ...(mode === 'data channel' ? {} : { peer: median(times['data channel']) }),
        better: 'lower',
        ...(mode !== 'data channel' && latency > 0 && { limit: LIMIT * 2 * latency }),
      })
    }
  }
}

const title = `First message: from connect() at both ends to the message at the other, median of ${ROUNDS}`
report('first-message', title, 'data channel', rows, [
  'latency: peer to peer through the signaling server, one way; wanted: 1.5 signaling round trips',
])
await page.close()
proxy.close()
await server.stop()
process.exit()

/** A TCP relay that holds everything back for so many milliseconds, each way. */
async function delayProxy(target, delay) {
  const relay = createServer((near) => {
    const far = tcpConnect(Number(new URL(target).port), '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      from.setNoDelay(true)
      from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), delay()))
      from.on('close', () => setTimeout(() => to.destroy(), delay()))
      from.on('error', () => {})
    }
  })
  await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${relay.address().port}`, close: () => relay.close() }
}

async function openPage() {
  const { output } = await build({
    configFile: false,
    root: import.meta.dirname,
    logLevel: 'warn',
    build: {
      write: false,
      target: 'esnext',
      rolldownOptions: {
        input: join(import.meta.dirname, 'first-message-page.mjs'),
        output: { codeSplitting: false },
      },
    },
  })
  const http = createHttpServer((request, response) => {
    const isScript = request.url === '/page.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(
      isScript
        ? output[0].code
        : '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
    )
  })
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve))
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run']
  args.push('--disable-features=WebRtcHideLocalIpsWithMdns')
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args })
  const tab = await browser.newPage()
  await tab.goto(`http://127.0.0.1:${http.address().port}/`)
  await tab.waitForFunction(() => window.firstMessage !== undefined)
  return {
    run: (...values) => tab.evaluate((call) => window.firstMessage(...call), values),
    async close() {
      await browser.close()
      http.close()
    },
  }
}
