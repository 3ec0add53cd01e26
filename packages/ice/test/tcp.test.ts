import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_FRAME, rfc4571 } from '../src/tcp.ts'

describe('RFC 4571 framing', () => {
  test('I78 frames are found however the stream is cut: whole, coalesced, byte by byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 700 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 20 }),
        (messages, sizes) => {
          expect(decodeIn(wire(messages), sizes)).toEqual(messages)
        },
      ),
    )
    expect(decodeIn(wire([Uint8Array.of(1, 2), Uint8Array.of(3)]), [1])).toEqual(
      [[1, 2], [3]].map((b) => Uint8Array.from(b)),
    )
  })

  test('M100 any bytes in any cut: no error, no empty frame, and never more bytes out than in', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 30 }), (chunks) => {
        const decoder = rfc4571.decoder()
        let [bytesIn, bytesOut] = [0, 0]
        for (const chunk of chunks) {
          const { frames, error } = decoder.push(chunk)
          expect(error).toBeUndefined()
          for (const frame of frames) expect(frame.length).toBeGreaterThan(0)
          bytesIn += chunk.length
          bytesOut += frames.reduce((sum, frame) => sum + frame.length + 2, 0)
          expect(bytesOut).toBeLessThanOrEqual(bytesIn)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('J85 65,535 bytes are the most; more is refused', () => {
    const longest = new Uint8Array(MAX_FRAME).fill(7)
    expect(decodeIn(wire([longest]), [1000])).toEqual([longest])
    expect(rfc4571.encode(new Uint8Array(MAX_FRAME + 1))).toBeUndefined()
  })

  test('empty frames mean nothing', () => {
    const { frames } = rfc4571.decoder().push(Uint8Array.of(0, 0, 0, 1, 5, 0, 0))
    expect(frames).toEqual([Uint8Array.of(5)])
  })

  test('a frame inside one chunk is a view of it, a cut one is not', () => {
    const decoder = rfc4571.decoder()
    const chunk = Uint8Array.of(0, 1, 8, 0, 2, 9)
    const [whole] = decoder.push(chunk).frames
    expect(whole?.buffer).toBe(chunk.buffer)
    const rest = Uint8Array.of(10)
    const [cut] = decoder.push(rest).frames
    chunk.fill(0)
    rest.fill(0)
    expect(cut).toEqual(Uint8Array.of(9, 10))
  })
})

function wire(messages: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(
    messages.flatMap((message) => [...(rfc4571.encode(message) ?? [])].flatMap((part) => [...(part as Uint8Array)])),
  )
}

/** Pushes the bytes in chunks of these sizes, over and over. */
function decodeIn(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const decoder = rfc4571.decoder()
  const frames: Uint8Array[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number
    frames.push(...decoder.push(bytes.subarray(at, at + size)).frames)
    at += size
  }
  return frames
}
