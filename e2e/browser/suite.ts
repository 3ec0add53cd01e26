import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Browser, type BrowserName, launch } from './browsers.ts'
import { KNOWN_FAILURES } from './known-failures.ts'
import { type PageServer, servePages } from './page-server.ts'
import { LONG_SCENARIOS, SCENARIOS, type Scenario } from './scenarios.ts'
import { onStage } from './stage.ts'

/** Multicast stays at home only in the private network namespace that `npm test` makes where it may. */
const canMulticast = process.env.FLOE_TEST_NETNS === '1'

/** Every scenario between this browser and a Node implementation of RTCPeerConnection. */
export function browserSuite(name: BrowserName, NodeConnection: unknown): void {
  let pages: PageServer

  beforeAll(async () => {
    pages = await servePages('peer')
  })
  afterAll(() => pages.close())

  for (const candidates of ['plain', 'mdns'] as const) {
    describe.skipIf(candidates === 'mdns' && !canMulticast)(`${name}, ${candidates} candidates`, () => {
      let browser: Browser

      beforeAll(async () => {
        browser = await launch(name, { plainAddresses: candidates === 'plain' })
      })
      afterAll(() => browser.close())

      const define = (scenario: Scenario, concurrent: boolean) => {
        const excuse = KNOWN_FAILURES.find((known) => known.browser === name && known.scenario === scenario.name)
        const title = excuse ? `${scenario.name} (known to fail: ${excuse.reason})` : scenario.name
        test(title, { concurrent, fails: excuse !== undefined }, () =>
          onStage(browser, pages.page('peer'), NodeConnection, scenario.run),
        )
      }
      for (const scenario of SCENARIOS.filter((each) => each.candidates === candidates)) define(scenario, false)
      for (const scenario of LONG_SCENARIOS.filter((each) => each.candidates === candidates)) define(scenario, true)
    })
  }
}
