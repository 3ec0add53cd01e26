import { afterEach, expect, test } from 'vitest'
import { RTCDataChannel } from '../../src/node/data-channel.ts'
import { RTCDataChannelEvent } from '../../src/node/data-channel-event.ts'
import { RTCPeerConnection } from '../../src/node/peer-connection.ts'
import {
  createPair,
  eventOf,
  LOOPBACK,
  negotiate,
  nextChannel,
  openChannel,
  opened,
  record,
  trickle,
  turns,
} from '../pair.ts'

/* webrtc-pc §6.1 createDataChannel(), §6.2 attributes and announcing, §6.3 RTCDataChannelEvent. */

const peers: RTCPeerConnection[] = []
afterEach(() => Promise.all(peers.splice(0).map((peer) => peer.close())))

function create(): RTCPeerConnection {
  const peer = new RTCPeerConnection(LOOPBACK)
  peers.push(peer)
  return peer
}

test('attributes by default, and as given', () => {
  const peer = create()
  expect(peer.createDataChannel('')).toMatchObject({
    label: '',
    ordered: true,
    maxPacketLifeTime: null,
    maxRetransmits: null,
    protocol: '',
    negotiated: false,
    id: null,
    readyState: 'connecting',
    bufferedAmount: 0,
    bufferedAmountLowThreshold: 0,
    binaryType: 'arraybuffer',
  })
  const init = { ordered: false, maxRetransmits: 1, protocol: 'custom', negotiated: true, id: 3 }
  expect(peer.createDataChannel('test', init)).toMatchObject({ label: 'test', maxPacketLifeTime: null, ...init })
  expect(peer.createDataChannel('x', { maxPacketLifeTime: 42 })).toMatchObject({
    maxPacketLifeTime: 42,
    maxRetransmits: null,
  })
})

test('Web IDL turns arguments into what they have to be', () => {
  const peer = create()
  expect(peer.createDataChannel.length).toBe(1)
  const names = [null, undefined, '\uD800', 7].map((label) => peer.createDataChannel(label as never).label)
  expect(names).toEqual(['null', 'undefined', '\uFFFD', '7'])
  const protocols = [null, undefined, '\uD800'].map((protocol) => {
    return peer.createDataChannel('x', { protocol } as never).protocol
  })
  expect(protocols).toEqual(['null', '', '\uFFFD'])
  const ordered = [null, undefined, 0, 'yes'].map((value) => {
    return peer.createDataChannel('x', { ordered: value } as never).ordered
  })
  expect(ordered).toEqual([false, true, false, true])
  expect(peer.createDataChannel('x', null as never).ordered).toBe(true)
  expect(peer.createDataChannel('x', { maxRetransmits: 0 }).maxRetransmits).toBe(0)
  expect(peer.createDataChannel('x', { maxPacketLifeTime: 65_535.9 }).maxPacketLifeTime).toBe(65_535)
})

test.each([
  ['no label', []],
  ['a label of 65536 bytes', ['l'.repeat(65_536)]],
  ['a label of 65536 bytes in half as many characters', ['\u00b5'.repeat(32_768)]],
  ['a protocol of 65536 bytes', ['x', { protocol: '\u00b6'.repeat(32_768) }]],
  ['both limits', ['x', { maxPacketLifeTime: 0, maxRetransmits: 0 }]],
  ['a limit out of range', ['x', { maxRetransmits: 65_536 }]],
  ['negotiated without an id', ['x', { negotiated: true }]],
  ['an id out of range', ['x', { id: 65_536 }]],
  ['a negative id', ['x', { id: -1 }]],
  ['the id that is not to be used', ['x', { negotiated: true, id: 65_535 }]],
  ['options that are no object', ['x', 'ordered']],
])('TypeError: %s', (_, [label, init]) => {
  const peer = create()
  const args = label === undefined ? [] : [label, init]
  expect(() => peer.createDataChannel(...(args as [string]))).toThrow(TypeError)
  // Nothing has come of it.
  expect(peer.sctp).toBeNull()
})

test('names of 65535 bytes, and ids without `negotiated` of any value', () => {
  const peer = create()
  const name = 'l'.repeat(65_535)
  expect(peer.createDataChannel(name, { protocol: name })).toMatchObject({ label: name, protocol: name })
  for (const id of [0, 1, 65_534, 65_535]) expect(peer.createDataChannel('x', { id }).id).toBeNull()
})

test('an id that is in use is an OperationError; a closed connection is an InvalidStateError', async () => {
  const peer = create()
  peer.createDataChannel('x', { negotiated: true, id: 42 })
  const again = () => peer.createDataChannel('x', { negotiated: true, id: 42 })
  expect(again).toThrow(expect.objectContaining({ name: 'OperationError' }))
  await peer.close()
  expect(() => peer.createDataChannel('x')).toThrow(expect.objectContaining({ name: 'InvalidStateError' }))
})

