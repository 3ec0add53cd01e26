import { IceTransport } from '@floe/ice/node'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connect } from '../src/node/index.ts'
import { RelayCarrier } from '../src/relay-carrier.ts'
import type { RelayKeys } from '../src/secure/keys.ts'
import { SessionDriver } from '../src/session/driver.ts'
import type { Relay } from '../src/signaling.ts'
import { MemorySignaling } from './channel.ts'
import { heldMemory } from './memory.ts'
import { relayedPair } from './memory-relay.ts'
import { LOOPBACK } from './pair.ts'

afterEach(() => vi.restoreAllMocks())

const OPTIONS = { configuration: LOOPBACK as object }

function blockIce(): void {
  vi.spyOn(IceTransport.prototype, 'addRemoteCandidate').mockImplementation(() => {})
  vi.spyOn(IceTransport.prototype, 'start').mockImplementation(() => {})
}

/** What would have ended the process. */
async function uncaught(run: () => Promise<void>): Promise<unknown[]> {
  const errors: unknown[] = []
  const others = process.listeners('uncaughtException')
  const collect = (error: unknown) => errors.push(error)
  process.removeAllListeners('uncaughtException').on('uncaughtException', collect)
  try {
    await run()
  } finally {
    process.off('uncaughtException', collect)
    for (const listener of others) process.on('uncaughtException', listener)
  }
  return errors
}

describe('an application that throws', () => {
  test.each(['relay', 'direct'] as const)(
    'from onmessage and onpathchange: reported, and the %s goes on',
    async (path) => {
      if (path === 'relay') blockIce()
      const ends = relayedPair().map((end) => connect(end, { ...OPTIONS, relay: path === 'relay' }))
      const [impolite, polite] = await Promise.all(ends)
      const messages = Array.from({ length: 20 }, (_, i) => String(i))
      const received: unknown[] = []
      const mistake = new Error('of the application')
      const errors = await uncaught(async () => {
        polite!.onmessage = (message) => {
          received.push(message)
          throw mistake
        }
        for (const message of messages) await impolite!.send(message)
        await vi.waitFor(() => expect(received).toEqual(messages))
        await vi.waitFor(() => expect(impolite!.bufferedAmount).toBe(0))
        polite!.onpathchange = () => {
          throw mistake
        }
        polite!.channel.close()
        await vi.waitFor(() => expect(polite!.channel.readyState).toBe('closed'))
      })
      expect(errors.slice(0, 20)).toEqual(Array(20).fill(mistake))
      await Promise.all([impolite!.close(), polite!.close()])
    },
  )
})

test('a peer that started over before anybody listened: its first word is void, its second one connects', async () => {
  const [impolite, polite] = MemorySignaling.pair()
  const controller = new AbortController()
  const first = connect(impolite, { ...OPTIONS, signal: controller.signal })
  await vi.waitFor(() => expect(impolite.sent.some((message) => 'description' in message)).toBe(true))
  // Gone without a word.
  const send = vi.spyOn(impolite, 'send').mockImplementation(() => {})
  controller.abort()
  await expect(first).rejects.toMatchObject({ code: 'ERR_CONNECT_ABORTED' })
  send.mockRestore()
  const second = connect(impolite, OPTIONS)
  await vi.waitFor(() => expect(impolite.sent.filter((message) => 'description' in message)).toHaveLength(2))
  await new Promise((resolve) => setTimeout(resolve, 20))
  await expect(connect(polite, OPTIONS)).rejects.toMatchObject({ code: 'ERR_CONNECT_PEER_LEFT' })
  const [mine, theirs] = await Promise.all([second, connect(polite, OPTIONS)])
  void mine.send('again')
  for await (const message of theirs) {
    expect(message).toBe('again')
    break
  }
  await mine.close()
})

