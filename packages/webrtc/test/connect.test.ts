import { runInNewContext } from 'node:vm'
import { IceTransport } from '@floe/ice/node'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Connection } from '../src/connection.ts'
import { RTCCertificate } from '../src/node/certificate.ts'
import { ConnectError, connect } from '../src/node/index.ts'
import type { Signaling } from '../src/signaling.ts'
import { MemorySignaling } from './channel.ts'
import { LOOPBACK } from './pair.ts'

afterEach(() => vi.restoreAllMocks())

const OPTIONS = { configuration: LOOPBACK as object }

async function connected(): Promise<{ signaling: MemorySignaling[]; impolite: Connection; polite: Connection }> {
  const signaling = MemorySignaling.pair()
  const [impolite, polite] = await Promise.all(signaling.map((end) => connect(end, OPTIONS)))
  return { signaling, impolite: impolite!, polite: polite! }
}

function received(connection: Connection): Promise<string | Uint8Array> {
  return new Promise((resolve) => {
    connection.onmessage = resolve
  })
}

test('two ends connect and talk; the impolite one offered', async () => {
  const { signaling, impolite, polite } = await connected()
  expect(signaling[0]!.sent.slice(0, 2)).toMatchObject([
    { hello: expect.any(String) },
    { description: { type: 'offer' } },
  ])
  expect(signaling[1]!.sent.slice(0, 2)).toMatchObject([
    { hello: expect.any(String) },
    { description: { type: 'answer' } },
  ])
  expect([impolite.state, polite.state]).toEqual(['open', 'open'])
  // Sent before anyone listens: held until someone does.
  await impolite.send('hello')
  await impolite.send(new Uint8Array([1, 2, 3]))
  await new Promise((resolve) => setTimeout(resolve, 50))
  const all: (string | Uint8Array)[] = []
  polite.onmessage = (data) => all.push(data)
  expect(all).toEqual(['hello', new Uint8Array([1, 2, 3])])
  await impolite.close('enough')
  expect([await impolite.closed, await polite.closed]).toEqual(['enough', 'enough'])
  expect([impolite.state, polite.state]).toEqual(['closed', 'closed'])
  await expect(polite.send('late')).rejects.toMatchObject({ name: 'ConnectError' })
})

test('the polite end may come first, and waits', async () => {
  const [impolite, polite] = MemorySignaling.pair()
  const waiting = connect(polite, OPTIONS)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(polite.sent).toEqual([{ hello: expect.any(String) }])
  const ends = await Promise.all([connect(impolite, OPTIONS), waiting])
  await Promise.all(ends.map((end) => end.close()))
})

test('close() lets the last message arrive', async () => {
  const { impolite, polite } = await connected()
  let bytes = 0
  polite.onmessage = (data) => (bytes += data.length)
  for (let i = 0; i < 40; i++) void impolite.send(new Uint8Array(50_000))
  await impolite.close()
  await polite.closed
  expect(bytes).toBe(2_000_000)
})

test('both close at once, when a message has just come: neither waits for the other', async () => {
  const { impolite, polite } = await connected()
  const heard = received(polite)
  await impolite.send('hello')
  await heard
  const start = performance.now()
  await Promise.all([impolite.close(), polite.close()])
  expect(performance.now() - start).toBeLessThan(1_500) // closing gives up after 2 s
})

test('send() holds its caller back while too much is waiting', async () => {
  const { impolite, polite } = await connected()
  let bytes = 0
  polite.onmessage = (data) => (bytes += data.length)
  let most = 0
  for (let i = 0; i < 60; i++) {
    await impolite.send(new Uint8Array(100_000))
    most = Math.max(most, impolite.channel.bufferedAmount)
  }
  expect(most).toBeLessThanOrEqual(1024 * 1024)
  await impolite.close()
  await polite.closed
  expect(bytes).toBe(6_000_000)
}, 20_000)

