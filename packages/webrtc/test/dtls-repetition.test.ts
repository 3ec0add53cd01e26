import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { HandshakeType } from '../src/node/dtls-record.ts'
import { cookieFor, createServerShim, createShim, finished, handshake, hello } from './shim.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => vi.useRealTimers())

const { serverHello, certificate, certificateVerify } = HandshakeType

test.each([
  ['client', createShim, handshake(certificate, 0), handshake(16, 2)],
  ['server', createServerShim, handshake(certificate, 2), handshake(serverHello, 1)],
] as const)(
  'as %s: a repeated message asks for our flight: once in 20 ms, whatever the number',
  async (_, create, theirs, ours) => {
    const { shim, sent, take } = create()
    shim.receive(theirs)
    shim.send(Buffer.from(ours))
    await Promise.resolve()
    take(sent)
    for (let i = 0; i < 100; i++) shim.receive(theirs)
    expect(take(sent)).toEqual([ours])
    vi.advanceTimersByTime(20)
    shim.receive(theirs)
    expect(take(sent)).toHaveLength(1)
  },
)

test('as server: a repeated hello asks for our flight, too', async () => {
  const server = createShim()
  server.shim.start('server')
  const cookie = cookieFor(server)
  server.shim.receive(hello(cookie))
  server.shim.send(handshake(serverHello, 1))
  await Promise.resolve()
  server.sent.length = 0
  server.shim.receive(hello(cookie))
  expect(server.sent).toEqual([handshake(serverHello, 1)])
})

test.each([
  ['client', createShim, handshake(certificate, 0), finished()],
  ['server', createServerShim, handshake(certificate, 2), finished()],
] as const)(
  'as %s: repetitions that anyone can forge are answered ten times, once established by the server alone',
  async (role, create, forged, ours) => {
    const { shim, sent, take } = create()
    const forgeFor = (milliseconds: number) => {
      for (let passed = 0; passed < milliseconds; passed += 20) {
        shim.receive(forged)
        if (role === 'server') shim.receive(finished())
        vi.advanceTimersByTime(20)
      }
    }
    shim.receive(forged)
    shim.send(ours)
    await Promise.resolve()
    shim.establish()
    vi.advanceTimersByTime(10_000)
    take(sent)
    forgeFor(10_000)
    expect(take(sent)).toHaveLength(role === 'server' ? 10 : 0)
    forgeFor(10_000)
    expect(sent).toEqual([])
  },
)

test('a flight is given for ten repetitions, and the next one again', async () => {
  const { shim, sent, take } = createShim()
  shim.receive(handshake(serverHello, 0))
  for (const flight of [handshake(16, 2), handshake(certificateVerify, 3)]) {
    shim.send(flight)
    await Promise.resolve()
    take(sent)
    for (let i = 0; i < 100; i++) {
      shim.receive(handshake(serverHello, 0))
      vi.advanceTimersByTime(20)
    }
    // On top of those of the timer.
    expect(take(sent)).toHaveLength(10 + 7)
  }
})
