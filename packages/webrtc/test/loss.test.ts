import { Socket } from 'node:dgram'
import { IceTransport } from '@floe/ice/node'
import { afterEach, expect, test, vi } from 'vitest'
import { createPair, LOOPBACK, negotiate, nextMessage, opened, state, trickle } from './pair.ts'

afterEach(() => vi.restoreAllMocks())

/**
 * Loses UDP datagrams of this process on their way out: connectivity checks, handshakes and data alike, in both directions,
 * since both ends are ours.
 */
function loseDatagrams(rate: number, seed: number): { lost: number; sent: number } {
  const count = { lost: 0, sent: 0 }
  const random = mulberry32(seed)
  const send = Socket.prototype.send as (...args: unknown[]) => void
  vi.spyOn(Socket.prototype, 'send').mockImplementation(function (this: Socket, ...args: unknown[]) {
    count.sent++
    if (random() >= rate) send.apply(this, args)
    else count.lost++
  })
  return count
}

/** Where ICE over TCP offers no way around the loss. */
const UDP_ALONE = { ice: { ...LOOPBACK.ice, tcp: false } }

test('with 20 % random loss both ways, 40 of 40 data channels open', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32)
  const count = loseDatagrams(0.2, seed)
  const times: number[] = []
  const open = async () => {
    await using pair = createPair(UDP_ALONE, UDP_ALONE)
    trickle(pair)
    const start = performance.now()
    const channels = [pair.a, pair.b].map((peer) => peer.createDataChannel('x', { negotiated: true, id: 0 }))
    await negotiate(pair.a, pair.b)
    await Promise.all([...channels.map(opened), state(pair.a, 'connected'), state(pair.b, 'connected')])
    times.push(performance.now() - start)
  }
  const attempts = Array.from({ length: 40 }, open)
  const late = new Promise<void>((resolve) => setTimeout(resolve, 30_000).unref())
  await Promise.race([Promise.allSettled(attempts), late])
  times.sort((x, y) => x - y)
  const loss = `${count.lost} of ${count.sent} lost`
  console.log(`seed ${seed}: ${loss}; open median ${times[20]?.toFixed(0)} ms, slowest ${times.at(-1)?.toFixed(0)} ms`)
  expect(times.length, `SEED=${seed} repeats this loss`).toBe(40)
  expect(count.lost / count.sent).toBeGreaterThan(0.15)
}, 60_000)

test('datagrams that come twice and out of order: channels open, messages arrive once and in order', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 32)
  const random = mulberry32(seed)
  const send = IceTransport.prototype.send
  vi.spyOn(IceTransport.prototype, 'send').mockImplementation(function (this: IceTransport, bytes) {
    for (let copies = random() < 0.3 ? 2 : 1; copies > 0; copies--) {
      setTimeout(() => this.state !== 'closed' && send.call(this, bytes), random() * 20)
    }
    return true
  })
  const exchange = async () => {
    await using pair = createPair()
    trickle(pair)
    const [ours, theirs] = [pair.a, pair.b].map((peer) => peer.createDataChannel('x', { negotiated: true, id: 0 }))
    await negotiate(pair.a, pair.b)
    await Promise.all([opened(ours!), opened(theirs!)])
    const messages = Array.from({ length: 60 }, (_, i) => `${i}`.repeat(1 + i * 20))
    const received: string[] = []
    theirs!.onmessage = ({ data }) => received.push(data)
    for (const message of messages) ours!.send(message)
    while (received.length < messages.length) await nextMessage(theirs!)
    expect(received, `SEED=${seed}`).toEqual(messages)
  }
  await Promise.all(Array.from({ length: 8 }, exchange))
}, 30_000)

/** A small seeded generator, so that a failing run can be repeated. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
