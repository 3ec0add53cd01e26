import { encode, newTransactionId } from '@floe/stun'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TurnStream } from '../src/index.ts'

const random = (length: number) => new Uint8Array(length).fill(7)

function stunOf(bytes: number): Uint8Array {
  const attributes = { data: new Uint8Array(bytes).fill(bytes & 255) }
  return encode({ method: 'data', class: 'indication', transactionId: newTransactionId(random), attributes })
}

/** ChannelData as it must come out: without padding. */
function channelDataOf(bytes: number): Uint8Array {
  return Uint8Array.of(0x40, bytes & 255, bytes >> 8, bytes & 255, ...new Uint8Array(bytes).fill(bytes & 255))
}

function padded(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((frame.length + 3) & ~3)
  bytes.set(frame)
  return bytes
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** Pushes the stream in pieces that end at these places. Frames are copied, since they may be views into the pieces. */
function cut(stream: Uint8Array, places: readonly number[]) {
  const decoder = new TurnStream()
  const frames: Uint8Array[] = []
  const ends = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b)
  for (const [i, end] of [...ends, stream.length].entries()) {
    const piece = stream.slice(i === 0 ? 0 : ends[i - 1], end)
    frames.push(...decoder.push(piece).map((frame) => frame.slice()))
    piece.fill(0xee)
  }
  return { frames, failure: decoder.failure }
}

const frame = fc.oneof(fc.nat(40).map(stunOf), fc.nat(40).map(channelDataOf))
const places = fc.array(fc.nat(2_000), { maxLength: 40 })

describe('I78 frames on a stream (RFC 8656 §12.5)', () => {
  test('are the same however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), places, (frames, at) => {
        expect(cut(concat(frames.map(padded)), at)).toStrictEqual({ frames, failure: undefined })
      }),
      { numRuns: 500 },
    )
  })

  test('one byte at a time', () => {
    const frames = [channelDataOf(0), stunOf(0), channelDataOf(1), channelDataOf(5), stunOf(33), channelDataOf(4)]
    const stream = concat(frames.map(padded))
    expect(cut(stream, Array.from(stream.keys()))).toStrictEqual({ frames, failure: undefined })
  })

  test('of the greatest size', () => {
    const frames = [channelDataOf(0xffff), stunOf(65_000), channelDataOf(0xfffd)]
    expect(cut(concat(frames.map(padded)), [1, 5, 9, 70_000])).toStrictEqual({ frames, failure: undefined })
  })

  test('are waited for until their last byte of padding', () => {
    const decoder = new TurnStream()
    expect(decoder.push(channelDataOf(5))).toEqual([])
    expect(decoder.push(new Uint8Array(2))).toEqual([])
    expect(decoder.push(new Uint8Array(1))).toStrictEqual([channelDataOf(5)])
  })

  test('of a piece that has them whole are views into it', () => {
    const piece = concat([padded(channelDataOf(5)), stunOf(8)])
    for (const one of new TurnStream().push(piece)) expect(one.buffer).toBe(piece.buffer)
  })
})

describe('I78 what is no TURN', () => {
  test.each<[string, number[]]>([
    ['not-turn', [0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e, 0x31].map((byte) => byte | 0x80)],
    ['not-turn', [0x50, 0x00, 0x00, 0x00]],
    ['not-turn', [0x16 | 0xc0, 0x03, 0x01, 0x02]],
    ['bad-length', [0x16, 0x03, 0x01, 0x02]],
    ['bad-length', [0x01, 0x01, 0x00, 0x02]],
    ['wrong-cookie', [0x01, 0x01, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x43]],
  ])('ends with %s', (reason, bytes) => {
    const good = [stunOf(3), channelDataOf(2)]
    const stream = concat([...good.map(padded), Uint8Array.from(bytes), padded(stunOf(1))])
    for (const at of [[], [1, 2, 3], Array.from(stream.keys())])
      expect(cut(stream, at)).toStrictEqual({ frames: good, failure: reason })
  })

  test('any bytes: never a throw, never more held than one frame, and the same end however they are cut', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.array(frame, { maxLength: 4 }), fc.uint8Array({ maxLength: 30 }))
        .map(([frames, garbage]) => concat([...frames.map(padded), garbage])),
    )
    fc.assert(
      fc.property(bytes, places, (stream, at) => {
        expect(cut(stream, at)).toStrictEqual(cut(stream, []))
      }),
      { numRuns: 1_000 },
    )
  })
})

test('time grows with the length of a frame that comes byte by byte, and not with its square', () => {
  const time = (length: number) => {
    const stream = padded(channelDataOf(length))
    const pieces = Array.from(stream, (byte) => Uint8Array.of(byte))
    let best = Infinity
    for (let run = 0; run < 5; run++) {
      const decoder = new TurnStream()
      const start = performance.now()
      for (const piece of pieces) decoder.push(piece)
      best = Math.min(best, performance.now() - start)
    }
    return best
  }
  time(0xffff)
  // Sixteen times as long: linear is 16, quadratic 256.
  expect(time(0xffff) / time(0xfff)).toBeLessThan(80)
})
