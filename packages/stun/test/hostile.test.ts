/** Bytes from the network: never a throw, never more than linear time. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decode,
  diagnose,
  encode,
  isStun,
  type Message,
  shortTermKey,
  Transaction,
  verifyIntegrity,
} from '../src/index.ts'
import { hex } from './data/hex.ts'
import { VECTORS } from './data/vectors.ts'

const KEY = shortTermKey('VOkJxbRl1RmTxUk/WvJxBt')
const HEADER = hex('0001 0000 2112a442 6162636465666768696a6b6c')

/** A message of these attribute bytes, with a header that is right. */
function framed(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(20 + body.length)
  bytes.set(HEADER)
  bytes.set(body, 20)
  new DataView(bytes.buffer).setUint16(2, body.length)
  return bytes
}

function survives(bytes: Uint8Array): void {
  const message = decode(bytes)
  expect(message === undefined).toBe(diagnose(bytes) !== undefined)
  if (message === undefined) return
  expect(isStun(bytes)).toBe(true)
  verifyIntegrity(message, KEY)
  // What we understood, we can say ourselves.
  expect(decode(encode(message))!.attributes).toStrictEqual(message.attributes)
}

describe('decode never throws', () => {
  test('on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives))
  })

  test('on any attributes', () => {
    const type = fc.oneof(fc.nat(0x30), fc.integer({ min: 0x8000, max: 0x8031 }), fc.nat(0xffff))
    const attribute = fc.tuple(type, fc.nat(40), fc.uint8Array({ minLength: 40, maxLength: 40 }))
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 8 }), (attributes) => {
        const body = attributes.flatMap(([kind, length, value]) => [
          ...[kind >> 8, kind & 255, 0, length],
          ...value.subarray(0, Math.ceil(length / 4) * 4),
        ])
        survives(framed(Uint8Array.from(body)))
      }),
      { numRuns: 2000 },
    )
  })

  test('on good messages with some bytes changed, lost or added', () => {
    const good = fc.constantFrom(...VECTORS.map(({ bytes }) => bytes))
    const change = fc.tuple(fc.nat(200), fc.nat(255))
    fc.assert(
      fc.property(good, fc.array(change, { maxLength: 6 }), fc.integer({ min: -8, max: 8 }), (bytes, changes, grow) => {
        const mutated = new Uint8Array(bytes.length + grow)
        mutated.set(bytes.subarray(0, mutated.length))
        for (const [at, to] of changes) mutated[at % mutated.length] = to
        survives(mutated)
        survives(framed(mutated.subarray(20)))
      }),
      { numRuns: 2000 },
    )
  })

  test('nor does a transaction, and nothing but its own response ends it', () => {
    const local = { ip: '192.0.2.1', port: 1 }
    const message: Message = { method: 'binding', class: 'request', transactionId: 'abcdefghijkl', attributes: {} }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0, 1), (body, success) => {
        const transaction = new Transaction(0, { message, key: KEY, local, remote: local })
        const bytes = framed(body.subarray(0, body.length & ~3))
        bytes[0] = success
        expect(transaction.handlePacket(1, { protocol: 'udp', local, remote: local, bytes })).toBe(false)
        expect(transaction.timeout()).toBe(500)
      }),
    )
  })
})

describe('time grows with the length and not with its square', () => {
  const repeat = (part: string) => (length: number) => {
    const unit = hex(part)
    return framed(Uint8Array.from({ length: length - (length % unit.length) }, (_, i) => unit[i % unit.length]!))
  }
  /** One attribute that fills the message. */
  const filled = (type: number, unit: string) => (length: number) => {
    const bytes = repeat(unit)(length)
    new DataView(bytes.buffer).setUint16(20, type)
    new DataView(bytes.buffer).setUint16(22, bytes.length - 24)
    return bytes
  }

  test.each<[string, (length: number) => Uint8Array]>([
    ['empty attributes that may be skipped', repeat('ffff0000')],
    ['empty attributes that must be reported', repeat('7fff0000')],
    ['duplicates', repeat('00250000')],
    ['XOR-PEER-ADDRESS', repeat('0012000800010000c0000201')],
    ['MESSAGE-INTEGRITY', repeat(`00080014${'00'.repeat(20)}`)],
    ['ASCII text', filled(0x0006, '61626364')],
    ['Japanese text', filled(0x0006, 'e38380e38381e38382e38383')],
    ['ill-formed text', filled(0x0006, 'ffc3e382')],
    ['PASSWORD-ALGORITHMS', filled(0x8002, '00010000')],
    ['UNKNOWN-ATTRIBUTES', filled(0x000a, '7fff7fff')],
  ])('%s', (_, make) => {
    const lengths = [8, 16, 32, 60].map((kibibytes) => kibibytes * 1024)
    const times = lengths.map((length) => fastest(make(length)))
    expect(exponent(lengths, times), `times in ms: ${times.join(', ')}`).toBeLessThan(1.6)
  })

  /** The fastest of many runs: what the work itself takes, whatever else the machine does. */
  function fastest(bytes: Uint8Array): number {
    let best = Number.POSITIVE_INFINITY
    for (let run = 0; run < 40; run++) {
      const start = performance.now()
      survivesCheaply(bytes)
      best = Math.min(best, performance.now() - start)
    }
    return best
  }

  function survivesCheaply(bytes: Uint8Array): void {
    const message = decode(bytes)
    if (message !== undefined) verifyIntegrity(message, KEY)
  }

  /** Slope of the line through the logarithms: 1 is linear, 2 quadratic. */
  function exponent(xs: readonly number[], ys: readonly number[]): number {
    const [lx, ly] = [xs.map(Math.log), ys.map(Math.log)]
    const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length
    const [mx, my] = [mean(lx), mean(ly)]
    const above = lx.reduce((sum, x, i) => sum + (x - mx) * (ly[i]! - my), 0)
    return above / lx.reduce((sum, x) => sum + (x - mx) ** 2, 0)
  }
})
