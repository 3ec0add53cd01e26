import { describe, expect, test } from 'vitest'
import { Outbox } from '../src/outbox.ts'
import { TokenBucket } from '../src/server/token-bucket.ts'

describe('TokenBucket', () => {
  test('lets a burst through, then as much as time brings', () => {
    const bucket = new TokenBucket(10, 3, 0)
    expect([0, 0, 0, 0].map((now) => bucket.take(now))).toEqual([true, true, true, false])
    expect(bucket.take(100)).toBe(false) // the refused one cost a token too
    expect(bucket.debt).toBe(1)
    expect(bucket.has(250)).toBe(false)
    expect(bucket.has(300)).toBe(true)
    expect(bucket.take(300)).toBe(true)
  })

  test('never holds more than a burst', () => {
    const bucket = new TokenBucket(1000, 2, 0)
    expect([9e9, 9e9, 9e9].map((now) => bucket.take(now))).toEqual([true, true, false])
  })
})

describe('Outbox', () => {
  test('numbers from 1 and keeps what is not acknowledged, in order', () => {
    const outbox = new Outbox<string>({ entries: 10, size: 100 })
    for (const item of ['a', 'b', 'c']) outbox.add(item)
    outbox.acknowledge(2)
    outbox.acknowledge(2)
    outbox.acknowledge(99)
    expect(outbox.pending().map(({ number, item }) => [number, item])).toEqual([
      [1, 'a'],
      [3, 'c'],
    ])
    expect(outbox.add('d')?.number).toBe(4)
  })

  test('is bounded in number and in size, and has room again after an acknowledgement', () => {
    const few = new Outbox<string>({ entries: 1, size: 100 })
    expect(few.add('a')).toBeDefined()
    expect(few.add('b')).toBeUndefined()
    const shared = new Outbox<string>({ entries: 2, size: 100 })
    expect(shared.add('a', 0.5)).toBeDefined()
    expect(shared.add('b', 0.5)).toBeUndefined()
    expect(shared.add('b')).toBeDefined()
    const small = new Outbox<string>({ entries: 10, size: 10 })
    expect(small.add('123456')).toMatchObject({ number: 1, size: 8 })
    expect(small.add('1')).toBeUndefined()
    small.acknowledge(1)
    expect(small.add('1')).toMatchObject({ number: 2 })
  })
})
