import { expect, test } from 'vitest'
import type { HandshakeFragment } from '../src/node/dtls-record.ts'
import { FragmentAssembler, HandshakeInbox } from '../src/node/handshake-inbox.ts'
import { heldMemory } from './memory.ts'

function fragment(messageSeq: number, length: number, offset = 0, size = length, type = 11): HandshakeFragment {
  return { type, length, messageSeq, offset, body: Buffer.alloc(size, messageSeq) }
}

test('memory of a handshake that never ends: the claims of 10,000 forged fragments come to 32 KiB', async () => {
  const inboxes = Array.from({ length: 100 }, () => new HandshakeInbox())
  const before = await heldMemory()
  for (const inbox of inboxes) {
    for (let i = 0; i < 100; i++) inbox.add(fragment(1 + (i % 7), 16_384 - i, i * 3, 1))
  }
  // Twice the claim: the bytes, and which of them have come.
  expect((await heldMemory()) - before).toBeLessThan(100 * 2.5 * 32_768)
  // Still in use, so that what they hold was held.
  expect(inboxes.every((inbox) => inbox.add(fragment(0, 0)) !== 'repeated')).toBe(true)
})

test('what is expected next has room, whatever has come ahead of it', () => {
  const inbox = new HandshakeInbox()
  for (let seq = 1; seq < 8; seq++) inbox.add(fragment(seq, 16_000, 0, 1))
  expect(inbox.add(fragment(0, 16_000, 0, 8000))).toEqual([])
  for (let seq = 1; seq < 8; seq++) inbox.add(fragment(seq, 16_000, 0, 1))
  expect(inbox.add(fragment(0, 16_000, 8000, 8000))).toMatchObject([{ messageSeq: 0, type: 11 }])
})

test('nothing is kept of what is too far ahead, too long, or over', async () => {
  const inbox = new HandshakeInbox()
  const before = await heldMemory()
  for (let i = 0; i < 10_000; i++) {
    inbox.add(fragment(8 + i, 16_000, 0, 1))
    inbox.add(fragment(0, 16_385 + i, 0, 1))
  }
  expect((await heldMemory()) - before).toBeLessThan(2_000_000)
  expect(inbox.add(fragment(0, 0))).toMatchObject([{ messageSeq: 0 }])
  expect(inbox.add(fragment(0, 0))).toBe('repeated')
  inbox.skipTo(5)
  expect(inbox.add(fragment(4, 0))).toBe('repeated')
  expect(inbox.add(fragment(5, 3))).toMatchObject([{ messageSeq: 5 }])
})

test('overlapping pieces count once, and contradicting ones start over', () => {
  const assembler = new FragmentAssembler()
  assembler.add(fragment(0, 10, 0, 6), true)
  assembler.add(fragment(0, 10, 3, 5), true)
  expect(assembler.take(0)).toBeUndefined()
  assembler.add(fragment(0, 11, 8, 2), true)
  expect(assembler.take(0)).toBeUndefined()
  assembler.add(fragment(0, 10, 0, 10), true)
  expect(assembler.take(0)?.body).toHaveLength(10)
  expect(assembler.take(0)).toBeUndefined()
})
