/** `floe connect` in a terminal, and a browser on the other side. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startChromium } from '../browser/browsers.ts'
import { buildPage, type Product, startProduct } from './product.ts'
import { Terminal } from './terminal.ts'

const BYTES = 12_000_000

let product: Product
let browser: Browser
let folder: string
let photo: string
let sha256: string

beforeAll(async () => {
  await buildPage()
  product = await startProduct()
  browser = await startChromium()
  folder = await mkdtemp(join(tmpdir(), 'floe-terminal-test-'))
  photo = join(folder, 'photo.jpg')
  const bytes = randomBytes(BYTES)
  sha256 = createHash('sha256').update(bytes).digest('hex')
  await writeFile(photo, bytes)
})

afterAll(async () => {
  await browser?.close()
  await product?.stop()
  await rm(folder, { recursive: true, force: true })
})

test('words and files go both ways between a page and a terminal, with progress', async () => {
  const page = await open('den')
  const inbox = join(folder, 'inbox')
  await using floe = new Terminal('den', ['--server', product.url, '--receive', inbox, '--send', photo])
  await page.locator('#status[data-phase=open]').waitFor()

  floe.type('hello page\n')
  await page.locator('#chat-log .theirs', { hasText: 'hello page' }).waitFor()
  await page.getByRole('textbox', { name: 'Message' }).fill('hello terminal')
  await page.keyboard.press('Enter')
  expect(await floe.event('message')).toMatchObject({ text: 'hello terminal' })

  await page.getByRole('button', { name: 'Accept photo.jpg' }).click()
  expect(await floe.event('file')).toMatchObject({ direction: 'sent', name: 'photo.jpg', size: BYTES, sha256 })
  await page.getByRole('link', { name: 'Save photo.jpg' }).waitFor()
  expect(await page.locator('.transfer code').allInnerTexts()).toEqual([sha256])

  await page.setInputFiles('#file-input', photo)
  const received = await floe.event('file', 2)
  expect(received).toMatchObject({ direction: 'received', name: 'photo.jpg', size: BYTES, sha256 })
  expect((await readFile(String(received.path))).equals(await readFile(photo))).toBe(true)

  const progress = floe.events.filter(({ event }) => event === 'progress')
  for (const direction of ['sending', 'receiving']) {
    expect(progress).toContainEqual(expect.objectContaining({ direction, name: 'photo.jpg', size: BYTES }))
  }
  expect(floe.events.find(({ event, path }) => event === 'path' && path === 'direct')).toBeDefined()

  await page.getByRole('button', { name: 'Disconnect' }).click()
  expect(await floe.event('closed')).toMatchObject({ reason: expect.stringMatching(/disconnected/) })
})

async function open(room: string): Promise<Page> {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${product.url}#room=${room}`)
  return page
}
