import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createPair, eventOf, negotiate, nextChannel, nextMessage, opened, state, trickle } from './pair.ts'

test('messages go both ways, in every form', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('chat', { protocol: 'v1' })
  const arrival = nextChannel(pair.b)
  await negotiate(pair.a, pair.b)
  const theirs = await arrival
  await opened(ours)
  expect([theirs.label, theirs.protocol, theirs.readyState, theirs.id]).toEqual(['chat', 'v1', 'open', ours.id])
  for (const [from, to] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    for (const message of ['text', 'ü€😀', '', new Uint8Array([1, 2, 3]), new Uint8Array(0)]) {
      const next = nextMessage(to)
      from.send(message)
      const received = await next
      if (typeof message === 'string') expect(received).toBe(message)
      else expect(new Uint8Array(received as ArrayBuffer)).toEqual(message)
    }
    expect(from.bufferedAmount).toBe(0)
  }
})

test('views are sent without their surroundings, and blobs arrive when asked for', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x', { negotiated: true, id: 7 })
  const theirs = pair.b.createDataChannel('x', { negotiated: true, id: 7 })
  await negotiate(pair.a, pair.b)
  await Promise.all([opened(ours), opened(theirs)])
  theirs.binaryType = 'blob'
  const next = nextMessage(theirs)
  ours.send(new DataView(new Uint8Array([0, 1, 2, 3]).buffer, 1, 2))
  const blob = (await next) as unknown as Blob
  expect(new Uint8Array(await blob.arrayBuffer())).toEqual(new Uint8Array([1, 2]))
})

test('a message that is too large is refused before anything is sent', async () => {
  await using pair = createPair()
  trickle(pair)
  const channel = pair.a.createDataChannel('x')
  expect(() => channel.send('early')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
  await negotiate(pair.a, pair.b)
  await opened(channel)
  const limit = pair.a.sctp!.maxMessageSize
  expect(limit).toBe(262_144)
  expect(() => channel.send(new Uint8Array(limit + 1))).toThrow(TypeError)
  expect(channel.bufferedAmount).toBe(0)
  channel.send(new Uint8Array(limit))
})

test('close() lets everything arrive first, and closes the other end', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  const arrival = nextChannel(pair.b)
  await negotiate(pair.a, pair.b)
  const theirs = await arrival
  await opened(ours)
  let received = 0
  theirs.onmessage = ({ data }) => {
    received += data.byteLength
  }
  for (let i = 0; i < 20; i++) ours.send(new Uint8Array(50_000))
  ours.close()
  expect(ours.readyState).toBe('closing')
  expect(() => ours.send('late')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
  await Promise.all([eventOf(ours, 'close'), eventOf(theirs, 'close')])
  expect(received).toBe(1_000_000)
  expect([ours.readyState, theirs.readyState]).toEqual(['closed', 'closed'])
})

test('a large transfer keeps its checksum, with back-pressure', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('file')
  const arrival = nextChannel(pair.b)
  await negotiate(pair.a, pair.b)
  const theirs = await arrival
  await opened(ours)
  const total = 8 * 1024 * 1024
  const received = createHash('sha256')
  let left = total
  const done = new Promise<void>((resolve) => {
    theirs.onmessage = ({ data }) => {
      received.update(new Uint8Array(data))
      if ((left -= data.byteLength) === 0) resolve()
    }
  })
  const sent = createHash('sha256')
  ours.bufferedAmountLowThreshold = 256 * 1024
  for (let offset = 0; offset < total; offset += 65_536) {
    const chunk = randomBytes(65_536)
    sent.update(chunk)
    ours.send(chunk)
    if (ours.bufferedAmount > 1024 * 1024) await eventOf(ours, 'bufferedamountlow')
  }
  await done
  expect(received.digest('hex')).toBe(sent.digest('hex'))
}, 30_000)

test('the channels of a closed connection are closed', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  const arrival = nextChannel(pair.b)
  await negotiate(pair.a, pair.b)
  const theirs = await arrival
  await opened(ours)
  await state(pair.b, 'connected')
  const closed = eventOf(theirs, 'close')
  await pair.a.close()
  await closed
  expect(() => pair.a.createDataChannel('y')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
})
