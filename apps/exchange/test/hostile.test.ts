import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Exchange, type ExchangeErrorEvent, type IncomingFile } from '../src/index.ts'
import { connectionPair, type Link } from './pair.ts'

const OFFER = { type: 'offer', id: 1, name: 'a', size: 100, mediaType: '' }
const DIGEST = '0'.repeat(64)

describe('frames that break the protocol are an error event and nothing more', () => {
  test.each<[string, string | Uint8Array]>([
    ['not JSON', '{'],
    ['not an object', '7'],
    ['an unknown type', '{"type":"format-disk"}'],
    ['a chat message without text', '{"type":"chat"}'],
    ['a chat message that is too long', JSON.stringify({ type: 'chat', text: 'x'.repeat(8193) })],
    ['a frame of megabytes', JSON.stringify({ type: 'chat', text: 'x'.repeat(3_000_000) })],
    ['an id that is no number', JSON.stringify({ ...OFFER, id: '1' })],
    ['id zero', JSON.stringify({ ...OFFER, id: 0 })],
    ['an id beyond 32 bits', JSON.stringify({ ...OFFER, id: 2 ** 32 })],
    ['a negative size', JSON.stringify({ ...OFFER, size: -1 })],
    ['a size beyond what counts exactly', JSON.stringify({ ...OFFER, size: 2 ** 53 })],
    ['an endless name', JSON.stringify({ ...OFFER, name: 'x'.repeat(256) })],
    ['an answer to no offer', '{"type":"accept","id":1,"credit":64}'],
    ['credit out of bounds', '{"type":"credit","id":1,"credit":1e9}'],
    ['the end of nothing', JSON.stringify({ type: 'end', id: 1, sha256: DIGEST })],
    ['an empty binary frame', new Uint8Array(0)],
    ['a binary frame without payload', Uint8Array.of(0, 0, 0, 1)],
    ['data of an unknown file', Uint8Array.of(0, 0, 0, 9, 1)],
    ['data of file zero', Uint8Array.of(0, 0, 0, 0, 1)],
    ['a binary frame that is too long', new Uint8Array(16 * 1024 + 1).fill(1)],
  ])('%s', async (_, frame) => {
    const { mallory, errors, offers } = victim()
    await mallory.send(frame)
    expect(errors).toHaveLength(1)
    expect(errors[0]).toMatchObject({ name: 'ExchangeError', code: 'ERR_EXCHANGE_PROTOCOL' })
    expect(offers).toHaveLength(0)
  })
})

test('an id is used once', async () => {
  const { mallory, errors, offers } = victim()
  await mallory.send(JSON.stringify(OFFER))
  await mallory.send(JSON.stringify(OFFER))
  expect(offers).toHaveLength(1)
  expect(errors).toHaveLength(1)
})

describe('a transfer fails, and its sender is told, when it is sent', () => {
  test.each<[string, (string | Uint8Array)[]]>([
    ['more than announced', [chunk(1, 101)]],
    ['its end too early', [chunk(1, 99), JSON.stringify({ type: 'end', id: 1, sha256: DIGEST })]],
    ['its end twice', [chunk(1, 100), ...Array(2).fill(JSON.stringify({ type: 'end', id: 1, sha256: DIGEST }))]],
  ])('%s', async (_, frames) => {
    const { mallory, errors, offers, answers } = victim()
    await mallory.send(JSON.stringify(OFFER))
    offers[0]?.accept()
    const outcome = expect(offers[0]?.sha256).rejects.toMatchObject({ code: 'ERR_EXCHANGE_PROTOCOL' })
    for (const frame of frames) await mallory.send(frame)
    await outcome
    expect(errors).toHaveLength(1)
    expect(answers().at(-1)).toMatchObject({ type: 'reject', id: 1 })
  })

  test('data before it was accepted', async () => {
    const { mallory, errors, offers } = victim()
    await mallory.send(JSON.stringify(OFFER))
    await mallory.send(chunk(1, 1))
    await expect(offers[0]?.sha256).rejects.toMatchObject({ code: 'ERR_EXCHANGE_PROTOCOL' })
    offers[0]?.accept()
    await mallory.send(chunk(1, 1))
    expect(errors).toHaveLength(1)
  })

  test('more data than was asked for', async () => {
    const { mallory, errors, offers } = victim()
    await mallory.send(JSON.stringify({ ...OFFER, size: 1e9 }))
    offers[0]?.accept()
    for (let i = 0; i < 64; i++) await mallory.send(chunk(1, 16))
    expect(errors).toHaveLength(0)
    await mallory.send(chunk(1, 16))
    expect(errors).toHaveLength(1)
    await expect(offers[0]?.sha256).rejects.toMatchObject({ code: 'ERR_EXCHANGE_PROTOCOL' })
  })

  test('another checksum than its own', async () => {
    const { mallory, offers, answers } = victim()
    await mallory.send(JSON.stringify(OFFER))
    offers[0]?.accept()
    await mallory.send(chunk(1, 100))
    await mallory.send(JSON.stringify({ type: 'end', id: 1, sha256: DIGEST }))
    const read = async () => {
      for await (const _ of offers[0]!.chunks);
    }
    await expect(read()).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CORRUPT' })
    await expect(offers[0]?.sha256).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CORRUPT' })
    expect(answers().at(-1)).toMatchObject({ type: 'reject', id: 1 })
  })
})

