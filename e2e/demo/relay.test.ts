/** The page with a relay beside it: `floe serve --turn`, which takes Debian's coturn. */
import type { Browser, Page } from 'playwright'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startChromium } from '../browser/browsers.ts'
import { buildPage, type Product, startProduct } from './product.ts'

/** So short that a page sees its credentials renewed within two seconds. */
const LIFETIME_SECONDS = '3'

let product: Product
let browser: Browser
const pages: Page[] = []

beforeAll(async () => {
  await buildPage()
  product = await startProduct(['--turn', '--turn-port', '0', '--turn-lifetime', LIFETIME_SECONDS])
  browser = await startChromium()
})

afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.context().close()))
})

afterAll(async () => {
  await browser?.close()
  await product?.stop()
})

test('relay only: the path leads through it, no other address is given away, and plain words say so', async () => {
  const page = await open()
  await connectOverRelay(page)
  await page.getByRole('textbox', { name: 'Message' }).fill('hello')
  await page.keyboard.press('Enter')
  await page.locator('#chat-log .theirs', { hasText: /^the Node peer: hello$/ }).waitFor()
  await page.getByText(/^Relayed: this browser reaches a relay server over (UDP|TCP)/).waitFor()
  expect(await page.getAttribute('#path-drawing', 'aria-label')).toMatch(/^This browser, Your relay \(relay /)
  const { session, candidates, text } = await diagnostics(page)
  expect(session).toMatchObject({ relayOnly: true, offered: Array(2).fill(expect.stringMatching(/^turn:127/)) })
  expect(candidates.local.length).toBeGreaterThan(0)
  for (const line of candidates.local) expect(line).toMatch(/typ relay raddr 0\.0\.0\.0 rport 0/)
  expect(text).not.toMatch(/"(username|credential)"/)
})

test('any path: the direct one is taken, and plain words say so', async () => {
  const page = await open()
  await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
  await connected(page)
  await page.getByText('Direct: what you send goes straight to the other side').waitFor()
})

test('the drawn path changes with the path, and the changes are listed', async () => {
  const page = await open('', exposePeerConnection)
  await connectOverRelay(page)
  await page.getByText(/^Relayed: this browser reaches a relay server/).waitFor()
  const drawn = () => page.getAttribute('#path-drawing', 'aria-label')
  expect(await drawn()).toMatch(/^This browser, Your relay \(relay /)
  await page.evaluate(() => {
    const { pc } = globalThis as unknown as { pc: RTCPeerConnection }
    pc.setConfiguration({ ...pc.getConfiguration(), iceTransportPolicy: 'all' })
    pc.restartIce()
  })
  await page.getByText('Direct: what you send goes straight to the other side').waitFor()
  expect(await drawn()).not.toMatch(/relay/)
  const history = await page.locator('#path-history li').allInnerTexts()
  expect(history.length).toBeGreaterThan(1)
  expect(history[0]).not.toMatch(/ relay .* – /)
  expect(history.at(-1)).toMatch(/ relay .* – /)
})

test('an open connection takes the credentials that come later: an ICE restart finds a relay when the first have expired', async () => {
  const page = await open('', exposePeerConnection)
  await connectOverRelay(page)
  const username = () => onPeerConnection(page, (pc) => pc.getConfiguration().iceServers![0]!.username!)
  /** The ICE generation for which a relay has been found. */
  const relayed = async () => {
    const sdp = await onPeerConnection(page, (pc) => pc.localDescription!.sdp)
    return / typ relay /.test(sdp) ? /a=ice-ufrag:(\S+)/.exec(sdp)![1] : undefined
  }
  await expect.poll(relayed).toBeDefined()
  const [first, before] = [await username(), await relayed()]
  const expired = () => Date.now() / 1000 > Number(first.split(':')[0])
  await expect.poll(expired, { timeout: 10_000 }).toBe(true)
  expect(await username()).not.toBe(first)
  await onPeerConnection(page, (pc) => pc.restartIce())
  await expect.poll(async () => [undefined, before].includes(await relayed()), { timeout: 10_000 }).toBe(false)
  await page.getByRole('textbox', { name: 'Message' }).fill('still there')
  await page.keyboard.press('Enter')
  await page.locator('#chat-log .theirs', { hasText: 'still there' }).waitFor()
})

test('the link for the other side does not make it go through a relay too; a reload keeps our own choice', async () => {
  const page = await open('#room=den&relay=only')
  const link = page.getByLabel('Open this link on the other side')
  await link.waitFor()
  expect(new URL(await link.inputValue()).hash).toBe('#room=den')
  await page.reload()
  await link.waitFor()
  expect((await diagnostics(page)).session).toMatchObject({ relayOnly: true })
})

test('where there is no relay, the page says so', async () => {
  const plain = await startProduct()
  try {
    const page = await open('#room=den&relay=only', undefined, plain.url)
    await page.getByRole('heading', { name: 'There is no relay' }).waitFor()
  } finally {
    await plain.stop()
  }
})

test('nothing sticks out at a width of 360 px', async () => {
  const page = await open('#room=den&relay=only', undefined, product.url, 360)
  const other = await open('#room=den&relay=only')
  await connected(page)
  await connected(other)
  await page.getByText(/^Relayed: .* the relay of the other side/).waitFor()
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0)
})

async function open(hash = '', before?: () => void, url = product.url, width = 1_280): Promise<Page> {
  const context = await browser.newContext({ viewport: { width, height: 800 } })
  const page = await context.newPage()
  pages.push(page)
  if (before) await page.addInitScript(before)
  await page.goto(url + hash)
  return page
}

function exposePeerConnection(): void {
  const Native = RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Native {
    constructor(configuration?: RTCConfiguration) {
      super(configuration)
      Object.assign(globalThis, { pc: this })
    }
  }
}

/** After `exposePeerConnection`. */
function onPeerConnection<Result>(page: Page, look: (pc: RTCPeerConnection) => Result): Promise<Result> {
  return page.evaluate(`(${look})(globalThis.pc)`) as Promise<Result>
}

async function connectOverRelay(page: Page): Promise<void> {
  await page.getByText('A room of your own').click()
  await page.getByLabel('Through a relay only').check()
  await page.getByRole('button', { name: 'Connect to the Node peer' }).click()
  await connected(page)
}

async function connected(page: Page): Promise<void> {
  await page.locator('#status[data-phase=open]').waitFor()
}

async function diagnostics(page: Page) {
  await page.locator('#diagnostics summary').click()
  const json = page.locator('#diagnostics-json', { hasText: 'journal' })
  await json.waitFor()
  const text = await json.innerText()
  return { ...(JSON.parse(text) as { session: object; candidates: { local: string[] } }), text }
}
