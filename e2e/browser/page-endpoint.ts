import type { Endpoint } from '../peer/endpoint.ts'
import type { Signal, TestPeerOptions } from '../peer/test-peer.ts'
import type { Browser, BrowserPage } from './browsers.ts'

/** A page that hands out endpoints: TestPeers over the browser's own RTCPeerConnection. */
export interface PeerPage extends BrowserPage {
  endpoint(options?: TestPeerOptions): Promise<Endpoint>
}

export async function openPeerPage(browser: Browser, url: string): Promise<PeerPage> {
  const endpoints = new Map<string, Endpoint>()
  const emitSignal = (id: string, signal: Signal) => endpoints.get(id)?.onsignal(signal)
  const page = await browser.open(url, { emitSignal })
  return {
    ...page,
    async endpoint(options = {}) {
      const id = `peer-${endpoints.size}`
      const call =
        (method: string) =>
        (...args: unknown[]) =>
          page.evaluate((...call) => window.callPeer(...call), id, method, args)
      const endpoint = new Proxy({ onsignal: () => {} } as unknown as Endpoint, {
        // A promise would be asked for `then`: this is none.
        get: (target, key) => (key in target || key === 'then' ? Reflect.get(target, key) : call(String(key))),
      })
      endpoints.set(id, endpoint)
      await page.evaluate((...call) => window.makePeer(...call), id, options)
      return endpoint
    },
  }
}