test('a message is text or a Uint8Array, of whatever realm; anything else is a mistake that says so', async () => {
  const { impolite, polite } = await connected()
  for (const data of [new ArrayBuffer(3), new Float32Array(3), new DataView(new ArrayBuffer(3)), 7, null, {}]) {
    await expect(impolite.send(data as never)).rejects.toThrow(/^A message is text or a Uint8Array/)
  }
  const next = received(polite)
  await impolite.send(runInNewContext('new Uint8Array([1, 2, 3])'))
  expect(await next).toEqual(new Uint8Array([1, 2, 3]))
  await impolite.close()
})

test('send() that waits is told when the peer goes without a word', async () => {
  const { signaling, impolite, polite } = await connected()
  signaling[1]!.cut()
  const waiting: Promise<void>[] = []
  for (let i = 0; i < 60; i++) waiting.push(impolite.send(new Uint8Array(100_000)))
  await polite.peerConnection.close()
  expect(await impolite.closed).toBe('the peer closed the connection')
  await expect(waiting.at(-1)).rejects.toMatchObject({ code: 'ERR_CONNECT_FAILED' })
  await polite.close()
})

test('glare: both ends restart at once, and both offers meet', async () => {
  const { signaling, impolite, polite } = await connected()
  const before = [impolite, polite].map(({ peerConnection }) => peerConnection.localDescription!.sdp)
  impolite.peerConnection.restartIce()
  polite.peerConnection.restartIce()
  await vi.waitFor(() => {
    const offers = signaling.map((end) => end.sent.filter((m) => 'description' in m && m.description.type === 'offer'))
    expect(offers.map((list) => list.length)).toEqual([2, 1])
    for (const { peerConnection } of [impolite, polite]) expect(peerConnection.signalingState).toBe('stable')
    const after = [impolite, polite].map(({ peerConnection }) => peerConnection.localDescription!.sdp)
    for (const i of [0, 1]) expect(ufrag(after[i]!)).not.toBe(ufrag(before[i]!))
  })
  const next = received(polite)
  await impolite.send('still there')
  expect(await next).toBe('still there')
  await impolite.close()
})

