import { spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import {
  type IceCandidateErrorEvent,
  type IceCandidateEvent,
  IceTransport,
  type IceTransportOptions,
} from '../../src/node/index.ts'
import { LOOPBACK, next } from './connect.ts'
import { StunServer } from './stun-server.ts'

async function gatheringTime(transport: IceTransport): Promise<number> {
  const start = performance.now()
  const ended = next(transport, 'gatheringstatechange', () => transport.gatheringState === 'complete')
  transport.gather()
  if (transport.gatheringState !== 'complete') await ended
  return performance.now() - start
}

test('L95 the answering server is heard at once beside a dead one, and done is bounded', async () => {
  await using good = await StunServer.listen()
  await using dead = await StunServer.listen()
  dead.ignore = Number.POSITIVE_INFINITY
  good.mapped = { ip: '203.0.113.9', port: 40_000 }
  const urls = [`stun:127.0.0.1:${dead.port}`, `stun:127.0.0.1:${good.port}`]
  await using a = new IceTransport({ ...LOOPBACK, iceServers: [{ urls }], timing: { serverDeadline: 600 } })
  const errors: IceCandidateErrorEvent[] = []
  a.addEventListener('icecandidateerror', (event) => errors.push(event))
  const reflexive = next<IceCandidateEvent>(a, 'icecandidate', ({ candidate }) =>
    / typ srflx /.test(candidate?.candidate ?? ''),
  )
  const start = performance.now()
  const gathered = gatheringTime(a)
  expect((await reflexive).candidate?.candidate).toContain(' 203.0.113.9 40000 typ srflx raddr 127.0.0.1 ')
  expect(performance.now() - start).toBeLessThan(300)
  const took = await gathered
  expect(good.transactions).toBe(1)
  expect(dead.requests).toBeGreaterThan(1)
  expect(took).toBeLessThan(2_000)
  expect(errors.map(({ url, errorCode }) => [url, errorCode])).toEqual([[urls[0], 701]])
})

test('L96 the first request is lost: it is sent again, and the server answers', async () => {
  await using server = await StunServer.listen()
  server.ignore = 1
  await using a = new IceTransport({ ...LOOPBACK, iceServers: [{ urls: `stun:127.0.0.1:${server.port}` }] })
  const errors: Event[] = []
  a.addEventListener('icecandidateerror', (event) => errors.push(event))
  await gatheringTime(a)
  expect(server.requests).toBe(2)
  expect(errors).toEqual([])
})

test('a server’s name is resolved', async () => {
  await using server = await StunServer.listen()
  await using a = new IceTransport({ ...LOOPBACK, iceServers: [{ urls: `stun:localhost:${server.port}` }] })
  expect(await gatheringTime(a)).toBeLessThan(1_000)
  expect(server.transactions).toBe(1)
})

test('L95 a name that does not exist is an error event, in bounded time, and host candidates do not wait', async () => {
  await using a = new IceTransport({ ...LOOPBACK, iceServers: [{ urls: 'stun:floe.invalid' }] })
  const failed = next<IceCandidateErrorEvent>(a, 'icecandidateerror')
  const ended = gatheringTime(a)
  expect(a.getLocalCandidates().map(({ type, protocol }) => `${type} ${protocol}`)).toEqual(['host udp', 'host tcp'])
  expect(await failed).toMatchObject({ url: 'stun:floe.invalid', errorCode: 701 })
  expect((await failed).errorText).toContain('floe.invalid was not resolved')
  expect(await ended).toBeLessThan(6_000)
}, 10_000)

test.each([
  { username: 'x'.repeat(509), credential: 'p' },
  { username: 'ü'.repeat(255), credential: 'p' },
  { username: 7, credential: 'p' },
  { username: 'u', credential: {} },
])('credentials that no TURN request has room for are refused at once: %j', async (credentials) => {
  const iceServers = [{ urls: 'turn:192.0.2.1', ...credentials }] as never
  const refusal = expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' })
  expect(() => new IceTransport({ ...LOOPBACK, iceServers })).toThrow(refusal)
  await using a = new IceTransport(LOOPBACK)
  expect(() => a.setIceServers(iceServers)).toThrow(refusal)
})

test.each(['turn:127.0.0.1:25', 'turn:127.0.0.1:25?transport=tcp', 'turns:127.0.0.1:587', 'turn:localhost:1023'])(
  'I79 %s is not asked: no TURN server has that port',
  async (urls) => {
    const iceServers = [{ urls, username: 'u', credential: 'p' }]
    await using a = new IceTransport({ ...LOOPBACK, iceServers })
    const errors: IceCandidateErrorEvent[] = []
    a.addEventListener('icecandidateerror', (event) => errors.push(event))
    await gatheringTime(a)
    expect(errors).toMatchObject([{ url: urls, errorCode: 701 }])
    expect(errors[0]!.errorText).toContain('Not asked: TURN servers have port 53, 80, 443')
  },
)

test.each([53, 80, 443, 1024])('I79 a TURN server may have port %i', async (port) => {
  const iceServers = [{ urls: `turn:127.0.0.1:${port}?transport=tcp`, username: 'u', credential: 'p' }]
  await using a = new IceTransport({ ...LOOPBACK, iceServers })
  const failed = next<IceCandidateErrorEvent>(a, 'icecandidateerror')
  a.gather()
  expect((await failed).errorText).not.toContain('Not asked')
})

/** A name that resolves at once, and still not before the function that asks goes on. */
const isLocal = /^127\./.test(
  spawnSync('getent', ['-s', 'files', 'hosts', hostname()], { encoding: 'utf8' }).stdout ?? '',
)

test.runIf(isLocal)('I77 closed while a TURN server’s name is being resolved: the answer comes too late', async () => {
  const [server, other] = [createSocket('udp4').bind(0), createSocket('udp4').bind(0)]
  await Promise.all([once(server, 'listening'), once(other, 'listening')])
  const optionsFor = (to: Socket): IceTransportOptions => {
    const urls = `turn:${hostname()}:${to.address().port}`
    return { ...LOOPBACK, iceServers: [{ urls, username: 'u', credential: 'p' }] }
  }
  let asked = 0
  server.on('message', () => asked++)
  const a = new IceTransport(optionsFor(server))
  const events: string[] = []
  for (const type of ['icecandidate', 'icecandidateerror', 'gatheringstatechange'])
    a.addEventListener(type, () => a.state === 'closed' && events.push(type))
  a.gather()
  expect(a.gatheringState).toBe('gathering')
  const start = performance.now()
  await a.close()
  expect(performance.now() - start).toBeLessThan(1_000)
  {
    // By the time that another one has had its answer, the first has as well.
    await using b = new IceTransport(optionsFor(other))
    b.gather()
    await once(other, 'message')
  }
  expect(asked).toBe(0)
  expect(events).toEqual([])
  server.close()
  other.close()
})

test('DTLS and secure STUN are refused by an event that says so', async () => {
  const turn = { urls: 'turns:192.0.2.1?transport=udp', username: 'u', credential: 'p' }
  await using a = new IceTransport({ ...LOOPBACK, iceServers: [turn, { urls: 'stuns:192.0.2.1' }] })
  const texts: string[] = []
  a.addEventListener('icecandidateerror', ({ errorText }) => texts.push(errorText))
  await gatheringTime(a)
  expect(texts).toEqual([
    'Not asked: TURN over DTLS is not supported, use turns: over TCP, or turn:',
    'Not asked: STUN over TLS or DTLS is not supported, use stun:',
  ])
})

test('K90 gatherPolicy relay asks no STUN server and resolves no name', async () => {
  await using server = await StunServer.listen()
  const urls = [`stun:127.0.0.1:${server.port}`, 'stun:floe.invalid']
  await using a = new IceTransport({ ...LOOPBACK, gatherPolicy: 'relay', iceServers: [{ urls }] })
  expect(await gatheringTime(a)).toBeLessThan(200)
  a.addRemoteCandidate({ candidate: 'candidate:1 1 udp 1 8a3f0d0e-0000-4000-8000-000000000000.local 9 typ host' })
  expect(a.agentLog.at(-1)).toMatchObject({ event: 'candidate-skipped', reason: 'gatherPolicy is relay' })
  expect(server.requests).toBe(0)
})

test.each([
  [
    'turn:192.0.2.1',
    'all',
    'No local address reaches 192.0.2.1:3478: loopback reaches loopback, and nothing else does',
  ],
  [
    'turn:192.0.2.1',
    'relay',
    'No local address reaches 192.0.2.1:3478: loopback reaches loopback, and nothing else does',
  ],
  ['turn:[2001:db8::1]?transport=tcp', 'relay', 'There is no local IPv6 address to reach [2001:db8::1]:3478 from'],
  ['stun:[2001:db8::1]', 'all', 'There is no local IPv6 address to reach [2001:db8::1]:3478 from'],
] as const)('a server that no local address reaches is named once: %s, policy %s', async (urls, gatherPolicy, text) => {
  const interfaceFilter = ({ ip }: { ip: string }) => ip === '127.0.0.1'
  const iceServers = [{ urls, username: 'u', credential: 'p' }]
  await using a = new IceTransport({ ...LOOPBACK, interfaceFilter, gatherPolicy, iceServers })
  const errors: IceCandidateErrorEvent[] = []
  a.addEventListener('icecandidateerror', (event) => errors.push(event))
  expect(await gatheringTime(a)).toBeLessThan(500)
  expect(errors.map(({ url, errorCode, errorText }) => [url, errorCode, errorText])).toEqual([[urls, 701, text]])
})

test('a name with an address of each family is no error where one of them can be reached', async () => {
  await using server = await StunServer.listen()
  const interfaceFilter = ({ ip }: { ip: string }) => ip === '127.0.0.1'
  const iceServers = [{ urls: `stun:localhost:${server.port}` }]
  await using a = new IceTransport({ ...LOOPBACK, interfaceFilter, iceServers })
  const errors: Event[] = []
  a.addEventListener('icecandidateerror', (event) => errors.push(event))
  await gatheringTime(a)
  expect(errors).toEqual([])
})

test('setIceServers() counts for gather(), and afterwards for restart()', async () => {
  await using first = await StunServer.listen()
  await using second = await StunServer.listen()
  await using a = new IceTransport({ ...LOOPBACK, iceServers: [{ urls: 'stun:127.0.0.1:9' }] })
  a.setIceServers([{ urls: `stun:127.0.0.1:${first.port}` }])
  await gatheringTime(a)
  expect(first.transactions).toBe(1)
  a.setIceServers([{ urls: `stun:localhost:${second.port}` }])
  expect(() => a.setIceServers([{ urls: 'http://example.org' }])).toThrow('is no STUN or TURN URL')
  expect(second.requests).toBe(0)
  const events: unknown[] = []
  a.addEventListener('icecandidate', ({ candidate }) => candidate === null && events.push('end'))
  const ended = next(a, 'icecandidate', ({ candidate }: IceCandidateEvent) => candidate === null)
  a.restart()
  await ended
  expect([first.transactions, second.transactions]).toEqual([1, 1])
  expect(events).toEqual(['end'])
})
