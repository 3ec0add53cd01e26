import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { RTCDataChannel } from '../src/node/data-channel.ts'
import { LARGE_PAYLOAD_BYTES } from '../src/node/packet-size.ts'
import { offerLargePackets, takesLargePackets } from '../src/node/sdp.ts'
import { SENT_FRAME_SIZE } from '../src/session/defaults.ts'
import { createPair, negotiate, trickle } from './pair.ts'
import { chunkTypes, sctpPair } from './sctp-pair.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => vi.useRealTimers())

const HEARTBEAT = 4
const HEARTBEAT_ACK = 5
const SMALL = 1188
const LARGE = 16_028

async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise(setImmediate)
}

interface Options {
  announced?: boolean
  local?: boolean
}

/** An open channel from a, what a sent of each kind, and the sizes of messages that b got. */
async function channel(options: Options = {}) {
  const { a, b } = await sctpPair()
  a.peerTakesLargePackets = options.announced ?? true
  a.dtls.staysOnThisMachine = options.local ?? true
  const stream = a.create()
  const received: number[] = []
  b.create().handlers!.onmessage = (data) => received.push(data.length)
  const sent = { heartbeats: [] as number[], largest: 0 }
  a.wire = (packet) => {
    if (chunkTypes(packet).includes(HEARTBEAT)) sent.heartbeats.push(packet.length)
    else sent.largest = Math.max(sent.largest, packet.length)
    return true
  }
  /** Sends a message; the size of the largest packet of it. */
  const send = async (size: number) => {
    sent.largest = 0
    stream.send(Buffer.alloc(size, 7))
    await settle()
    return sent.largest
  }
  await settle()
  return { a, b, send, sent, received }
}

test('a frame of connect() is one packet where packets are large', () => {
  expect(SENT_FRAME_SIZE).toBeLessThanOrEqual(LARGE_PAYLOAD_BYTES)
})

test('on a path within the machine, to a peer that takes them, packets get large once one has come back', async () => {
  const { send, sent, received } = await channel()
  expect(await send(40_000)).toBe(SMALL)
  expect(await send(40_000)).toBe(LARGE)
  expect(await send(10)).toBe(40)
  expect(sent.heartbeats).toEqual([12 + 4 + 4 + 16_000])
  expect(received).toEqual([40_000, 40_000, 10])
})

const UNASKED: [string, Options][] = [
  ['a peer that has not announced it', { announced: false }],
  ['a path that leaves the machine', { local: false }],
]
test.each(UNASKED)('%s is not asked', async (_, options) => {
  const { send, sent } = await channel(options)
  for (let i = 0; i < 3; i++) expect(await send(40_000)).toBe(SMALL)
  expect(sent.heartbeats).toEqual([])
})

test('a path that takes over brings its own size', async () => {
  const { a, send, sent } = await channel()
  await send(40_000)
  a.dtls.staysOnThisMachine = false
  expect(await send(40_000)).toBe(SMALL)
  a.dtls.staysOnThisMachine = true
  expect(await send(40_000)).toBe(LARGE)
  expect(sent.heartbeats).toHaveLength(1)
})

test('without an answer, or with another than the right one, packets stay small', async () => {
  for (const spoil of [() => false, (packet: Buffer) => spoilt(packet)]) {
    const { b, send, sent } = await channel()
    b.wire = (packet) => (chunkTypes(packet).includes(HEARTBEAT_ACK) ? spoil(packet) : true)
    for (let i = 0; i < 3; i++) expect(await send(40_000)).toBe(SMALL)
    expect(sent.heartbeats).toHaveLength(1)
  }
})

test.each([
  ['another that does not come back: they are small from then on', false, SMALL],
  ['another that comes back: they are large again', true, LARGE],
] as const)(
  'RFC 8899 §4.3: large packets that get lost arrive by and by, and are probed for by %s',
  async (_, returns, size) => {
    const { a, send, sent, received } = await channel()
    await send(40_000)
    expect(await send(40_000)).toBe(LARGE)
    const { wire } = a
    let lost = 0
    a.wire = (packet) => {
      if (!wire(packet)) return false
      return chunkTypes(packet).includes(HEARTBEAT) ? returns : packet.length <= SMALL || lost++ > 3
    }
    await send(100_000)
    for (let passed = 0; passed < 10_000; passed += 100) {
      vi.advanceTimersByTime(100)
      await settle()
    }
    expect(lost).toBeGreaterThan(3)
    expect(received).toEqual([40_000, 40_000, 100_000])
    expect(await send(40_000)).toBe(size)
    expect(sent.heartbeats).toHaveLength(2)
  },
)

test('two peers on loopback: two megabytes take a few hundred packets', async () => {
  vi.useRealTimers()
  await using pair = createPair()
  const { a, b } = pair
  trickle(pair)
  const sender = a.createDataChannel('x')
  const receiving = new Promise<RTCDataChannel>((resolve) => {
    b.ondatachannel = ({ channel }) => resolve(channel)
  })
  await negotiate(a, b)
  const receiver = await receiving
  let bytes = 0
  const done = new Promise<void>((resolve) => {
    receiver.onmessage = ({ data }) => (bytes += data.byteLength) === 2_000_000 && resolve()
  })
  for (let i = 0; i < 20; i++) sender.send(new Uint8Array(100_000))
  await done
  const stats = [...(await a.getStats()).values()].find(({ type }) => type === 'transport')!
  expect(stats.packetsSent).toBeLessThan(600)
})

test('a description says that large packets are taken, where it says anything of SCTP, and only ours is read as such', async () => {
  const session = 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n'
  const data = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=max-message-size:262144\r\na=sctp-port:5000\r\n'
  const offered = offerLargePackets(session + data)
  expect(offered).toBe((session + data).replace('262144\r\n', '262144\r\na=x-floe-large-packets\r\n'))
  expect([offered, session + data].map(takesLargePackets)).toEqual([true, false])
  expect(offerLargePackets(session)).toBe(session)
  vi.useRealTimers()
  await using pair = createPair()
  pair.a.createDataChannel('x')
  const offer = await pair.a.createOffer()
  await pair.a.setLocalDescription(offer)
  for (const sdp of [offer.sdp!, pair.a.localDescription!.sdp]) expect(sdp.match(/^a=x-floe/gm)).toHaveLength(1)
})

/** The last byte is another, and so is the checksum that belongs to it: as if the peer had made it up. */
function spoilt(packet: Buffer): Buffer {
  const copy = Buffer.from(packet)
  copy[copy.length - 1]! ^= 1
  copy.writeUInt32LE(0, 8)
  return copy
}
