/** The page in Firefox: what differs between browsers is WebRTC, its stats, and the way in which files come. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Browser, type BrowserPage, launch } from '../browser/browsers.ts'
import { buildPage, type Product, startProduct } from './product.ts'

let product: Product
let firefox: Browser

beforeAll(async () => {
  await buildPage()
  product = await startProduct()
  firefox = await launch('firefox', { plainAddresses: process.env.FLOE_TEST_NETNS !== '1' })
})

afterAll(async () => {
  await firefox?.close()
  await product?.stop()
})

test('connects to the Node peer: words, a file, pairs and the drawn path', async () => {
  const page = await firefox.open(product.url)
  await page.evaluate(() => document.getElementById('start-node')!.click())
  await until(page, () => document.querySelector('#status[data-phase=open]') !== null)
  await page.evaluate(() => {
    const field = document.querySelector<HTMLInputElement>('#chat-text')!
    field.value = 'hello'
    field.form!.requestSubmit()
  })
  await until(page, () => document.querySelector('#chat-log .theirs')?.textContent === 'the Node peer: hello')
  await page.evaluate(() => {
    const files = new DataTransfer()
    files.items.add(new File([new Uint8Array(300_000).fill(7)], 'tide.bin'))
    const input = document.querySelector<HTMLInputElement>('#file-input')!
    input.files = files.files
    input.dispatchEvent(new Event('change', { bubbles: true }))
  })
  await until(page, () => document.querySelectorAll('.transfer[data-state=done]').length === 2)
  const digests = await page.evaluate(() => [...document.querySelectorAll('.transfer code')].map((e) => e.textContent))
  expect(new Set(digests).size).toBe(1)
  await until(page, () => document.querySelectorAll('#pairs-body tr.selected').length === 1)
  await until(page, () => /Node peer.*, over udp$/.test(document.getElementById('path-drawing')!.ariaLabel ?? ''))
  await page.close()
  expect(page.errors).toEqual([])
})

async function until(page: BrowserPage, holds: () => boolean): Promise<void> {
  await expect.poll(() => page.evaluate(holds), { timeout: 15_000 }).toBe(true)
}