test('abort: rejects at once, tells the peer, frees everything', async () => {
  const [impolite, polite] = MemorySignaling.pair()
  const controller = new AbortController()
  const attempt = connect(impolite, { ...OPTIONS, signal: controller.signal })
  controller.abort(new Error('changed my mind'))
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_ABORTED', cause: { message: 'changed my mind' } })
  expect(impolite.sent.at(-1)).toEqual({ bye: 'Connecting was aborted' })
  expect(impolite.onmessage).toBeNull()
  await expect(connect(polite, OPTIONS)).rejects.toMatchObject({ code: 'ERR_CONNECT_PEER_LEFT' })
  await expect(connect(polite, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_CONNECT_ABORTED' })
})

test('timeout: nobody answers', async () => {
  const [impolite] = MemorySignaling.pair()
  const attempt = connect(impolite, { ...OPTIONS, timeout: 150 })
  await expect(attempt).rejects.toMatchObject({
    code: 'ERR_CONNECT_TIMEOUT',
    message: expect.stringContaining('the peer did not answer'),
  })
  expect(impolite.sent.at(-1)).toMatchObject({ bye: expect.any(String) })
})

test('timeout: an answer, but no path', async () => {
  vi.spyOn(IceTransport.prototype, 'addRemoteCandidate').mockImplementation(() => {})
  vi.spyOn(IceTransport.prototype, 'start').mockImplementation(() => {})
  const attempts = MemorySignaling.pair().map((end) => connect(end, { ...OPTIONS, timeout: 300 }))
  const outcomes = await Promise.allSettled(attempts)
  const errors = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason as ConnectError)
  // Whoever gives up first says bye, which may reach the other one before its own clock does.
  expect(errors.map(({ code }) => code)).toContain('ERR_CONNECT_TIMEOUT')
  expect(errors.find(({ code }) => code === 'ERR_CONNECT_TIMEOUT')!.message).toContain('no path was found')
})

describe('ICE servers that come with the signaling', () => {
  const offered = [{ urls: 'turn:127.0.0.1:9', username: 'first', credential: 'x' }]
  const renewed = [{ urls: 'turn:127.0.0.1:9', username: 'second', credential: 'x' }]

  /** The configuration of one end whose signaling offers servers, before and after it offers others. */
  async function configured(options: object) {
    const [impolite, polite] = MemorySignaling.pair()
    impolite.iceServers = offered
    const ends = await Promise.all([connect(impolite, { ...OPTIONS, ...options }), connect(polite, OPTIONS)])
    const before = ends[0].peerConnection.getConfiguration()
    impolite.iceServers = renewed
    impolite.oniceserverschange?.()
    const after = ends[0].peerConnection.getConfiguration()
    await Promise.all(ends.map((end) => end.close()))
    return { before, after, listener: impolite.oniceserverschange }
  }

  test('are used when the caller names none, and followed when they change', async () => {
    const { before, after, listener } = await configured({})
    expect(before.iceServers).toMatchObject([{ username: 'first' }])
    expect(after).toEqual({ ...before, iceServers: [expect.objectContaining({ username: 'second' })] })
    expect(listener).toBeNull()
  })

  const own = [{ urls: 'stun:127.0.0.1:9' }]
  test.each([{ iceServers: own }, { iceServers: [] }, { configuration: { ...LOOPBACK, iceServers: own } }])(
    'are not used when the caller names servers, or none at all: %j',
    async (options) => {
      const { before, after } = await configured(options)
      expect(before.iceServers).not.toContainEqual(expect.objectContaining({ username: 'first' }))
      expect(after).toEqual(before)
    },
  )

  test('which the RTCPeerConnection does not take leave the connection alone', async () => {
    const [impolite, polite] = MemorySignaling.pair()
    const ends = await Promise.all([impolite, polite].map((end) => connect(end, OPTIONS)))
    impolite.iceServers = [{ urls: 'nonsense' }]
    expect(() => impolite.oniceserverschange?.()).not.toThrow()
    expect(ends.map(({ state }) => state)).toEqual(['open', 'open'])
    await Promise.all(ends.map((end) => end.close()))
  })

  test('are nothing that signaling must have', async () => {
    const [impolite, polite] = MemorySignaling.pair()
    const ends = await Promise.all([connect(bare(impolite), OPTIONS), connect(bare(polite), OPTIONS)])
    await Promise.all(ends.map((end) => end.close()))
  })

  /** With the three members that it needs. */
  function bare(signaling: MemorySignaling): Signaling {
    return {
      polite: signaling.polite,
      send: (message) => signaling.send(message),
      get onmessage() {
        return signaling.onmessage
      },
      set onmessage(listener) {
        signaling.onmessage = listener
      },
    }
  }
})

test('bye while connecting', async () => {
  const [impolite, polite] = MemorySignaling.pair()
  const attempt = connect(impolite, OPTIONS)
  polite.send({ bye: 'no time' })
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_PEER_LEFT', message: 'The peer left: no time' })
})

test.each([
  ['nonsense'],
  [{ description: 7 }],
  [{ description: { type: 'offer', sdp: 'v=0\r\nm=nonsense' } }],
  [{}],
  [null],
])('signaling that is none: %j', async (message) => {
  const [, polite] = MemorySignaling.pair()
  const attempt = connect(polite, OPTIONS)
  polite.inject(message)
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_CONNECT_SIGNALING' })
})

test('candidates that do not fit are no reason to give up', async () => {
  const [impolite, polite] = MemorySignaling.pair()
  const attempts = [connect(impolite, OPTIONS), connect(polite, OPTIONS)]
  for (const candidate of [{ candidate: 'nonsense', sdpMid: '0' }, { candidate: 'candidate:1', sdpMid: 'other' }, {}]) {
    impolite.send({ candidate })
  }
  const ends = await Promise.all(attempts)
  await Promise.all(ends.map((end) => end.close()))
})

test('nobody knows who is polite', async () => {
  const attempt = connect({ send() {}, onmessage: null })
  await expect(attempt).rejects.toMatchObject({
    code: 'ERR_CONNECT_SIGNALING',
    message: expect.stringMatching(/polite: true/),
  })
})

test('an impostor is refused with a code of its own, on either side', async () => {
  for (const impostorIs of ['impolite', 'polite'] as const) {
    const certificate = await RTCCertificate.generate()
    RTCCertificate.unwrap(certificate).privateKey = RTCCertificate.unwrap(await RTCCertificate.generate()).privateKey
    const [impolite, polite] = MemorySignaling.pair()
    const [honest, impostor] = impostorIs === 'polite' ? [impolite, polite] : [polite, impolite]
    const impostorAttempt = connect(impostor, {
      configuration: { ...OPTIONS.configuration, certificates: [certificate] } as object,
    })
    impostorAttempt.catch(() => {})
    const error = await connect(honest, OPTIONS).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ code: 'ERR_CONNECT_UNAUTHENTICATED', cause: { errorDetail: 'fingerprint-failure' } })
    await expect(impostorAttempt).rejects.toMatchObject({ code: 'ERR_CONNECT_PEER_LEFT' })
  }
})

