/** What must work between Node and every browser. Names are what the test report shows. */
import { expect } from 'vitest'
import { type Endpoint, establish, link, type Tamper, transfer } from '../peer/endpoint.ts'
import type { Signal } from '../peer/test-peer.ts'
import type { Stage } from './stage.ts'

export interface Scenario {
  readonly name: string
  /** Host candidates as the browser gives them by default, which are mDNS names, or as plain addresses. */
  readonly candidates: 'mdns' | 'plain'
  run(stage: Stage): Promise<void>
}

const MEGABYTE = 1_000_000

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'the browser offers',
    candidates: 'plain',
    async run(stage) {
      const [page, node] = await pair(stage)
      await establish(page, link(page, node), node)
      await greet(page, node)
    },
  },
  {
    name: 'Node offers',
    candidates: 'plain',
    async run(stage) {
      const [page, node] = await pair(stage)
      await establish(node, link(page, node), page)
      await greet(page, node)
    },
  },
  {
    name: 'trickle off: the browser offers',
    candidates: 'plain',
    run: (stage) => withoutTrickle(stage, (page) => page),
  },
  {
    name: 'trickle off: Node offers',
    candidates: 'plain',
    run: (stage) => withoutTrickle(stage, (_, node) => node),
  },
  {
    name: 'mDNS: the browser offers, and only Node can reach out to the name',
    candidates: 'mdns',
    run: (stage) => overMdnsAlone(stage, (page) => page),
  },
  {
    name: 'mDNS: Node offers, and only Node can reach out to the name',
    candidates: 'mdns',
    run: (stage) => overMdnsAlone(stage, (_, node) => node),
  },
  {
    name: 'mDNS: the browser’s own settings, both reach out',
    candidates: 'mdns',
    async run(stage) {
      const [page, node] = await pair(stage)
      await establish(page, link(page, node), node)
      await greet(page, node)
    },
  },
  {
    name: 'ICE restart by the browser: data flows on',
    candidates: 'plain',
    run: (stage) => restart(stage, (page) => page),
  },
  {
    name: 'ICE restart by Node: data flows on',
    candidates: 'plain',
    run: (stage) => restart(stage, (_, node) => node),
  },
  {
    name: 'the page reloads: Node notices, and the new page connects',
    candidates: 'plain',
    async run(stage) {
      const page = await stage.page()
      const [before, abandoned] = [await page.endpoint(), stage.node()]
      await establish(before, link(before, abandoned), abandoned)
      await page.reload()
      const [after, node] = [await page.endpoint(), stage.node()]
      await establish(after, link(after, node), node)
      await greet(after, node)
      await abandoned.lost(15_000)
    },
  },
  {
    name: '20 connections at once, offered by turns',
    candidates: 'plain',
    async run(stage) {
      const page = await stage.page()
      const connections = Array.from({ length: 20 }, async (_, i) => {
        const [inPage, node] = [await page.endpoint(), stage.node()]
        const [offerer, answerer] = i % 2 === 0 ? [inPage, node] : [node, inPage]
        await establish(offerer, link(offerer, answerer), answerer)
        await greet(inPage, node)
      })
      await Promise.all(connections)
    },
  },
]

/** These take their time, most of it idle: they run side by side. */
export const LONG_SCENARIOS: readonly Scenario[] = [
  {
    name: 'wrong ICE passwords never connect, and Node says failed',
    candidates: 'plain',
    async run(stage) {
      const [page, node] = await pair(stage)
      const forget = description((sdp) => sdp.replace(/a=ice-pwd:\S+/g, `a=ice-pwd:${'x'.repeat(24)}`))
      const { broken } = link(page, node, { fromA: forget, fromB: forget })
      await Promise.race([broken, page.offer().then(() => node.reached('failed', 50_000))])
      for (const end of [page, node]) {
        const { history, channel } = await end.status()
        expect(history).not.toContain('ice connected')
        expect(history).not.toContain('connection connected')
        expect(channel).not.toBe('open')
      }
    },
  },
  {
    name: '100 MB each way, checked by checksum',
    candidates: 'plain',
    async run(stage) {
      const [page, node] = await pair(stage)
      await establish(page, link(page, node), node)
      await passOn(page, node, 100 * MEGABYTE)
      await passOn(node, page, 100 * MEGABYTE)
    },
  },
]

