/** PeerJS as it comes from npm, in Node over the polyfill and in Chromium, through a real PeerServer. */
import '@floe/webrtc/polyfill'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PeerServer } from 'peer'
import { type DataConnection, Peer, type PeerOptions } from 'peerjs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import WebSocket from 'ws'
import { type Browser, type BrowserPage, launch } from '../browser/browsers.ts'
import { type PageServer, servePages } from '../browser/page-server.ts'

const plainAddresses = process.env.FLOE_TEST_NETNS !== '1'
const BULK_BYTES = 1_000_000

let server: Server
let options: PeerOptions
const peers: Peer[] = []
let names = 0

beforeAll(async () => {
  // PeerJS looks for it among the globals; Node has it from version 22 on.
  ;(globalThis as { WebSocket?: unknown }).WebSocket ??= WebSocket
  server = await new Promise((resolve) => PeerServer({ host: '127.0.0.1', port: 0, path: '/' }, resolve))
  const { port } = server.address() as AddressInfo
  options = { host: '127.0.0.1', port, path: '/', secure: false, config: { iceServers: [] } }
})

afterEach(() => {
  for (const peer of peers.splice(0)) peer.destroy()
})

afterAll(async () => {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
})

/** A peer that the server knows. */
async function register(): Promise<Peer> {
  const peer = new Peer(`node-${names++}`, options)
  peers.push(peer)
  await event(peer, 'open')
  return peer
}

/** The next such event; rejects with an error that comes before it. */
function event<Value>(emitter: { once: unknown; off: unknown }, name: string): Promise<Value> {
  const { once, off } = emitter as Record<'once' | 'off', (name: string, listener: (value: never) => void) => void>
  return new Promise((resolve, reject) => {
    once.call(emitter, 'error', reject as never)
    once.call(emitter, name, ((value: Value) => {
      off.call(emitter, 'error', reject as never)
      resolve(value)
    }) as never)
  })
}

/** What comes back for what is sent. */
async function roundTrip(connection: DataConnection, data: unknown): Promise<unknown> {
  const answer = event(connection, 'data')
  connection.send(data)
  return answer
}

async function converse(connection: DataConnection, serialization: string): Promise<void> {
  for (const data of serialization === 'raw' ? ['text'] : ['text', { nested: [1, 'ü', null, true] }, 7]) {
    expect(await roundTrip(connection, data)).toEqual(data)
  }
  if (serialization === 'json') return
  const size = serialization === 'raw' ? 100_000 : BULK_BYTES
  const bytes = Uint8Array.from({ length: size }, (_, i) => i * 31)
  const answer = new Uint8Array((await roundTrip(connection, bytes.buffer)) as ArrayBuffer)
  expect(Buffer.compare(answer, bytes)).toBe(0)
}

function echo(connection: DataConnection): void {
  connection.on('data', (data) => connection.send(data))
}

test('it takes the polyfill for a browser that has data channels', async () => {
  const { util } = await import('peerjs')
  expect(util.supports).toMatchObject({ webRTC: true, data: true, reliable: true })
})

test.each(['binary', 'json', 'raw'])('Node and Node, %s', async (serialization) => {
  const [a, b] = [await register(), await register()]
  b.on('connection', echo)
  const connection = a.connect(b.id, { serialization, reliable: true })
  await event(connection, 'open')
  await converse(connection, serialization)
  const closed = event(connection, 'close')
  b.destroy()
  await closed
})

describe('Node and Chromium', () => {
  let browser: Browser
  let pages: PageServer
  let page: BrowserPage
  beforeAll(async () => {
    pages = await servePages('peerjs')
    browser = await launch('chromium', { plainAddresses })
    page = await browser.open(pages.page('peerjs'))
    await page.evaluate((...call) => window.register(...call), 'page', options)
  })
  afterAll(async () => {
    await browser.close()
    await pages.close()
  })

  test.each(['binary', 'json', 'raw'])('Node calls the page, %s; the page hangs up', async (serialization) => {
    const connection = (await register()).connect('page', { serialization, reliable: true, metadata: { from: 'node' } })
    await event(connection, 'open')
    await converse(connection, serialization)
    const closed = new Promise((resolve) => connection.on('close', () => resolve(undefined)))
    await page.evaluate(() => window.hangUp())
    await closed
  })

  test.each(['binary', 'json'])('the page calls Node, %s; Node hangs up', async (serialization) => {
    const node = await register()
    const incoming = event<DataConnection>(node, 'connection')
    await page.evaluate((...call) => window.connectTo(...call), node.id, serialization)
    const connection = await incoming
    if (!connection.open) await event(connection, 'open')
    await converse(connection, serialization)
    connection.close()
    await expect.poll(() => page.evaluate(() => window.hungUp), { timeout: 10_000 }).toBe(true)
  })
})
