/** simple-peer as it comes from npm, with @floe/webrtc as its `wrtc`: between two Node peers, and with Chromium. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as floe from '@floe/webrtc'
import libwebrtc from '@roamhq/wrtc'
import SimplePeer from 'simple-peer'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, type BrowserPage, launch } from '../browser/browsers.ts'
import { type PageServer, servePages } from '../browser/page-server.ts'

const BULK_BYTES = 2_000_000
const plainAddresses = process.env.FLOE_TEST_NETNS !== '1'

const peers: SimplePeer.Instance[] = []
afterEach(() => {
  for (const peer of peers.splice(0)) peer.destroy()
})

function create(options: SimplePeer.Options, wrtc: unknown = floe): SimplePeer.Instance {
  const peer = new SimplePeer({ wrtc: wrtc as typeof floe, config: { iceServers: [] }, ...options })
  peers.push(peer)
  return peer
}

/** Signals travel as JSON. */
function wire(a: SimplePeer.Instance, b: SimplePeer.Instance): void {
  a.on('signal', (signal) => b.signal(JSON.stringify(signal)))
  b.on('signal', (signal) => a.signal(JSON.stringify(signal)))
}

const connected = (...all: SimplePeer.Instance[]) => Promise.all(all.map((peer) => once(peer, 'connect')))

/** Sends so much through the stream and compares what comes back; simple-peer's back-pressure paces it. */
async function transfer(peer: SimplePeer.Instance): Promise<void> {
  const sent = randomBytes(BULK_BYTES)
  const received = createHash('sha256')
  let left = BULK_BYTES
  const done = new Promise<void>((resolve) => {
    peer.on('data', (chunk: Uint8Array) => {
      received.update(chunk)
      if ((left -= chunk.length) === 0) resolve()
    })
  })
  for (let at = 0; at < sent.length; at += 60_000) {
    if (!peer.write(sent.subarray(at, at + 60_000))) await once(peer, 'drain')
  }
  await done
  expect(received.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'))
}

/** As in browsers: the end that stays is told that the other one aborted, and closes. */
async function ended(peer: SimplePeer.Instance): Promise<void> {
  const errors: Error[] = []
  peer.on('error', (error) => errors.push(error))
  await new Promise((resolve) => peer.on('close', resolve))
  expect(errors).toEqual([expect.objectContaining({ name: 'OperationError', errorDetail: 'sctp-failure' })])
}

describe('Node and Node', () => {
  test.each([
    { trickle: true },
    { trickle: false },
    { trickle: true, channelConfig: { negotiated: true, id: 7 }, channelName: 'negotiated' },
    { trickle: true, channelConfig: { ordered: false, maxRetransmits: 30 } },
  ])('%j: text, bytes, and 2 MB through the stream and back', async (options) => {
    const [a, b] = [create({ ...options, initiator: true }), create(options)]
    wire(a, b)
    await connected(a, b)
    const text = once(b, 'data')
    a.send('hello')
    expect(String(await text)).toBe('hello')
    if ((options.channelConfig as RTCDataChannelInit | undefined)?.ordered === false) return
    b.pipe(b)
    await transfer(a)
  })

  test('addresses, statistics, renegotiation, and an orderly end', async () => {
    const [a, b] = [create({ initiator: true }), create({})]
    wire(a, b)
    await connected(a, b)
    expect(a.address()).toMatchObject({ port: expect.any(Number), family: expect.stringMatching(/IPv[46]/) })
    expect((a as unknown as { remotePort: number }).remotePort).toBe(b.address().port)
    ;(b as unknown as { negotiate(): void }).negotiate()
    await once(a, 'negotiated' as never)
    const text = once(a, 'data')
    b.send('after negotiating again')
    expect(String(await text)).toBe('after negotiating again')
    const closed = ended(b)
    a.destroy()
    await closed
  })

  test.each(['floe offers', 'libwebrtc offers'])('libwebrtc at the other end, %s', async (who) => {
    const ours = create({ initiator: who === 'floe offers' })
    const theirs = create({ initiator: who !== 'floe offers' }, libwebrtc)
    wire(ours, theirs)
    await connected(ours, theirs)
    theirs.pipe(theirs)
    await transfer(ours)
    const closed = ended(ours)
    theirs.destroy()
    await closed
  })
})

describe('Node and Chromium', () => {
  let browser: Browser
  let pages: PageServer
  beforeAll(async () => {
    pages = await servePages('simple-peer')
    browser = await launch('chromium', { plainAddresses })
  })
  afterAll(async () => {
    await browser.close()
    await pages.close()
  })

  test.each([
    ['Node', true],
    ['Chromium', true],
    ['Node', false],
    ['Chromium', false],
  ] as const)('%s offers, trickle %s: 2 MB there and back, and Node ends it', async (offerer, trickle) => {
    const ours = create({ initiator: offerer === 'Node', trickle })
    const open = connected(ours) // Listens from the beginning: it may open while candidates are still being passed on.
    const events: string[] = []
    let page: BrowserPage | undefined
    const early: SimplePeer.SignalData[] = []
    ours.on('signal', (signal) => {
      if (page) void page.evaluate((data) => window.signal(data), signal)
      else early.push(signal)
    })
    page = await browser.open(pages.page('simple-peer'), {
      emitSignal: (signal: SimplePeer.SignalData) => void ours.signal(signal),
      emitEvent: (event: string) => void events.push(event),
    })
    try {
      await page.evaluate((...options) => window.start(...options), offerer !== 'Node', trickle)
      for (const signal of early) await page.evaluate((data) => window.signal(data), signal)
      await open
      await transfer(ours)
      expect(events).toEqual(['connect'])
      ours.destroy()
      await expect.poll(() => events, { timeout: 10_000 }).toContain('close')
    } finally {
      await page.close()
    }
  })
})
