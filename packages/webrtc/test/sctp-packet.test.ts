import { expect, test } from 'vitest'
import { inspectPacket } from '../src/node/sctp-packet.ts'

/** A packet of these chunks, in hex, without regard to its checksum. */
function packet(...chunks: string[]): Buffer {
  return Buffer.concat([Buffer.alloc(12), ...chunks.map((chunk) => Buffer.from(chunk, 'hex'))])
}

const INIT = `01000014${'00000001'.repeat(4)}`
const DATA = `00030014${'00000001'.repeat(3)}61626364`

test.each([
  ['INIT', packet(INIT)],
  ['INIT with parameters', packet(`01000020${'00000001'.repeat(4)}c00000048008000682c00000`)],
  ['DATA, twice, the second without its padding', packet(DATA, `00030011${'00000001'.repeat(3)}61`)],
  ['SACK', packet('0300001400000001000000010001000000020003')],
  ['SACK whose gaps are out of order', packet('0300001800000001000000010002000000050006' + '00020003')],
  ['HEARTBEAT', packet('0400000c0001000800000001')],
  ['RE-CONFIG', packet('82000010000d000c0000000100000002'.slice(0, 32))],
  ['FORWARD TSN', packet('c000000c0000000100010002')],
  ['COOKIE ECHO', packet('0a00000801020304')],
  ['a chunk that nobody knows', packet('ff000004')],
])('%s is sound', (_, bytes) => {
  expect(inspectPacket(bytes)).toMatchObject({ abort: undefined })
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['a header alone', packet()],
  ['a chunk without a length', packet('0000')],
  ['a length of 0, for ever', packet('00000000', DATA)],
  ['a length beyond the packet', packet('00030020')],
  ['DATA without data', packet(`00030010${'00000001'.repeat(3)}`)],
  ['a parameter of length 0, for ever', packet(`01000018${'00000001'.repeat(4)}c0000000`)],
  ['a parameter beyond its chunk', packet(`01000018${'00000001'.repeat(4)}c0000008`)],
  ['SACK that counts more than it has', packet('03000010000000010000000100ff0000')],
  ['SACK of a gap from 0', packet('0300001400000001000000010001000000000003')],
  ['SACK of a gap that ends before it starts', packet('0300001400000001000000010001000000030002')],
  ['SACK that names more numbers than there are', packet(`0300001800000001000000010002000000018000${'00018000'}`)],
  ['half a FORWARD TSN', packet('c000000a000000010001')],
])('%s is not', (_, bytes) => {
  expect(inspectPacket(bytes)).toBeUndefined()
})

test('an ABORT with its cause, with a reason, and with none', () => {
  expect(inspectPacket(packet('06000004'))?.abort).toEqual({ causeCode: null, reason: '' })
  expect(inspectPacket(packet('06000008000c0004'))?.abort).toEqual({ causeCode: 12, reason: '' })
  expect(inspectPacket(packet('0600000b000c0007627965'))?.abort).toEqual({ causeCode: 12, reason: 'bye' })
})

test('an INIT is seen', () => {
  expect([packet(INIT), packet(DATA)].map((bytes) => inspectPacket(bytes)?.hasInit)).toEqual([true, false])
})

test('whatever it is, nothing is thrown, and it ends', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  let state = seed || 1
  const random = (below: number) => (state = (state * 48271) % 2147483647) % below
  const types = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 130, 192]
  for (let i = 0; i < 50_000; i++) {
    const bytes = Buffer.from(Array.from({ length: random(80) }, () => random(256)))
    if (bytes.length > 16) {
      bytes[12] = types[random(types.length)]!
      bytes.writeUInt16BE(random(2) ? bytes.length - 12 : random(90), 14)
    }
    expect(() => inspectPacket(bytes), `SEED=${seed}`).not.toThrow()
  }
})