test('aborted by the one who looks at the peer connection', async () => {
  const controller = new AbortController()
  let made: RTCPeerConnection | undefined
  const attempt = connect(relayedPair()[0], {
    ...OPTIONS,
    signal: controller.signal,
    timeout: 2_000,
    onpeerconnection: (peerConnection) => {
      made = peerConnection
      controller.abort()
    },
  })
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_ABORTED' })
  expect(made?.connectionState).toBe('closed')
})

test('aborted at any moment: it rejects or has resolved, the peer is told, and nothing stays', async () => {
  for (let steps = 0; steps < 60; steps += 3) {
    const [impolite, polite] = relayedPair()
    const controller = new AbortController()
    const made: RTCPeerConnection[] = []
    const onpeerconnection = (peerConnection: RTCPeerConnection) => void made.push(peerConnection)
    const end = steps % 2 === 0 ? impolite : polite
    const attempt = connect(end, { ...OPTIONS, onpeerconnection, signal: controller.signal })
    const other = connect(end === impolite ? polite : impolite, { ...OPTIONS, onpeerconnection })
    for (let step = 0; step < steps; step++) await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    const [mine, theirs] = await Promise.allSettled([attempt, other])
    if (mine.status === 'rejected') {
      expect(mine.reason).toMatchObject({ code: 'ERR_CONNECT_ABORTED' })
      if (theirs.status === 'fulfilled') expect(await theirs.value.closed).toMatch(/aborted/)
      else expect(theirs.reason).toMatchObject({ code: 'ERR_CONNECT_PEER_LEFT' })
    } else {
      await mine.value.close('enough')
      if (theirs.status === 'fulfilled') expect(await theirs.value.closed).toBe('enough')
    }
    await vi.waitFor(() => {
      expect(made.map(({ connectionState }) => connectionState)).toEqual(['closed', 'closed'])
      for (const { onmessage, relay } of [impolite, polite]) {
        expect([onmessage, relay.onframe, relay.onstatechange], `${steps} steps`).toEqual([null, null, null])
      }
    })
  }
}, 60_000)

describe('a relay carrier', () => {
  const { subtle } = globalThis.crypto
  const settle = () => new Promise((resolve) => setImmediate(resolve))

  async function keys(): Promise<RelayKeys> {
    const key = await subtle.importKey('raw', new Uint8Array(32), 'AES-GCM', false, ['encrypt', 'decrypt'])
    return { sealing: key, opening: key }
  }

  function relayOf(send: Relay['send'] = () => {}): Relay {
    return { state: 'open', onstatechange: null, onframe: null, send }
  }

  test('keeps little of what comes before there are keys, however small the frames are', async () => {
    const relay = relayOf()
    let unlock = (_keys: RelayKeys): void => {}
    const locked = new Promise<RelayKeys>((resolve) => {
      unlock = resolve
    })
    const carrier = new RelayCarrier(relay, subtle, locked, new SessionDriver(() => {}))
    const before = await heldMemory()
    for (let i = 0; i < 100_000; i++) relay.onframe!(new Uint8Array())
    expect((await heldMemory()) - before).toBeLessThan(8_000_000)
    carrier.stop()
    unlock(await keys())
  })

  test('keeps little of what a peer makes it answer while the relay is slow', async () => {
    const carrier = new RelayCarrier(relayOf(), subtle, Promise.resolve(await keys()), new SessionDriver(() => {}))
    await settle()
    const before = await heldMemory()
    for (let i = 0; i < 100_000; i++) carrier.send(new Uint8Array(8))
    expect((await heldMemory()) - before).toBeLessThan(8_000_000)
    carrier.stop()
  })

  test('takes a relay that throws for one that loses', async () => {
    const sent: Uint8Array[] = []
    const relay = relayOf((frame) => {
      sent.push(frame)
      if (sent.length === 1) throw new Error('of somebody’s signaling')
    })
    const carrier = new RelayCarrier(relay, subtle, Promise.resolve(await keys()), new SessionDriver(() => {}))
    await settle()
    for (let i = 0; i < 2; i++) carrier.send(new Uint8Array(8))
    await vi.waitFor(() => expect(sent).toHaveLength(2))
    carrier.stop()
  })
})
