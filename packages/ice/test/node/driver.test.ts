import type { Packet } from '@floe/stun'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { IceAgent } from '../../src/index.ts'
import { clock, Driver } from '../../src/node/driver.ts'
import type { IceTransport } from '../../src/node/index.ts'
import { seeded } from '../wire.ts'
import { connectedPair } from './connect.ts'

const open: IceTransport[] = []
afterEach(async () => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  await Promise.all(open.splice(0).map((transport) => transport.close()))
})

describe('Driver', () => {
  test('a listener that throws is uncaught, and in nobody else’s way', async () => {
    const uncaught = catchUncaught(2)
    const [a, b] = await pair()
    const received: number[] = []
    b.addEventListener('statechange', () => {
      if (b.state === 'closed') throw new Error('from a listener') // it may complete meanwhile
    })
    b.ondata = (bytes) => {
      received.push(bytes[1] as number)
      if (bytes[1] === 1) throw new Error('from ondata')
      if (bytes[1] === 2) void b.close()
    }
    for (const byte of [1, 2]) a.send(new Uint8Array([200, byte]))
    expect((await uncaught).map(({ message }) => message)).toEqual(['from ondata', 'from a listener'])
    expect(received).toEqual([1, 2])
    expect(b.state).toBe('closed')
  })

  test('what a listener causes is delivered after it has returned', async () => {
    const [a] = await pair()
    const order: string[] = []
    a.addEventListener('gatheringstatechange', () => {
      order.push(`begin ${a.gatheringState}`)
      if (order.length === 1) a.restart()
      order.push('end')
    })
    a.restart()
    expect(order.filter((_, index) => index % 2 === 1)).toEqual(order.filter((entry) => entry === 'end'))
    expect(order.length).toBeGreaterThan(4)
  })

  test('an idle connection wakes for its consent checks, and for nothing else', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const { agents, connect } = wiredDrivers()
    connect()
    vi.advanceTimersByTime(60_000) // RFC 8863’s timer runs out once; cancelled checks are remembered for some seconds.
    const wakeUps = agents.map((agent) => vi.spyOn(agent, 'handleTimeout'))
    const checks = () => agents.map(({ selectedPair }) => selectedPair?.stats.consentRequestsSent ?? 0)
    const before = checks()
    vi.advanceTimersByTime(600_000)
    const made = checks().map((count, i) => count - (before[i] as number))
    expect(Math.min(...made)).toBeGreaterThan(100)
    expect(wakeUps.map(({ mock }) => mock.calls.length)).toEqual(made)
  })

  test('an idle connection sets one timer', async () => {
    // Counted are the drivers' own: the test runner has timers too, which come and go.
    const pending = new Set<unknown>()
    const [set, clear] = [globalThis.setTimeout, globalThis.clearTimeout]
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((
      callback: () => void,
      delay: number,
      ...args: unknown[]
    ) => {
      const timer = set(() => {
        pending.delete(timer)
        callback.apply(undefined, args as [])
      }, delay)
      if (args[0] instanceof Driver) pending.add(timer)
      return timer
    }) as typeof setTimeout)
    vi.spyOn(globalThis, 'clearTimeout').mockImplementation((timer) => {
      pending.delete(timer)
      clear(timer)
    })
    await pair()
    expect(pending.size).toBe(2)
  })
})

/** Two drivers whose packets take 10 ms to each other, on the clock and timers that are global now. */
function wiredDrivers() {
  const bases = ['10.0.0.1', '10.0.0.2'].map((ip) => ({ address: { ip, port: 5000 } }))
  const agents = bases.map((_, i) => new IceAgent({ random: seeded(i + 1) }))
  const drivers: Driver[] = agents.map((agent, i) => {
    const transmit = ({ bytes }: Packet) => {
      const packet: Packet = { protocol: 'udp', local: bases[1 - i]!.address, remote: bases[i]!.address, bytes }
      setTimeout(() => drivers[1 - i]?.handlePacket(packet), 10)
    }
    return new Driver(agent, {
      transmit,
      connect: () => {},
      disconnect: () => {},
      openSockets: () => [],
      closeSocket: () => {},
      rebind: () => {},
      handleEvent: () => {},
    })
  })
  const connect = () => {
    for (const [i, agent] of agents.entries()) agent.gather(clock(), [bases[i]!])
    for (const [i, agent] of agents.entries()) {
      const peer = agents[1 - i]!
      agent.start(clock(), peer.localParameters, i === 0 ? 'controlling' : 'controlled')
      for (const candidate of [...peer.localCandidates, null]) agent.addRemoteCandidate(clock(), candidate)
      drivers[i]?.settle(clock())
    }
  }
  return { agents, connect }
}

async function pair(): Promise<[IceTransport, IceTransport]> {
  const pair = await connectedPair()
  open.push(...pair)
  return pair
}

/** The next uncaught exceptions, kept from the test runner, which would fail the run for them. */
function catchUncaught(count: number): Promise<Error[]> {
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const caught: Error[] = []
  return new Promise((resolve) => {
    process.on('uncaughtException', (error) => {
      if (caught.push(error) < count) return
      process.removeAllListeners('uncaughtException')
      for (const other of others) process.on('uncaughtException', other)
      resolve(caught)
    })
  })
}
