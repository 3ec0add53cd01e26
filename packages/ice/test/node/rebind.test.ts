/** Sockets that end under a transport, while the address that they are bound to stays. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { IceAgent } from '../../src/index.ts'
import { IceTransport, type IceTransportOptions, UdpMux } from '../../src/node/index.ts'
import { Rebinding } from '../../src/node/rebinding.ts'
import { connect, connectedPair, LOOPBACK, openUdpHandles, udpSocketAt } from './connect.ts'
import { destroySocket, whyNoDestroy } from './destroy-socket.ts'

const open: (IceTransport | UdpMux)[] = []
const thieves: Socket[] = []
afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(open.splice(0).map((transport) => transport.close()))
  for (const thief of thieves.splice(0)) thief.close()
})

/** Without TCP one address is one candidate, and there is no other way. */
const UDP = { ...LOOPBACK, tcp: false }

describe('a socket that somebody closes', () => {
  test('is bound again to its port: the path goes on, and no peer hears of it', async () => {
    const { a, b, signalled, removed } = await watched()
    const before = a.getLocalCandidates()
    udpSocketAt(portOf(a)).close()
    await exchange(a, b)
    expect(a.getLocalCandidates()).toEqual(before)
    expect([signalled, removed]).toEqual([[], []])
    expect(b.getSelectedCandidatePair()?.remote.address.port).toBe(portOf(a))
    expect(a.agentLog).toContainEqual(expect.objectContaining({ event: 'network', reason: 'socket' }))
    await Promise.all(open.splice(0).map((transport) => transport.close()))
    expect(await openUdpHandles()).toBe(0)
  })

  test('is replaced by another where its port has been taken meanwhile; the peer is told, and moves', async () => {
    const { a, b, signalled, removed } = await watched()
    const before = portOf(a)
    udpSocketAt(before).close()
    await takePort(before)
    await exchange(a, b)
    const after = portOf(a)
    expect(after).not.toBe(before)
    expect(signalled.filter((line) => line !== null)).toEqual([expect.stringContaining(` ${after} typ host`)])
    expect(removed).toEqual([expect.stringContaining(` ${before} typ host`)])
    await expect.poll(() => b.getSelectedCandidatePair()?.remote.address.port, POLL).toBe(after)
    expect(b.getRemoteCandidates().map(({ address }) => address.port)).toEqual([after])
  })

  test('takes nothing of TCP with it: listeners and connections are not bound to its port', async () => {
    const { a, removed } = await watched(LOOPBACK)
    const tcp = () => a.getLocalCandidates().filter(({ protocol }) => protocol === 'tcp')
    const [before, candidates] = [portOf(a), tcp()]
    expect(candidates.map(({ tcpType }) => tcpType).sort()).toEqual(['active', 'passive'])
    udpSocketAt(before).close()
    await takePort(before)
    const hasMoved = () =>
      a.send(Uint8Array.of(99)) && a.getLocalCandidates().every(({ address }) => address.port !== before)
    await expect.poll(hasMoved, POLL).toBe(true)
    expect(tcp()).toEqual(candidates)
    expect(removed).toEqual([expect.stringContaining(` ${before} typ host`)])
  })

  test('is waited for, where no other port may be used', async () => {
    const before = await freePort()
    const { a, b, removed } = await watched({ ...UDP, portRange: [before, before] })
    expect(portOf(a)).toBe(before)
    udpSocketAt(before).close()
    const thief = await takePort(before)
    // An agent that hears of a network time and again would never be 'failed'.
    const changed = vi.spyOn(IceAgent.prototype, 'networkChanged')
    onTestFinished(() => changed.mockRestore())
    const tries = () => a.send(Uint8Array.of(99)) && a.agentLog.filter(({ reason }) => reason === 'socket').length
    await expect.poll(tries, POLL).toBeGreaterThan(2)
    expect(changed).not.toHaveBeenCalled()
    thieves.splice(0)
    thief.close()
    await exchange(a, b)
    expect([portOf(a), removed]).toEqual([before, []])
    expect(changed).toHaveBeenCalledTimes(1)
  })

  test('of a mux is bound again for all who share it', async () => {
    const mux = new UdpMux({ includeLoopback: true, interfaceFilter: ({ ip }) => ip === '127.0.0.1' })
    const pairs = await Promise.all([1, 2].map(() => connectedPair({ mux }, UDP)))
    open.push(...pairs.flat(), mux)
    udpSocketAt(mux.addresses[0]!.port).close()
    for (const [a, b] of pairs) await exchange(a, b)
  })
})

test.skipIf(whyNoDestroy())(
  `a socket that the system destroys is bound again ${whyNoDestroy() ?? ''}`.trim(),
  async () => {
    const { a, b, signalled, removed } = await watched()
    const before = portOf(a)
    destroySocket(before)
    await exchange(a, b)
    expect([portOf(a), signalled, removed]).toEqual([before, [], []])
  },
)

test('what dies again and again is bound ever more seldom, and is forgiven after a minute', () => {
  vi.useFakeTimers()
  const from = performance.now()
  const tries: number[] = []
  const rebinding = new Rebinding(() => tries.push(performance.now() - from) >= 5)
  rebinding.begin()
  rebinding.begin()
  expect(tries).toEqual([])
  vi.advanceTimersByTime(60_000)
  expect(tries).toEqual([0, 250, 750, 1_750, 3_750])
  rebinding.begin()
  vi.advanceTimersByTime(3_999)
  expect(tries).toHaveLength(5)
  vi.advanceTimersByTime(60_001)
  expect(tries).toHaveLength(6)
  vi.advanceTimersByTime(60_001)
  rebinding.begin()
  vi.advanceTimersByTime(0)
  expect(tries).toHaveLength(7)
  rebinding.begin()
  rebinding.close()
  vi.advanceTimersByTime(60_000)
  expect(tries).toHaveLength(7)
})

const POLL = { timeout: 5_000, interval: 10 }

/** Two that are connected, and what `a` signals from then on. */
async function watched(options: IceTransportOptions = UDP) {
  const a = new IceTransport({ ...options, role: 'controlled' })
  const b = new IceTransport({ ...UDP, role: 'controlling' })
  open.push(a, b)
  await connect(a, b)
  const [signalled, removed]: [(string | null)[], string[]] = [[], []]
  a.addEventListener('icecandidate', ({ candidate }) => signalled.push(candidate?.candidate ?? null))
  a.addEventListener('icecandidatesremoved', ({ candidates }) => {
    removed.push(...candidates.map(({ candidate }) => candidate!))
    b.removeRemoteCandidates(candidates)
  })
  return { a, b, signalled, removed }
}

/** Sends until something arrives, each way. */
async function exchange(a: IceTransport, b: IceTransport): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    let heard = false
    to.ondata = () => (heard = true)
    const hear = () => from.send(Uint8Array.of(99)) && heard
    await expect.poll(hear, POLL).toBe(true)
  }
}

function portOf(transport: IceTransport): number {
  return transport.getLocalCandidates()[0]!.address.port
}

async function takePort(port: number): Promise<Socket> {
  const thief = createSocket('udp4')
  thieves.push(thief)
  thief.bind(port, '127.0.0.1')
  await once(thief, 'listening')
  return thief
}

async function freePort(): Promise<number> {
  const socket = await takePort(0)
  const { port } = socket.address()
  thieves.splice(0)
  socket.close()
  await once(socket, 'close')
  return port
}