test('offers beyond 16 at once are declined', async () => {
  const { mallory, offers, answers } = victim()
  for (let id = 1; id <= 20; id++) await mallory.send(JSON.stringify({ ...OFFER, id }))
  expect(offers).toHaveLength(16)
  expect(
    answers()
      .filter(({ type }) => type === 'reject')
      .map(({ id }) => id),
  ).toEqual([17, 18, 19, 20])
})

test.each([
  ['../../etc/passwd', 'passwd'],
  ['C:\\Windows\\system.ini', 'system.ini'],
  ['..', 'file'],
  ['folder/', 'file'],
  ['in\u0000vo\u202eice\n.pdf', 'invoice.pdf'],
  ['Übergrößenträger 🧳.txt', 'Übergrößenträger 🧳.txt'],
])('the offered name %j arrives as %j', async (name, bare) => {
  const { mallory, offers } = victim()
  await mallory.send(JSON.stringify({ ...OFFER, name }))
  expect(offers[0]?.name).toBe(bare)
})

test('no sequence of frames makes an exchange throw, nor say more than it was told', async () => {
  const id = fc.integer({ min: 0, max: 4 })
  const frame = fc.oneof(
    fc.string(),
    fc.uint8Array({ maxLength: 8 }),
    fc.json(),
    fc.record({ id, length: fc.integer({ min: 0, max: 40 }) }).map(({ id, length }) => chunk(id, length)),
    fc
      .record({
        type: fc.constantFrom('chat', 'offer', 'accept', 'credit', 'end', 'received', 'cancel', 'reject'),
        id,
        name: fc.string(),
        mediaType: fc.string(),
        size: fc.integer({ min: -1, max: 60 }),
        credit: fc.integer({ min: 0, max: 70_000 }),
        reason: fc.string(),
        text: fc.string(),
        sha256: fc.constantFrom(DIGEST, ''),
      })
      .map((fields) => JSON.stringify(fields)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 40 }), fc.boolean(), async (frames, accepting) => {
      const { exchange, mallory, answers } = victim()
      exchange.onfile = (incoming) => (accepting ? incoming.accept() : incoming.reject('no'))
      for (const data of frames) await mallory.send(data)
      expect(answers().length).toBeLessThanOrEqual(2 * frames.length)
    }),
    { numRuns: 200 },
  )
})

interface Answer {
  type: string
  id?: number
}

function victim() {
  const [mallory, link]: [Link, Link] = connectionPair()
  const exchange = new Exchange(link)
  const errors: Error[] = []
  const offers: IncomingFile[] = []
  exchange.onfile = (incoming) => offers.push(incoming)
  exchange.addEventListener('error', (event) => errors.push((event as ExchangeErrorEvent).error))
  const answers = (): Answer[] => link.sent.map((frame) => JSON.parse(String(frame)))
  return { exchange, mallory, errors, offers, answers }
}

function chunk(id: number, length: number): Uint8Array {
  const frame = new Uint8Array(4 + length).fill(7)
  new DataView(frame.buffer).setUint32(0, id)
  return frame
}
