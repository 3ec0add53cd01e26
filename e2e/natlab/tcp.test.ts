/** Browsers behind a firewall that lets no UDP out, and no relay anywhere: they connect to us over TCP, RFC 6544. */
import { expect, test } from 'vitest'
import { runCell } from './cell.ts'
import { whyNot } from './namespaces.ts'

const reason = whyNot()

test.skipIf(reason).concurrent.each(['firefox', 'chromium'] as const)(
  `J83 %s with active TCP candidates, Node with passive ones${reason ? ` (left out: ${reason})` : ''}`,
  async (browser) => {
    const cell = { places: ['no-udp', 'public'], peers: [browser, 'node'], relay: false } as const
    const { route, ends } = await runCell(cell, { connect: 20_000, upgrade: 0 })
    expect(route).toBe('direct')
    const [inBrowser, inNode] = ends
    expect(inBrowser.pair).toMatch(/^(host|prflx)-host$/)
    expect(inNode.pair).toBe('host-prflx')
    // By what else than TCP, where no UDP gets out? A datagram or two are the browser's talking to itself.
    expect(inBrowser.received).toBeLessThan(5)
  },
)
