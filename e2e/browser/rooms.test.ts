/** The whole product between real browsers and Node: signaling server, `joinRoom`, `connect`, data. */
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import type { Signaling, SignalingMessage } from '@floe/webrtc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RoomPeer, type RoomPeerOptions } from '../peer/room-peer.ts'
import { type Browser, type BrowserName, type BrowserPage, launch } from './browsers.ts'
import { type PageServer, servePages } from './page-server.ts'

const BULK_BYTES = 10_000_000
/** By default browsers hide addresses behind mDNS names, which only the private network namespace can carry. */
const plainAddresses = process.env.FLOE_TEST_NETNS !== '1'

let server: SignalingServer
let pages: PageServer
let browsers: Record<BrowserName, Browser>
let rooms = 0

beforeAll(async () => {
  server = await createSignalingServer({ port: 0, origins: '*' })
  pages = await servePages('room')
  const chromium = await launch('chromium', { plainAddresses })
  browsers = { chromium, firefox: await launch('firefox', { plainAddresses }) }
})

afterAll(async () => {
  await Promise.all([browsers.chromium.close(), browsers.firefox.close()])
  await pages.close()
  await server.stop()
})

describe.each(['chromium', 'firefox'] as const)('%s and Node', (name) => {
  test.each(['the page', 'Node'] as const)('%s came first: they talk', async (first) => {
    await using stage = new RoomStage()
    const join = { 'the page': () => stage.page(name), Node: () => stage.node() }
    const a = await join[first]()
    const b = await join[first === 'Node' ? 'the page' : 'Node']()
    await talk(a, b)
    await transfer(a, b)
    await transfer(b, a)
  })

  test('the page reloads: the first connection ends with a reason, and a second one opens', async () => {
    await using stage = new RoomStage()
    const node = await stage.node()
    const page = await stage.page(name)
    await talk(node, page)
    const ended = node.closed(1)
    await stage.reload()
    expect(await ended).toEqual(expect.any(String))
    await node.connected(2)
    await page.send('back again')
    await node.received('back again')
  })

  test('a wrong ICE password ends in a ConnectError that says what was tried', async () => {
    await using stage = new RoomStage()
    const node = await stage.node({ timeout: 5_000, tamper: forgetPassword })
    await stage.page(name)
    const error = await node.connected().catch((reason) => reason)
    expect(error).toMatchObject({ name: 'ConnectError', code: expect.stringMatching(/ERR_CONNECT_(TIMEOUT|FAILED)/) })
    expect(error.message).toMatch(/ICE|check|candidate|pair/i)
  })
})

describe('two browsers through the signaling server', () => {
  test.each([
    ['chromium', 'chromium'],
    ['chromium', 'firefox'],
  ] as const)('%s and %s', async (first, second) => {
    await using stage = new RoomStage()
    const a = await stage.page(first)
    const b = await stage.page(second)
    await talk(a, b)
    await transfer(a, b)
  })
})

type Member = Pick<RoomPeer, 'connected' | 'closed' | 'send' | 'received' | 'sendBulk' | 'receivedBulk'>

/** A room of its own, and everybody in it. */
class RoomStage implements AsyncDisposable {
  readonly #room = `room-${++rooms}`
  readonly #pages: BrowserPage[] = []
  readonly #nodes: RoomPeer[] = []

  async node(options: RoomPeerOptions = {}): Promise<Member> {
    const peer = new RoomPeer(options)
    this.#nodes.push(peer)
    await peer.join(server.url, this.#room)
    return peer
  }

  async page(name: BrowserName): Promise<Member> {
    const page = await browsers[name].open(pages.page('room'))
    this.#pages.push(page)
    await this.#join(page)
    const call = (method: keyof Member, ...args: unknown[]) =>
      page.evaluate(
        (key, values) => (window.roomPeer[key] as (...values: unknown[]) => unknown)(...values),
        method,
        args,
      )
    return {
      connected: (n) => call('connected', n) as Promise<void>,
      closed: (n) => call('closed', n) as Promise<string>,
      send: (text) => call('send', text) as Promise<void>,
      received: (text) => call('received', text) as Promise<void>,
      sendBulk: (bytes, seed) => call('sendBulk', bytes, seed) as Promise<string>,
      receivedBulk: (bytes) => call('receivedBulk', bytes) as Promise<string>,
    }
  }

  /** Reloads the only page, which then joins again. */
  async reload(): Promise<void> {
    const [page] = this.#pages
    await page!.reload()
    await this.#join(page!)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#nodes.map((peer) => peer.leave()), ...this.#pages.map((page) => page.close())])
    for (const { errors } of this.#pages) expect(errors, 'uncaught errors in the page').toEqual([])
  }

  #join(page: BrowserPage): Promise<void> {
    return page.evaluate((url, room) => window.roomPeer.join(url, room), server.url, this.#room)
  }
}

async function talk(a: Member, b: Member): Promise<void> {
  await Promise.all([a.connected(), b.connected()])
  await Promise.all([a.send('hello from the first'), b.send('hello from the second')])
  await Promise.all([a.received('hello from the second'), b.received('hello from the first')])
}

async function transfer(from: Member, to: Member): Promise<void> {
  const [sent, received] = await Promise.all([from.sendBulk(BULK_BYTES, 8445), to.receivedBulk(BULK_BYTES)])
  expect(received).toBe(sent)
}

/** Both ends learn an ICE password of the other that is none of its. */
function forgetPassword(signaling: Signaling): Signaling {
  const forget = (message: SignalingMessage): SignalingMessage => {
    if (!('description' in message) || message.description.sdp === undefined) return message
    const sdp = message.description.sdp.replace(/a=ice-pwd:\S+/g, `a=ice-pwd:${'x'.repeat(24)}`)
    return { description: { ...message.description, sdp } }
  }
  const forgetful: Signaling = {
    ...(signaling.polite === undefined ? {} : { polite: signaling.polite }),
    send: (message) => signaling.send(forget(message)),
    onmessage: null,
  }
  return Object.defineProperty(forgetful, 'onmessage', {
    set: (listener: Signaling['onmessage']) => {
      signaling.onmessage = listener && ((message) => listener(forget(message)))
    },
  })
}
