import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Browser, BrowserContextOptions, Page } from 'playwright'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startChromium } from '../browser/browsers.ts'
import { buildPage, type Product, startProduct } from './product.ts'

let product: Product
let browser: Browser
const pages: Page[] = []
const errors: string[] = []

beforeAll(async () => {
  await buildPage()
  product = await startProduct()
  browser = await startChromium()
})

afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.context().close()))
  expect(errors.splice(0)).toEqual([])
})

afterAll(async () => {
  await browser?.close()
  await product?.stop()
})

describe('with the Node peer', () => {
  test('one click connects; words and files come back; the path and its pairs are shown', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await connected(page, 'Connected to the Node peer')
    await page.getByRole('textbox', { name: 'Message' }).fill('hello')
    await page.keyboard.press('Enter')
    await page.locator('#chat-log .theirs', { hasText: /^the Node peer: hello$/ }).waitFor()

    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 9)) & 0xff))
    await page.setInputFiles('#file-input', { name: 'tide table.bin', mimeType: '', buffer: bytes })
    const link = page.getByRole('link', { name: 'Save tide table.bin' })
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()])
    expect(download.suggestedFilename()).toBe('tide table.bin')
    expect(Buffer.compare(await readFile(await download.path()), bytes)).toBe(0)
    const digests = await page.locator('.transfer code').allInnerTexts()
    expect(digests).toEqual(Array(2).fill(createHash('sha256').update(bytes).digest('hex')))

    await page.locator('#pairs-body tr.selected').waitFor()
    expect(await page.locator('#pairs-body tr.selected').count()).toBe(1)
    expect(await page.getAttribute('#path-drawing', 'aria-label')).toMatch(/^This browser.*, Node peer.*, over udp$/)
  })

  test('the keyboard is enough', async () => {
    const page = await open()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.className)).toBe('skip')
    // Past the two links of the heading.
    for (let stop = 0; stop < 3; stop++) await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('start-node')
    await page.keyboard.press('Enter')
    await connected(page, 'Connected to the Node peer')
    await page.keyboard.type('typed at once') // the message field has the focus
    await page.keyboard.press('Enter')
    await page.locator('#chat-log .theirs', { hasText: 'typed at once' }).waitFor()
  })

  test('the diagnostics tell everything but secrets and words', async () => {
    const page = await open()
    await page.getByText('A room of your own').click()
    await page.getByLabel('Secret, if').fill('mother-of-pearl')
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await connected(page, 'Connected to the Node peer')
    await page.getByRole('textbox', { name: 'Message' }).fill('whispered')
    await page.keyboard.press('Enter')
    await page.locator('#pairs-body tr.selected').waitFor()
    // The report is written when <details> tells that it has opened, which is after the click.
    const json = page.locator('#diagnostics-json', { hasText: 'journal' })
    const summary = page.locator('#diagnostics summary')
    await summary.click()
    await json.waitFor()
    // Words go through the signaling server until there is a connection.
    for (; JSON.parse(await json.innerText()).states.connection === 'connecting'; await summary.click())
      await summary.click()
    const text = await json.innerText()
    const report = JSON.parse(text)
    expect(report.session).toMatchObject({ phase: 'open', hasSecret: true, error: null, peer: { agent: 'node' } })
    expect(report.states).toMatchObject({ connection: 'connected', signaling: 'stable' })
    expect(report.pairs.some((pair: { selected: boolean }) => pair.selected)).toBe(true)
    expect(report.candidates.local.length).toBeGreaterThan(0)
    expect(Object.keys(report.session.steps).sort()).toEqual(['channel', 'introduced', 'path', 'peer', 'room'])
    expect(text).not.toMatch(/mother-of-pearl|whispered/)
  })

  test('the report is copied as it is shown', async () => {
    const page = await open('', { permissions: ['clipboard-read', 'clipboard-write'] })
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await connected(page, 'Connected to the Node peer')
    await page.locator('#pairs-body tr.selected').waitFor()
    await page.getByRole('button', { name: 'Copy as JSON' }).click()
    await page.getByRole('button', { name: 'Copied' }).waitFor()
    const report = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()))
    expect(report.session).toMatchObject({ phase: 'open', peer: { agent: 'node' } })
    expect(report.pairs.some((pair: { selected: boolean }) => pair.selected)).toBe(true)
  })

  test('a large file shows how far it is, in both directions', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await connected(page, 'Connected to the Node peer')
    await page.evaluate(watchProgress)
    await page.setInputFiles('#file-input', {
      name: 'film.bin',
      mimeType: '',
      buffer: Buffer.alloc(8_000_000, 'film'),
    })
    await page.getByRole('link', { name: 'Save film.bin' }).waitFor()
    const seen = await page.evaluate(() => (globalThis as unknown as { seen: Record<string, number[]> }).seen)
    for (const direction of ['out', 'in']) {
      const parts = seen[direction] ?? []
      expect(parts.filter((part) => part > 0 && part < 1).length, direction).toBeGreaterThan(2)
      expect(parts, 'never back').toEqual(parts.toSorted((a, b) => a - b))
      expect(parts.at(-1)).toBe(1)
    }
    expect(seen.words).toContainEqual(expect.stringMatching(/^\d+ % · [\d.]+ MB\/s$/))
  })

  test('disconnecting leads back to the start', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await connected(page, 'Connected to the Node peer')
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('heading', { name: 'A direct path between two computers' }).waitFor()
    expect(await page.locator('#pill').innerText()).toBe('Not connected')
    expect(await page.locator('#talk').isVisible()).toBe(false)
  })
})