async function pair(stage: Stage): Promise<[page: Endpoint, node: Endpoint]> {
  return [await (await stage.page()).endpoint(), stage.node()]
}

async function greet(a: Endpoint, b: Endpoint): Promise<void> {
  await Promise.all([a.ping('from one end'), b.ping('from the other end')])
}

async function passOn(from: Endpoint, to: Endpoint, bytes: number): Promise<void> {
  const [sent, received] = await transfer(from, to, bytes)
  expect(received).toBe(sent)
}

type Choose = (page: Endpoint, node: Endpoint) => Endpoint

async function withoutTrickle(stage: Stage, choose: Choose): Promise<void> {
  const options = { trickle: false }
  const [page, node] = [await (await stage.page()).endpoint(options), stage.node(options)]
  const seen: Signal[] = []
  const watch: Tamper = (signal) => {
    seen.push(signal)
    return signal
  }
  const wire = link(page, node, { fromA: watch, fromB: watch })
  const offerer = choose(page, node)
  await establish(offerer, wire, offerer === page ? node : page)
  await greet(page, node)
  expect(seen.map((signal) => 'description' in signal && signal.description.type)).toEqual(['offer', 'answer'])
  for (const signal of seen) expect(signal).toHaveProperty('description.sdp', expect.stringContaining('a=candidate:'))
}

/** Node's candidates never arrive, so the one way to connect is that Node resolves the name of the browser. */
async function overMdnsAlone(stage: Stage, choose: Choose): Promise<void> {
  const [page, node] = await pair(stage)
  const candidates: string[] = []
  const watch: Tamper = (signal) => {
    if ('candidate' in signal && signal.candidate.candidate) candidates.push(signal.candidate.candidate)
    return signal
  }
  const withhold: Tamper = (signal) =>
    'candidate' in signal ? undefined : description((sdp) => sdp.replace(/a=candidate:.*\r\n/g, ''))(signal)
  const wire = link(page, node, { fromA: watch, fromB: withhold })
  const offerer = choose(page, node)
  await establish(offerer, wire, offerer === page ? node : page)
  await greet(page, node)
  expect(candidates.length).toBeGreaterThan(0)
  for (const candidate of candidates) expect(candidate).toMatch(/ [0-9a-f-]{36}\.local \d+ typ host/)
}

async function restart(stage: Stage, choose: Choose): Promise<void> {
  const [page, node] = await pair(stage)
  const wire = link(page, node)
  await establish(page, wire, node)
  const before = await node.status()

  let restarting = true
  const talking = (async () => {
    for (let i = 0; restarting; i++) await Promise.all([page.ping(`page ${i}`), node.ping(`node ${i}`)])
  })()
  const renewed = async (): Promise<void> => {
    const { usernameFragments } = await node.status()
    const { local, remote } = before.usernameFragments
    if (usernameFragments.local !== local && usernameFragments.remote !== remote) return
    await page.ping('still waiting for new credentials')
    return renewed()
  }
  await Promise.race([wire.broken, talking, choose(page, node).offer().then(renewed)])
  // The next generation is chosen within a round trip or two; the old one would be refused after that.
  await Promise.race([wire.broken, talking, quietly(1_000)])
  restarting = false
  await talking
  expect((await page.status()).connection).toBe('connected')
  expect((await node.status()).connection).toBe('connected')
}

const quietly = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function description(change: (sdp: string) => string): Tamper {
  return (signal) =>
    'description' in signal
      ? { description: { ...signal.description, sdp: change(signal.description.sdp ?? '') } }
      : signal
}
