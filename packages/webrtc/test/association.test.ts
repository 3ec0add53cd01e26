import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RTCError } from '../src/node/rtc-error.ts'
import { chunkTypes, RELIABLE, type SctpEnd, sctpPair, tsns } from './sctp-pair.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => vi.useRealTimers())

const DATA = 0
const SACK = 3
const ABORT = 6
const RECONFIG = 130
const FORWARD_TSN = 192

/** Everything that goes on by itself. */
async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise(setImmediate)
}

async function wait(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 100) {
    vi.advanceTimersByTime(100)
    await settle()
  }
}

async function channel(
  parameters = {},
): Promise<{ a: SctpEnd; b: SctpEnd; send: (...texts: string[]) => Promise<void> }> {
  const { a, b } = await sctpPair()
  const stream = a.create(parameters)
  b.create(parameters)
  await settle()
  a.log.length = b.log.length = 0
  const send = (...texts: string[]) => {
    for (const text of texts) stream.send(text)
    return settle()
  }
  return { a, b, send }
}

/** Loses the n-th, n-th+1 … packet with data, as listed. */
function loseData(end: SctpEnd, ...numbers: number[]): void {
  let count = 0
  end.wire = (packet) => !chunkTypes(packet).includes(DATA) || !numbers.includes(count++)
}

/** The packets with such a chunk, as they leave. */
function collect(end: SctpEnd, type: number): Buffer[] {
  const packets: Buffer[] = []
  end.wire = (packet) => {
    if (chunkTypes(packet).includes(type)) packets.push(Buffer.from(packet))
    return true
  }
  return packets
}

test('reliable: what is lost comes later, in order', async () => {
  const { a, b, send } = await channel()
  loseData(a, 1)
  await send('1', '2', '3', '4')
  expect(b.log).toEqual(['1'])
  await wait(1500)
  expect(b.log).toEqual(['1', '2', '3', '4'])
})

test('unordered: what is not lost does not wait', async () => {
  const { a, b, send } = await channel({ ordered: false })
  loseData(a, 1)
  await send('1', '2', '3', '4')
  expect(b.log).toEqual(['1', '3', '4'])
  await wait(1500)
  expect(b.log).toEqual(['1', '3', '4', '2'])
})

test.each([true, false])(
  'maxRetransmits 0, ordered %s: what is lost stays lost, and nothing waits for it for long',
  async (ordered) => {
    const { a, b, send } = await channel({ ordered, maxRetransmits: 0 })
    loseData(a, 1)
    await send('1', '2', '3', '4')
    expect(b.log).toEqual(ordered ? ['1'] : ['1', '3', '4'])
    await wait(1500)
    expect(b.log).toEqual(['1', '3', '4'])
    await send('5')
    expect(b.log).toEqual(['1', '3', '4', '5'])
    expect([a.sctp.sentQueue, b.sctp.sackMisOrdered.size]).toEqual([[], 0])
  },
)

test.each([
  [1, 1, ['1', '2', '3']],
  [1, 2, ['1', '3']],
  [3, 3, ['1', '2', '3']],
  [3, 4, ['1', '3']],
])('maxRetransmits %i, a message lost %i times', async (maxRetransmits, losses, arrived) => {
  const { a, b, send } = await channel({ maxRetransmits })
  const lost: number[] = []
  let first: number | undefined
  a.wire = (packet) => {
    const [tsn] = tsns(packet)
    if (tsn === undefined) return true
    first ??= tsn
    if (tsn !== first + 1 || lost.length === losses) return true
    lost.push(tsn)
    return false
  }
  await send('1', '2', '3')
  await wait(8000)
  expect([b.log, lost.length]).toEqual([arrived, losses])
})

test('maxPacketLifeTime: what is lost is sent again while it is young, and given up afterwards', async () => {
  for (const [maxPacketLifeTime, arrived] of [
    [5000, ['1', '2', '3']],
    [300, ['1', '3']],
  ] as const) {
    const { a, b, send } = await channel({ maxPacketLifeTime })
    loseData(a, 1)
    await send('1', '2', '3')
    await wait(3000)
    expect(b.log).toEqual(arrived)
  }
})

