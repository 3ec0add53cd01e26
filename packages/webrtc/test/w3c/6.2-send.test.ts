import { openAsBlob } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { RTCDataChannel } from '../../src/node/data-channel.ts'
import { createPair, eventOf, nextMessage, openChannel, record } from '../pair.ts'

/* webrtc-pc §6.2: send(), message events, binaryType, sizes. */

const bytes = (...values: number[]) => new Uint8Array(values)
const blobOf = async (blob: unknown) => new Uint8Array(await (blob as Blob).arrayBuffer())

test('every kind of message, both ways', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  for (const [from, to] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    for (const text of ['hello', '世界你好 😀', '', '\u0000']) {
      const next = nextMessage(to)
      from.send(text)
      expect(await next).toBe(text)
    }
    const surroundings = bytes(9, 1, 2, 3, 9)
    for (const data of [surroundings.subarray(1, 4), new DataView(surroundings.buffer, 1, 3), bytes(1, 2, 3).buffer]) {
      const next = nextMessage(to)
      from.send(data)
      expect(new Uint8Array((await next) as ArrayBuffer)).toEqual(bytes(1, 2, 3))
    }
    for (const data of [new ArrayBuffer(0), new Blob([])]) {
      const next = nextMessage(to)
      from.send(data)
      expect(((await next) as ArrayBuffer).byteLength).toBe(0)
    }
  }
})

test('Web IDL turns everything else into a string, and nothing into a TypeError', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const received: string[] = []
  theirs.onmessage = ({ data }) => received.push(data)
  for (const data of [null, undefined, 7, {}]) ours.send(data as never)
  await expect.poll(() => received).toEqual(['null', 'undefined', '7', '[object Object]'])
  expect(() => (ours.send as () => void)()).toThrow(TypeError)
  const next = nextMessage(theirs)
  ours.send('\uD800')
  expect(await next).toBe('\uFFFD')
})

test('a message event is one', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const event = eventOf(theirs, 'message')
  ours.send('x')
  expect(await event).toBeInstanceOf(MessageEvent)
})

test('bytes are those of the moment of sending', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const data = bytes(1, 2, 3)
  const next = nextMessage(theirs)
  ours.send(data)
  data.fill(0)
  expect(new Uint8Array((await next) as ArrayBuffer)).toEqual(bytes(1, 2, 3))
})

test('blobs keep their place among other messages, and are waited for by close()', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const received: unknown[] = []
  theirs.onmessage = ({ data }) => received.push(typeof data === 'string' ? data : [...new Uint8Array(data)])
  ours.send('first')
  ours.send(new Blob([bytes(1), bytes(2)]))
  ours.send('second')
  ours.send(bytes(3))
  ours.send(new Blob(['x'.repeat(100_000)]))
  ours.send('last')
  ours.close()
  expect(ours.readyState).toBe('closing')
  await eventOf(theirs, 'close')
  expect(received.map((each) => (Array.isArray(each) && each.length > 9 ? each.length : each))).toEqual([
    'first',
    [1, 2],
    'second',
    [3],
    100_000,
    'last',
  ])
})

test('a Blob that cannot be read any more: an RTCError, and nothing that follows it is sent', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const folder = await mkdtemp(join(tmpdir(), 'floe-blob-'))
  const file = join(folder, 'file')
  await writeFile(file, 'as it was')
  const blob = await openAsBlob(file)
  await writeFile(file, 'something else by now')
  const received: unknown[] = []
  theirs.onmessage = ({ data }) => received.push(data)
  const [failure, end] = [eventOf(ours, 'error'), eventOf(theirs, 'close')]
  ours.send('before')
  ours.send(blob)
  ours.send('behind')
  const { error } = (await failure) as RTCErrorEvent
  expect(error).toMatchObject({ errorDetail: 'data-channel-failure', cause: { name: 'NotReadableError' } })
  expect(ours.readyState).toBe('closing')
  await end
  expect(received).toEqual(['before'])
  await rm(folder, { recursive: true })
})

test('an ArrayBuffer of another realm, as test runners have, is one', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  for (const code of ['new Uint8Array([1, 2, 3]).buffer', 'new Uint8Array([1, 2, 3])']) {
    const next = nextMessage(theirs)
    ours.send(runInNewContext(code))
    expect(new Uint8Array((await next) as ArrayBuffer)).toEqual(bytes(1, 2, 3))
  }
})

test('binaryType: arraybuffer or blob, and anything else changes nothing', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  for (const type of ['text', '', null, 'Blob']) {
    theirs.binaryType = type as never
    expect(theirs.binaryType).toBe('arraybuffer')
  }
  theirs.binaryType = 'blob'
  const next = nextMessage(theirs)
  ours.send(bytes(1, 2))
  const blob = (await next) as unknown
  expect(blob).toBeInstanceOf(Blob)
  expect(await blobOf(blob)).toEqual(bytes(1, 2))
  const text = nextMessage(theirs)
  ours.send('a string stays one')
  expect(await text).toBe('a string stays one')
})

