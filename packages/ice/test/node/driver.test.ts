import { afterEach, describe, expect, test } from 'vitest'
import type { IceTransport } from '../../src/node/index.ts'
import { connectedPair } from './connect.ts'

const open: IceTransport[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()))
})

describe('Driver', () => {
  test('a listener that throws is uncaught, and in nobody else’s way', async () => {
    const uncaught = catchUncaught(2)
    const [a, b] = await pair()
    const received: number[] = []
    b.addEventListener('statechange', () => {
      throw new Error('from a listener')
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

  test('an idle connection sets one timer', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    await pair()
    expect(timers() - before).toBe(2)
  })
})

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