test('a peer that starts over, as after a page reload: the old connection ends, a new one opens', async () => {
  const signaling = MemorySignaling.pair()
  const [first, old] = await Promise.all(signaling.map((end) => connect(end, OPTIONS)))
  // The page is gone without a word, and its successor uses the same channel.
  signaling[0]!.onmessage = null
  const send = vi.spyOn(signaling[0]!, 'send').mockImplementation(() => {})
  const leaving = first!.peerConnection
  send.mockRestore()
  const again = connect(signaling[0]!, OPTIONS)
  expect(await old!.closed).toMatch(/started over/)
  const next = await Promise.all([again, connect(signaling[1]!, OPTIONS)])
  const message = received(next[1])
  await next[0].send('back again')
  expect(await message).toBe('back again')
  await Promise.all([leaving.close(), ...next.map((end) => end.close())])
})

test('a path that breaks is reported, repaired by an ICE restart, and loses no message', async () => {
  const { signaling, impolite, polite } = await connected()
  const states: string[] = []
  impolite.addEventListener('statechange', () => states.push(impolite.state))
  const all: (string | Uint8Array)[] = []
  polite.onmessage = (data) => all.push(data)
  const path = breakPath(impolite)
  await impolite.send('in between')
  const before = ufrag(impolite.peerConnection.localDescription!.sdp)
  await vi.waitFor(() => expect(signaling[1]!.sent.filter((message) => 'description' in message)).toHaveLength(2))
  expect(ufrag(impolite.peerConnection.localDescription!.sdp)).not.toBe(before)
  path.mend()
  expect(states).toEqual(['interrupted', 'open'])
  await vi.waitFor(() => expect(all).toEqual(['in between']))
  await impolite.close()
})

test('a path that never comes back ends the connection after the timeout', async () => {
  const signaling = MemorySignaling.pair()
  const options = { ...OPTIONS, timeout: 2000 }
  const [impolite, polite] = await Promise.all(signaling.map((end) => connect(end, options)))
  signaling[0]!.cut()
  breakPath(impolite!)
  expect(await impolite!.closed).toBe('No path to the peer could be found again')
  await polite!.close()
}, 15_000)

/** Makes the peer connection see 'failed' until mended. The packets themselves go on, which nobody looks at here. */
function breakPath({ peerConnection }: Connection): { mend(): void } {
  const state = vi.spyOn(peerConnection, 'connectionState', 'get').mockReturnValue('failed')
  peerConnection.dispatchEvent(new Event('connectionstatechange'))
  return {
    mend() {
      state.mockRestore()
      peerConnection.dispatchEvent(new Event('connectionstatechange'))
    },
  }
}

function ufrag(sdp: string): string {
  return /a=ice-ufrag:(\S+)/.exec(sdp)![1]!
}
