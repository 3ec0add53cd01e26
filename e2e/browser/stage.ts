import { expect } from 'vitest'
import { type Endpoint, localEndpoint } from '../peer/endpoint.ts'
import type { TestPeerOptions } from '../peer/test-peer.ts'
import type { Browser } from './browsers.ts'
import { openPeerPage, type PeerPage } from './page-endpoint.ts'

/** What one scenario has to play with; all of it is gone when the scenario is over. */
export interface Stage {
  page(): Promise<PeerPage>
  node(options?: TestPeerOptions): Endpoint
}

/** Runs the scenario on a stage of its own, and finds what it left wrong: an uncaught error in a page is a failure. */
export async function onStage(
  browser: Browser,
  pageUrl: string,
  NodeConnection: unknown,
  run: (stage: Stage) => Promise<void>,
): Promise<void> {
  const pages: PeerPage[] = []
  const peers: Endpoint[] = []
  try {
    await run({
      async page() {
        const page = await openPeerPage(browser, pageUrl)
        pages.push(page)
        return page
      },
      node(options) {
        const peer = localEndpoint(NodeConnection, options)
        peers.push(peer)
        return peer
      },
    })
    for (const page of pages) expect(page.errors, 'uncaught errors in the page').toEqual([])
  } finally {
    await Promise.all([...peers.map((peer) => peer.close()), ...pages.map((page) => page.close())])
  }
}
