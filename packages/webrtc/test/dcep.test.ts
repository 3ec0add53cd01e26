import { expect, test } from 'vitest'
import { ACK, type ChannelParameters, formatOpen, isAck, parseOpen } from '../src/node/dcep.ts'

const RELIABLE: ChannelParameters = {
  label: 'label',
  protocol: 'protocol',
  ordered: true,
  maxRetransmits: null,
  maxPacketLifeTime: null,
}

test.each([
  [{}, 0x00, 0],
  [{ ordered: false }, 0x80, 0],
  [{ maxRetransmits: 0 }, 0x01, 0],
  [{ maxRetransmits: 65_535, ordered: false }, 0x81, 65_535],
  [{ maxPacketLifeTime: 0 }, 0x02, 0],
  [{ maxPacketLifeTime: 500, ordered: false }, 0x82, 500],
])('RFC 8832 §5.1: %j is channel type %i with reliability %i, and comes back', (change, type, reliability) => {
  const parameters = { ...RELIABLE, ...change }
  const message = formatOpen(parameters)
  expect([...message.subarray(0, 2)]).toEqual([0x03, type])
  expect(message.readUInt32BE(4)).toBe(reliability)
  expect(parseOpen(message)).toEqual(parameters)
})

test('names are counted in bytes, up to 65535 of them', () => {
  for (const name of ['', '\u2022'.repeat(21_845), 'l'.repeat(65_535)]) {
    const parameters = { ...RELIABLE, label: name, protocol: name }
    expect(parseOpen(formatOpen(parameters))).toEqual(parameters)
  }
})

test('a reliability beyond W3C’s unsigned short is as much as it can say', () => {
  const message = formatOpen({ ...RELIABLE, maxRetransmits: 1 })
  message.writeUInt32BE(0xffffffff, 4)
  expect(parseOpen(message)).toMatchObject({ maxRetransmits: 65_535 })
})

test('nothing but a whole message of a known type is one', () => {
  const whole = formatOpen(RELIABLE)
  for (let length = 0; length < whole.length; length++) expect(parseOpen(whole.subarray(0, length))).toBeUndefined()
  for (const type of [0x03, 0x7f, 0x83, 0xff]) {
    const message = Buffer.from(whole)
    message[1] = type
    expect(parseOpen(message)).toBeUndefined()
  }
  expect(parseOpen(ACK)).toBeUndefined()
  expect([isAck(ACK), isAck(whole), isAck(Buffer.alloc(0))]).toEqual([true, false, false])
})