test('InvalidStateError before open, while closing and when closed, whatever the message', async () => {
  await using pair = createPair()
  const early = pair.a.createDataChannel('early')
  const refused = expect.objectContaining({ name: 'InvalidStateError' })
  expect(() => early.send('x')).toThrow(refused)
  const [ours] = await openChannel(pair)
  ours.close()
  for (const data of ['x', bytes(1), new Blob(['x'])]) expect(() => ours.send(data)).toThrow(refused)
  await eventOf(ours, 'close')
  expect(() => ours.send('x')).toThrow(refused)
})

test('TypeError for more than the peer takes in one message; as much as it takes arrives', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const limit = pair.a.sctp!.maxMessageSize
  expect(limit).toBe(262_144)
  for (const data of [
    new Uint8Array(limit + 1),
    'x'.repeat(limit + 1),
    '€'.repeat(limit / 3 + 1),
    new Blob([new Uint8Array(limit + 1)]),
  ]) {
    expect(() => ours.send(data)).toThrow(TypeError)
  }
  expect(ours.bufferedAmount).toBe(0)
  const next = nextMessage(theirs)
  ours.send(new Uint8Array(limit).fill(7))
  expect(new Uint8Array((await next) as ArrayBuffer).every((byte) => byte === 7)).toBe(true)
})

test.each([
  ['a=max-message-size:0', Number.POSITIVE_INFINITY],
  ['a=max-message-size:1000', 1000],
  ['a=x-nothing-of-it:1', 65_536],
])('RFC 8841 §6: %s is a limit of %i', async (line, limit) => {
  await using pair = createPair()
  const ours = pair.a.createDataChannel('x')
  await pair.a.setLocalDescription()
  await pair.b.setRemoteDescription(pair.a.localDescription!)
  await pair.b.setLocalDescription()
  const sdp = pair.b.localDescription!.sdp.replace(/a=max-message-size:\d+/, line)
  await pair.a.setRemoteDescription({ type: 'answer', sdp })
  expect(pair.a.sctp!.maxMessageSize).toBe(limit)
  expect(ours.readyState).toBe('connecting')
})

test('OperationError when 16 MiB wait already, and nothing of it is sent', async () => {
  await using pair = createPair()
  const [ours] = await openChannel(pair)
  const chunk = new Uint8Array(262_144)
  for (let i = 0; i < 64; i++) ours.send(chunk)
  expect(ours.bufferedAmount).toBe(16 * 1024 * 1024)
  expect(() => ours.send('x')).toThrow(expect.objectContaining({ name: 'OperationError' }))
  expect(ours.bufferedAmount).toBe(16 * 1024 * 1024)
  expect(ours.readyState).toBe('open')
})

/** What the channel has buffered when each message has arrived. */
async function exchange(ours: RTCDataChannel, theirs: RTCDataChannel, data: string | Uint8Array<ArrayBuffer> | Blob) {
  const next = nextMessage(theirs)
  ours.send(data)
  const right = ours.bufferedAmount
  await next
  return [right, ours.bufferedAmount]
}

test.each([{}, { negotiated: true, id: 0 }])('bufferedAmount counts bytes that wait, %j', async (init) => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair, init)
  expect([ours.bufferedAmount, theirs.bufferedAmount]).toEqual([0, 0])
  expect(await exchange(ours, theirs, '世界你好')).toEqual([12, 0])
  expect(await exchange(ours, theirs, bytes(1, 2, 3))).toEqual([3, 0])
  expect(await exchange(ours, theirs, new Blob(['hello']))).toEqual([5, 0])
  ours.send('hello')
  ours.send(bytes(1, 2))
  ours.send(new Blob(['x']))
  expect(ours.bufferedAmount).toBe(8)
})

test.each(['channel', 'connection'] as const)('bufferedAmount stays when the %s closes', async (what) => {
  await using pair = createPair()
  const [ours] = await openChannel(pair)
  ours.send('hello')
  if (what === 'channel') ours.close()
  else void pair.a.close()
  expect(ours.bufferedAmount).toBe(5)
})

test('bufferedamountlow fires once when it falls to the threshold, not in the task of send()', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const events = record(ours, 'bufferedamountlow')
  ours.send('hello')
  ours.send('hello')
  expect(events).toEqual([])
  await nextMessage(theirs)
  await expect.poll(() => events).toEqual(['bufferedamountlow'])
  expect(ours.bufferedAmount).toBeLessThanOrEqual(ours.bufferedAmountLowThreshold)
  ours.bufferedAmountLowThreshold = 10
  ours.send('hello')
  await nextMessage(theirs)
  // It was never above.
  expect(events).toHaveLength(1)
})

test('bufferedAmountLowThreshold is an unsigned long', async () => {
  await using pair = createPair()
  const channel = pair.a.createDataChannel('x')
  for (const [value, expected] of [
    [0, 0],
    [4_294_967_295, 4_294_967_295],
    [-1, 4_294_967_295],
    [4_294_967_296, 0],
    ['7', 7],
  ] as const) {
    channel.bufferedAmountLowThreshold = value as number
    expect(channel.bufferedAmountLowThreshold).toBe(expected)
  }
})