test('a fragmented message is given up as a whole, the unsent part too', async () => {
  const { a, b, send } = await channel({ maxRetransmits: 0 })
  loseData(a, 2)
  await send('x'.repeat(20_000), 'after')
  await wait(3000)
  expect(b.log).toEqual(['after'])
  expect(a.sctp.sentQueue).toEqual([])
  // The window is whole again.
  expect(Reflect.get(a.sctp, 'flightSize')).toBe(0)
  await send('y'.repeat(100_000))
  await wait(3000)
  expect(b.log).toEqual(['after', 'y'.repeat(100_000)])
})

test('only the message that is due is given up, whatever channel it is on', async () => {
  const { a, b, send } = await channel({ maxRetransmits: 0 })
  const reliable = a.create({}, 2)
  b.create({}, 2)
  await settle()
  loseData(a, 0, 1)
  reliable.send('must come')
  await send('may get lost')
  await wait(3000)
  expect(b.log.filter((entry) => !entry.startsWith('open'))).toEqual(['must come'])
})

test('RFC 3758 §3.5: FORWARD TSN is repeated until it is acknowledged', async () => {
  const { a, b, send } = await channel({ maxRetransmits: 0 })
  let lost = 0
  let first: number | undefined
  a.wire = (packet) => {
    const [tsn] = tsns(packet)
    if (tsn !== undefined) first ??= tsn
    if (tsn === first) return false
    return !chunkTypes(packet).includes(FORWARD_TSN) || ++lost > 3
  }
  await send('lost', 'next')
  await wait(10_000)
  expect([lost, b.log]).toEqual([4, ['next']])
})

test('a peer without FORWARD TSN gets everything, however late', async () => {
  const { a, b, send } = await channel({ maxRetransmits: 0 })
  Object.assign(a.sctp, { remoteExtensions: [RECONFIG] })
  loseData(a, 0)
  await send('1', '2')
  await wait(1500)
  expect(b.log).toEqual(['1', '2'])
})

test('RFC 6525 §5.2.2: a reset waits for what was sent before it', async () => {
  const { a, b } = await channel()
  const stream = [...a.streams.active][0]!
  loseData(a, 0)
  stream.send('last words')
  await settle()
  // As a stack that does not wait for acknowledgements would.
  a.association.reset(0)
  await settle()
  expect(b.log).toEqual([])
  await wait(1500)
  expect(b.log).toEqual(['last words', 'closing 0', 'close 0'])
})

test('a repeated reset is answered again, and performed once', async () => {
  const { a, b } = await channel()
  const requests = collect(a, RECONFIG)
  // Its first answer gets lost.
  let answers = 0
  b.wire = (packet) => !chunkTypes(packet).includes(RECONFIG) || answers++ > 0
  ;[...a.streams.active][0]!.close()
  await settle()
  const again = b.create({}, 4)
  await wait(8000)
  expect(requests.length).toBeGreaterThan(1)
  expect(a.log).toEqual(['close 0'])
  expect(b.log.filter((entry) => entry.endsWith(' 0'))).toEqual(['closing 0', 'close 0'])
  expect(again.state).toBe('open')
})

test('an id can be used again at once, from message number 0', async () => {
  const { a, b } = await channel()
  for (let round = 0; round < 3; round++) {
    const [ours] = a.streams.active
    const [theirs] = b.streams.active
    for (const text of ['1', '2']) ours!.send(text)
    theirs!.send('3')
    await settle()
    ours!.close()
    await settle()
    expect([...a.streams.active, ...b.streams.active]).toEqual([])
    a.create()
    b.create()
    await settle()
  }
  expect(b.log.filter((entry) => entry.length === 1)).toEqual(['1', '2', '1', '2', '1', '2'])
})

test.each([0xffff_fffe, 999_999_997])(
  'numbers that start at %i: loss and reordering where they change',
  async (start) => {
    const { a, b } = await sctpPair()
    const stream = a.create()
    b.create()
    await settle()
    // As if the association had begun there.
    Object.assign(a.sctp, { localTsn: start, lastSackedTsn: start - 1, advancedPeerAckTsn: start - 1 })
    b.sctp.lastReceivedTsn = start - 1
    loseData(a, 2)
    for (let i = 0; i < 8; i++) stream.send(`${i}`)
    await settle()
    await wait(3000)
    expect(b.log.slice(1).join('')).toBe('01234567')
    expect(a.sctp.sentQueue).toEqual([])
  },
)

