/**
 * A stream in both directions that begins on the relay, moves to the direct path, loses it without a word (every UDP
 * packet is dropped), goes on over the relay, and returns. `npm run handover` does it with 200 MB each way.
 */
import { execFileSync } from 'node:child_process'
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import { createSecret } from '@floe/webrtc'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { StreamPeer, type StreamReport } from '../peer/stream-peer.ts'
import { type Browser, type BrowserPage, launch } from './browsers.ts'
import { type PageServer, servePages } from './page-server.ts'

const MEGABYTES = Number(process.env.FLOE_HANDOVER_MEGABYTES ?? 12)
const BYTES = MEGABYTES * 1_000_000
/** Bytes per second: the small stream is to last as long as its adventures do. */
const RATE = MEGABYTES > 50 ? Number.POSITIVE_INFINITY : BYTES / 9
/** How long any part of it may take, in ms. */
const PATIENCE = 30_000 + MEGABYTES * 600
const LONGEST_PAUSE = 2_000
/** How long the direct path stays silent, in ms: in the big test longer than consent lasts (30 s, RFC 7675 §5.1). */
const OUTAGE = MEGABYTES > 50 ? 45_000 : 0

/** What is taken away is UDP: with ICE over TCP two Node peers would stay direct. */
const WITHOUT_TCP = { configuration: { ice: { tcp: false } } }

let server: SignalingServer
let pages: PageServer
let browser: Browser

interface Streamer {
  join(room: string, secret?: string): Promise<void>
  start(seed: number, bytes?: number): Promise<void>
  report(): Promise<StreamReport>
  leave(): Promise<void>
}

/** Dropping packets is for a network of our own. */
describe.skipIf(process.env.FLOE_TEST_NETNS !== '1')(`${MEGABYTES} MB each way, from path to path`, () => {
  beforeAll(async () => {
    server = await createSignalingServer({
      port: 0,
      origins: '*',
      limits: { relayBytesPerSecond: 1_500_000, roomRelayBytesPerSecond: 3_000_000 },
    })
    pages = await servePages('stream')
    browser = await launch('chromium', { plainAddresses: false })
  })

  afterEach(unblockUdp)

  afterAll(async () => {
    await browser?.close()
    await pages?.close()
    await server?.stop()
  })

  test.each(['Node', 'Chromium'] as const)(
    'Node and %s',
    async (other) => {
      const ends = [nodeStreamer(), other === 'Node' ? nodeStreamer() : await pageStreamer()]
      try {
        blockUdp()
        await Promise.all(ends.map((end) => end.join(`handover-${other}`)))
        await Promise.all(ends.map((end, i) => end.start(i + 1)))
        await until('something over the relay', ends, ({ received }) => received > BYTES / 20)
        unblockUdp()
        await until('the direct path', ends, ({ path }) => path === 'direct')
        const before = await reports(ends)
        await until('something over it', ends, ({ received }, i) => received > before[i]!.received + BYTES / 8)
        blockUdp()
        await until('the relay again', ends, ({ path }) => path === 'relay')
        const after = await reports(ends)
        await until('something over it', ends, ({ received }, i) => received > after[i]!.received + BYTES / 20)
        await new Promise((resolve) => setTimeout(resolve, OUTAGE))
        unblockUdp()
        await until('the direct path again', ends, ({ path }) => path === 'direct')
        await until('all of it', ends, ({ received }) => received >= BYTES)
        const [first, second] = await reports(ends)
        expect(first!.checksums.received).toBe(second!.checksums.sent)
        expect(second!.checksums.received).toBe(first!.checksums.sent)
        for (const { paths, longestPause } of [first!, second!]) {
          // A machine that is too busy to answer for a second looks like a silent path, too.
          expect(paths.join()).toMatch(/^relay,direct(,relay,direct)+$/)
          expect(longestPause).toBeLessThan(LONGEST_PAUSE)
        }
        console.log(
          `longest pauses: ${[first!, second!].map((end) => `${Math.round(end.longestPause)} ms`).join(', ')}`,
        )
      } finally {
        unblockUdp()
        await Promise.all(ends.map((end) => end.leave()))
      }
    },
    6 * PATIENCE,
  )

  test('UDP blocked altogether: two pages that share a secret talk, a third one with another is not let in', async () => {
    blockUdp()
    const [first, second, third] = [await pageStreamer(), await pageStreamer(), await pageStreamer()]
    const secret = createSecret()
    try {
      await Promise.all([first.join('blocked', secret), second.join('blocked', secret)])
      await Promise.all([first.start(1, 100_000), second.start(2, 100_000)])
      await until('all of it', [first, second], ({ received }) => received === 100_000)
      for (const { paths } of await reports([first, second])) expect(paths).toEqual(['relay'])
      const outcome = await third.join('blocked', createSecret()).catch((error: Error) => error.message)
      expect(outcome).toMatch(/does not know the secret|The peer left/)
    } finally {
      await Promise.all([first.leave(), second.leave(), third.leave()])
    }
  })
})

function nodeStreamer(): Streamer {
  const peer = new StreamPeer()
  return {
    join: (room, secret) => peer.join(server.url, room, { ...WITHOUT_TCP, ...(secret !== undefined && { secret }) }),
    start: async (seed, bytes = BYTES) => peer.start(bytes, RATE, seed),
    report: async () => structuredClone(peer.report()),
    leave: () => peer.leave(),
  }
}

async function pageStreamer(): Promise<Streamer> {
  const page: BrowserPage = await browser.open(pages.page('stream'))
  return {
    join: (room, secret) =>
      page.evaluate(
        (url, name, options) => window.streamPeer.join(url, name, options),
        server.url,
        room,
        secret === undefined ? {} : { secret },
      ),
    start: (seed, bytes = BYTES) =>
      // JSON knows no Infinity.
      page.evaluate((count, rate, s) => window.streamPeer.start(count, rate ?? Infinity, s), bytes, RATE, seed),
    report: () => page.evaluate(() => window.streamPeer.report()),
    async leave() {
      await page.evaluate(() => window.streamPeer.leave())
      await page.close()
    },
  }
}

function reports(ends: Streamer[]): Promise<StreamReport[]> {
  return Promise.all(ends.map((end) => end.report()))
}

async function until(what: string, ends: Streamer[], holds: (report: StreamReport, i: number) => boolean) {
  const deadline = performance.now() + PATIENCE
  for (;;) {
    const all = await reports(ends)
    if (all.every(holds)) return
    const words = all.map(({ path, received, closed }) => `${path}, ${received} bytes${closed ? `, ${closed}` : ''}`)
    if (performance.now() > deadline || all.some(({ closed }) => closed !== undefined)) {
      throw new Error(`waited for ${what}: ${words.join('; ')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const TABLE = 'floe_handover'

function blockUdp(): void {
  unblockUdp()
  nft(`add table inet ${TABLE}`)
  // On arrival: who sends must not learn of it from the kernel.
  nft(`add chain inet ${TABLE} arrival { type filter hook input priority 0; }`)
  // mDNS is how the two find each other's names, which is no path.
  nft(`add rule inet ${TABLE} arrival udp dport != 5353 drop`)
}

function unblockUdp(): void {
  try {
    nft(`delete table inet ${TABLE}`)
  } catch {} // There was none.
}

function nft(command: string): void {
  execFileSync('nft', [command], { stdio: ['ignore', 'ignore', 'pipe'] })
}
