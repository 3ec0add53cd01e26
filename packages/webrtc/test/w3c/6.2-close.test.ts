import { expect, test } from 'vitest'
import { RTCErrorEvent } from '../../src/node/events.ts'
import { RTCError } from '../../src/node/rtc-error.ts'
import { createPair, eventOf, openChannel, record, turns } from '../pair.ts'

/* webrtc-pc §6.2.5 closing, §6.2.6 error, and what close() of the connection does to channels. */

const kinds = [{}, { negotiated: true, id: 0 }, { ordered: false, maxRetransmits: 0 }]
const EVENTS = ['open', 'message', 'error', 'closing', 'close']

test.each(kinds)('close(): closing here without an event, there with one; closed at both ends, %j', async (init) => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair, init)
  const [here, there] = [record(ours, ...EVENTS), record(theirs, ...EVENTS)]
  theirs.onclosing = () => expect(theirs.readyState).toBe('closing')
  ours.close()
  expect(ours.readyState).toBe('closing')
  ours.close()
  await Promise.all([eventOf(ours, 'close'), eventOf(theirs, 'close')])
  expect([ours.readyState, theirs.readyState]).toEqual(['closed', 'closed'])
  expect([here, there]).toEqual([['close'], ['closing', 'close']])
  // The end of the connection is no news to a channel that is over.
  await pair.a.close()
  await turns()
  expect([here, there]).toEqual([['close'], ['closing', 'close']])
})

test('both ends close at once', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const closed = [eventOf(ours, 'close'), eventOf(theirs, 'close')]
  ours.close()
  theirs.close()
  await Promise.all(closed)
})

test('everything that was sent before close() arrives; what comes in the other direction is dropped', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  let received = 0
  theirs.onmessage = ({ data }) => {
    received += data.byteLength
  }
  const here = record(ours, 'message')
  for (let i = 0; i < 20; i++) ours.send(new Uint8Array(50_000))
  ours.close()
  for (let i = 0; i < 20; i++) theirs.send('too late')
  await Promise.all([eventOf(ours, 'close'), eventOf(theirs, 'close')])
  expect([received, here]).toEqual([1_000_000, []])
})

test('a channel that never opened closes too, and an id is free again', async () => {
  await using pair = createPair()
  const early = pair.a.createDataChannel('early', { negotiated: true, id: 3 })
  const events = record(early, ...EVENTS)
  early.close()
  expect(early.readyState).toBe('closing')
  await eventOf(early, 'close')
  expect([early.readyState, events]).toEqual(['closed', ['close']])
  const [ours] = await openChannel(pair, { negotiated: true, id: 3 })
  ours.close()
  await eventOf(ours, 'close')
  expect(pair.a.createDataChannel('again', { negotiated: true, id: 3 }).id).toBe(3)
})

test('other channels of the connection stay open', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const second = pair.a.createDataChannel('second')
  await eventOf(second, 'open')
  second.close()
  await eventOf(second, 'close')
  ours.send('still here')
  expect(((await eventOf(theirs, 'message')) as MessageEvent).data).toBe('still here')
})

test.each(kinds)('close() of the connection: closed here, an RTCError and closed there, %j', async (init) => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair, init)
  const there = record(theirs, ...EVENTS)
  const failure = eventOf(theirs, 'error')
  const closed = eventOf(theirs, 'close')
  void pair.a.close()
  expect(ours.readyState).toBe('closed')
  const event = await failure
  await closed
  expect(event).toBeInstanceOf(RTCErrorEvent)
  const { error } = event as RTCErrorEvent
  expect(error).toBeInstanceOf(RTCError)
  expect(error).toMatchObject({ name: 'OperationError', errorDetail: 'sctp-failure', sctpCauseCode: 12 })
  expect(there).toEqual(['error', 'close'])
  expect(theirs.readyState).toBe('closed')
})

test('on… handlers: one at a time, in the place of the first, gone with null', async () => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair)
  const seen: string[] = []
  theirs.onmessage = () => seen.push('never')
  theirs.addEventListener('message', () => seen.push('listener'))
  theirs.onmessage = function (this: unknown) {
    seen.push(`handler ${this === theirs}`)
  }
  const next = eventOf(theirs, 'message')
  ours.send('x')
  await next
  theirs.onmessage = 'no function' as never
  expect(theirs.onmessage).toBeNull()
  ours.send('y')
  await expect.poll(() => seen).toEqual(['handler true', 'listener', 'listener'])
})