test('an acknowledgement names gaps in order and at most as many as fit a packet', async () => {
  const { a, b, send } = await channel({ ordered: false })
  const start = (b.sctp.lastReceivedTsn + 1) >>> 0
  for (let i = 800; i > 0; i -= 2) b.sctp.sackMisOrdered.add((start + i) >>> 0)
  const sacks = collect(b, SACK)
  await send('x')
  const gaps = sacks[0]!.readUInt16BE(24)
  expect(gaps).toBe(200)
  expect(sacks[0]!.length).toBeLessThan(1200)
  const starts = Array.from({ length: gaps }, (_, i) => sacks[0]!.readUInt16BE(28 + 4 * i))
  expect(starts).toEqual(starts.toSorted((x, y) => x - y))
  expect(a.log).toEqual([])
})

test('a peer that ignores the window is not kept for: at most two windows, and none behind a gap', async () => {
  const { b } = await channel()
  const chunk = (tsn: number, flags: number) => ({
    tsn: tsn >>> 0,
    flags,
    streamId: 0,
    streamSeqNum: 0,
    protocol: 53,
    userData: Buffer.alloc(1000),
  })
  const held = () => 1_048_576 - b.sctp.advertisedRwnd
  // A message that never ends.
  for (let i = 1, at = b.sctp.lastReceivedTsn; i <= 5000; i++) b.sctp.receiveDataChunk(chunk(at + i, i === 1 ? 2 : 0))
  expect(held()).toBeLessThan(2 * 1_048_576 + 2000)
  const { b: other } = await channel()
  for (let i = 2, at = other.sctp.lastReceivedTsn; i <= 5000; i++) other.sctp.receiveDataChunk(chunk(at + i, 3))
  expect(1_048_576 - other.sctp.advertisedRwnd).toBeLessThan(1_048_576 + 2000)
})

test('nonsense costs a dropped packet, and no time', async () => {
  const { a, b, send } = await channel()
  const sample = collect(a, DATA)
  await send('x')
  const start = performance.now()
  const header = sample[0]!.subarray(0, 12)
  const bodies = [
    '',
    '00',
    '00000000',
    '06000000',
    '0100001400',
    '8200000400000000',
    '820000080000000000000000',
    '03000010000000000000000000ff0000',
  ]
  // 300 gap blocks that each name all numbers.
  bodies.push(`030004c0${'00000000'.repeat(2)}012c0000${'0001ffff'.repeat(300)}`)
  bodies.push('c0000006000000', '00000010000000000000000000000000', 'ff000004')
  for (const body of bodies) await b.receive(checksummed(Buffer.concat([header, Buffer.from(body, 'hex')])))
  expect(performance.now() - start).toBeLessThan(500)
  await send('still here')
  expect(b.log).toEqual(['x', 'still here'])
})

test('a late INIT changes nothing', async () => {
  const { a, b, send } = await channel()
  await send('1')
  const init = Buffer.alloc(32)
  Buffer.from('138813880000000000000000', 'hex').copy(init)
  Buffer.from('01000014', 'hex').copy(init, 12)
  init.writeUInt32BE(7, 16)
  init.writeUInt32BE(1_048_576, 20)
  init.writeUInt32BE(0x00ff00ff, 24)
  init.writeUInt32BE(7, 28)
  await b.receive(checksummed(init))
  await send('2')
  expect([b.log, a.association.isConnected]).toEqual([['1', '2'], true])
})

test('the peer aborts: channels fail with its cause; our own end is no failure', async () => {
  const { a, b } = await channel()
  const aborts = collect(a, ABORT)
  await a.transport.stop()
  await settle()
  expect(aborts).toHaveLength(1)
  expect(a.log).toEqual(['close 0'])
  expect(b.log).toEqual(['close 0 The peer has ended the association'])
  const { a: ours, b: theirs } = await channel()
  let error: RTCError | undefined
  theirs.watch(theirs.streams.create(RELIABLE, 8)).handlers!.onclose = (reason) => {
    error = reason
  }
  await ours.transport.stop()
  await settle()
  expect(error).toBeInstanceOf(RTCError)
  expect(error).toMatchObject({ errorDetail: 'sctp-failure', sctpCauseCode: 12 })
})

/** RFC 9260 §6.8: CRC32c, the checksum of SCTP. */
function checksummed(packet: Buffer): Buffer {
  packet.writeUInt32LE(0, 8)
  let crc = 0xffffffff
  for (const byte of packet) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  packet.writeUInt32LE(~crc >>> 0, 8)
  return packet
}
