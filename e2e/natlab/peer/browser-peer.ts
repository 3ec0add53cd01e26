/**
 * A peer in a browser: `browser-peer chromium|firefox SCRIPT`, and `every-interface` if it is to use all. The browser, its driver and the server of its page live
 * in the host's namespace together, so that nothing but WebRTC leaves it.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type BrowserName, launch } from '../../browser/browsers.ts'
import { openPeerPage } from '../../browser/page-endpoint.ts'
import type { Endpoint } from '../../peer/endpoint.ts'
import type { TestPeerOptions } from '../../peer/test-peer.ts'
import { emit, serve } from './serve.ts'

const [, , name, scriptPath, everyInterface] = process.argv
const script = readFileSync(scriptPath!)
const server = createServer((request, response) => {
  const isScript = request.url === '/page.js'
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
  response.end(
    isScript ? script : '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
  )
})
// Firefox takes for its own address one of the family that it reaches the page by.
const hasIPv4 = Object.values(networkInterfaces()).some((all) =>
  all?.some((one) => one.family === 'IPv4' && !one.internal),
)
await new Promise<void>((resolve) => server.listen(0, hasIPv4 ? '127.0.0.1' : '::1', resolve))

const browser = await launch(name as BrowserName, {
  plainAddresses: false,
  everyInterface: everyInterface !== undefined,
})
const page = await openPeerPage(
  browser,
  `http://${hasIPv4 ? '127.0.0.1' : '[::1]'}:${(server.address() as AddressInfo).port}/`,
)
let peer: Endpoint | undefined

serve({
  async make(options: TestPeerOptions) {
    peer = await page.endpoint(options)
    peer.onsignal = (signal) => emit(signal)
  },
  call(method: string, args: unknown[]) {
    return (peer as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...args)
  },
  log: () => [],
  async quit() {
    await browser.close()
  },
})