describe('two tabs', () => {
  test('the link connects; offers are accepted or declined', async () => {
    const [first, second] = await twoTabs()
    await first.setInputFiles('#file-input', [
      { name: 'wanted.txt', mimeType: 'text/plain', buffer: Buffer.from('wanted') },
      { name: 'unwanted.txt', mimeType: 'text/plain', buffer: Buffer.from('unwanted') },
    ])
    await second.getByRole('button', { name: 'Decline unwanted.txt' }).click()
    await second.getByRole('button', { name: 'Accept wanted.txt' }).click()
    await second.getByRole('link', { name: 'Save wanted.txt' }).waitFor()
    await first.getByText('Delivered, checksum verified', { exact: true }).waitFor()
    await first.getByText('The other side declined it', { exact: true }).waitFor()
  })

  test('a tab that is reloaded comes back; one that leaves is waited for', async () => {
    const [first, second] = await twoTabs()
    await second.reload()
    await connected(second, 'Connected to the other browser')
    await first.locator('#chat-log .note').nth(2).waitFor()
    await connected(first, 'Connected to the other browser')
    await second.getByRole('button', { name: 'Disconnect' }).click()
    await first.getByText('Waiting for it in the same room.').waitFor()
    expect(await first.locator('#pill').innerText()).toBe('Waiting')
  })
})

describe('in plain words', () => {
  test('a room with another secret, which can be given then', async () => {
    const first = await open('#room=locked&secret=right')
    await first.getByRole('heading', { name: 'Waiting for the other side' }).waitFor()
    const second = await open('#room=locked')
    await second.getByRole('heading', { name: 'This room needs its secret' }).waitFor()
    expect(await second.locator('#pill').innerText()).toBe('Failed')
    await second.getByLabel('Secret of the room').fill('right')
    await second.keyboard.press('Enter')
    await connected(second, 'Connected to the other browser')
  })

  test('a server that has been stopped', async () => {
    const mortal = await startProduct()
    const page = await open('', {}, undefined, mortal.url)
    await mortal.stop()
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await page.getByRole('heading', { name: 'The server cannot be reached' }).waitFor()
    expect(await page.getByRole('button', { name: 'Try again' }).isVisible()).toBe(true)
  })

  test('no path at all: what is said takes the server, and the page says that it looks for one', async () => {
    const page = await open('', {}, gatherNothing)
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await connected(page, 'Connected to the Node peer')
    await page.locator('#status-detail', { hasText: 'Words go through the server' }).waitFor()
    await page.getByRole('textbox', { name: 'Message' }).fill('the long way round')
    await page.keyboard.press('Enter')
    await page.locator('#chat-log .theirs', { hasText: 'the long way round' }).waitFor()
    expect(await page.getAttribute('#path-drawing', 'aria-label')).toMatch(/No path yet/)
  })

  test('a browser without WebRTC', async () => {
    const page = await open('', {}, () => Reflect.deleteProperty(globalThis, 'RTCPeerConnection'))
    await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
    await page.getByRole('heading', { name: 'This browser has no WebRTC' }).waitFor()
  })
})

test.each([360, 768, 1280])('nothing sticks out at a width of %i px', async (width) => {
  const page = await open('', { viewport: { width, height: 800 } })
  const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  await page.getByText('A room of your own').click()
  expect(await overhang()).toBe(0)
  await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
  await connected(page, 'Connected to the Node peer')
  await page.locator('#pairs-body tr.selected').waitFor()
  await page.locator('#diagnostics summary').click()
  expect(await overhang()).toBe(0)
})

/** Nothing but a relay's candidates, where there is no relay. */
function gatherNothing(): void {
  const Native = RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Native {
    constructor(configuration?: RTCConfiguration) {
      super({ ...configuration, iceTransportPolicy: 'relay' })
    }
  }
}

/** In the page: keeps what the progress bars show, frame by frame, as parts of one, and the words beside them. */
function watchProgress(): void {
  const seen: Record<string, (number | string)[]> = { out: [], in: [], words: [] }
  const look = () => {
    for (const item of document.querySelectorAll('.transfer')) {
      const bar = item.querySelector('progress')!
      if (!bar.hidden) seen[item.classList.contains('out') ? 'out' : 'in']!.push(bar.value / bar.max)
      seen.words!.push(item.querySelector('.transfer-words')!.textContent!)
    }
    requestAnimationFrame(look)
  }
  Object.assign(globalThis, { seen })
  look()
}

async function open(
  hash = '',
  options: BrowserContextOptions = {},
  before?: () => void,
  url = product.url,
): Promise<Page> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  pages.push(page)
  page.on('pageerror', (error) => errors.push(String(error)))
  if (before) await page.addInitScript(before)
  await page.goto(url + hash)
  return page
}

async function connected(page: Page, title: string): Promise<void> {
  await page.getByRole('heading', { name: title }).waitFor()
  await page.locator('#status[data-phase=open]').waitFor()
}

async function twoTabs(): Promise<[Page, Page]> {
  const first = await open()
  await first.getByRole('button', { name: 'Connect two browser tabs' }).click()
  const link = await first.getByLabel('Open this link on the other side').inputValue()
  const second = await open(new URL(link).hash)
  await connected(first, 'Connected to the other browser')
  await connected(second, 'Connected to the other browser')
  return [first, second]
}