test.each([
  ['active', 1],
  ['passive', 0],
])('once the answer says %s, ids are of parity %i', async (setup, parity) => {
  const [peer, other] = [create(), create()]
  const early = peer.createDataChannel('early')
  await peer.setLocalDescription()
  await other.setRemoteDescription(peer.localDescription!)
  await other.setLocalDescription()
  expect(early.id).toBeNull()
  const sdp = other.localDescription!.sdp.replace(/a=setup:\w+/, `a=setup:${setup}`)
  await peer.setRemoteDescription({ type: 'answer', sdp })
  const late = peer.createDataChannel('late')
  expect([early.id! % 2, late.id! % 2]).toEqual([parity, parity])
  expect(late.id).not.toBe(early.id)
})

test.each([
  {},
  { ordered: false },
  { maxRetransmits: 0 },
  { ordered: false, maxRetransmits: 65_535 },
  { maxPacketLifeTime: 0 },
  { ordered: false, maxPacketLifeTime: 65_535 },
  { protocol: '\u20AC'.repeat(21_845) },
])('the other end gets the same channel: %.60j', async (init) => {
  await using pair = createPair()
  const [ours, theirs] = await openChannel(pair, init, '世界')
  for (const name of [
    'label',
    'ordered',
    'maxRetransmits',
    'maxPacketLifeTime',
    'protocol',
    'negotiated',
    'id',
  ] as const) {
    expect(theirs[name], name).toBe(ours[name])
  }
})

test('the channel is open in the datachannel event, can send there, and says open afterwards', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  const seen: string[] = []
  pair.b.ondatachannel = (event) => {
    expect(event).toBeInstanceOf(RTCDataChannelEvent)
    expect(event.channel).toBeInstanceOf(RTCDataChannel)
    expect([event.bubbles, event.cancelable]).toEqual([false, false])
    seen.push(event.channel.readyState)
    event.channel.onopen = () => seen.push('open event')
    event.channel.send('meow')
  }
  const message = eventOf(ours, 'message') as Promise<MessageEvent>
  await negotiate(pair.a, pair.b)
  expect((await message).data).toBe('meow')
  expect(seen).toEqual(['open', 'open event'])
})

test('closed in the datachannel event it never says open; closed a task later it does', async () => {
  for (const later of [false, true]) {
    await using pair = createPair()
    trickle(pair)
    const ours = pair.a.createDataChannel('x')
    const seen: string[] = []
    pair.b.ondatachannel = async ({ channel }) => {
      channel.onopen = () => seen.push('open')
      if (later) await undefined
      else channel.send('before closing')
      channel.close()
    }
    ours.onmessage = ({ data }) => seen.push(data)
    await negotiate(pair.a, pair.b)
    await eventOf(ours, 'close')
    expect(seen).toEqual(later ? ['open'] : ['before closing'])
  }
})

test('messages that come with the channel wait for whoever listens in a continuation', async () => {
  await using pair = createPair()
  trickle(pair)
  const ours = pair.a.createDataChannel('x')
  ours.onopen = () => {
    for (let i = 0; i < 10; i++) ours.send(`${i}`)
  }
  const arrival = nextChannel(pair.b)
  await negotiate(pair.a, pair.b)
  const theirs = await arrival
  await Promise.resolve()
  const received: string[] = []
  theirs.onmessage = ({ data }) => received.push(data)
  await expect.poll(() => received.join('')).toBe('0123456789')
})

test('a negotiated channel is announced to nobody, and opens at both ends', async () => {
  await using pair = createPair()
  const events = record(pair.b, 'datachannel')
  const [ours, theirs] = await openChannel(pair, { negotiated: true, id: 65_534 })
  expect([ours.readyState, theirs.readyState, events]).toEqual(['open', 'open', []])
})

test('a channel that is made on an open connection opens later than its maker can listen', async () => {
  await using pair = createPair()
  await openChannel(pair)
  const arrival = nextChannel(pair.b)
  const second = pair.a.createDataChannel('second')
  expect(second.readyState).toBe('connecting')
  await opened(second)
  expect((await arrival).label).toBe('second')
  const third = pair.a.createDataChannel('third')
  third.close()
  await eventOf(third, 'close')
  await turns()
})

test('its classes: no constructor, and an event that has a channel', () => {
  expect(() => new (RTCDataChannel as unknown as new () => unknown)()).toThrow(TypeError)
  const channel = create().createDataChannel('x')
  expect(new RTCDataChannelEvent('datachannel', { channel }).channel).toBe(channel)
  for (const init of [undefined, null, {}, { channel: null }, { channel: {} }]) {
    expect(() => new RTCDataChannelEvent('datachannel', init as never)).toThrow(TypeError)
  }
})
