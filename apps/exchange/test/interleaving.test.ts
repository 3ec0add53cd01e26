import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Exchange, type FileSource, type IncomingFile } from '../src/index.ts'
import { connectionPair } from './pair.ts'

/** One file: who sends it, how long it is, in pieces of which length its source yields it, how it ends. */
const transfer = fc.record({
  from: fc.constantFrom(0, 1),
  size: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 16_000, max: 50_000 })),
  piece: fc.integer({ min: 1000, max: 70_000 }),
  ending: fc.constantFrom('whole', 'whole', 'whole', 'reject', 'break', 'abort'),
})
type Transfer = typeof transfer extends fc.Arbitrary<infer T> ? T : never

test('whatever the order of events, every whole file arrives as it left and every other one fails at both ends', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(transfer, { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.nat()),
      async (transfers, choices) => {
        const ends = connectionPair((n) => choices.next().value % n).map((link) => new Exchange(link))
        const errors: Event[] = []
        const arrived = new Map<string, Promise<string>>()
        for (const end of ends) {
          end.addEventListener('error', (event) => errors.push(event))
          end.onfile = (incoming) => {
            const { ending } = transfers[Number(incoming.name)]!
            arrived.set(incoming.name, receive(incoming, ending))
          }
        }
        const left = await Promise.allSettled(transfers.map((transfer, i) => send(ends[transfer.from]!, transfer, i)))
        expect(errors).toEqual([])
        for (const [i, { ending, size }] of transfers.entries()) {
          const [outcome, seen] = [left[i]!, await arrived.get(String(i))]
          const whole = outcome.status === 'fulfilled'
          expect(seen).toBe(whole ? outcome.value.sha256 : 'failed')
          if (whole) expect(outcome.value.sha256).toBe(createHash('sha256').update(content(i, size)).digest('hex'))
          if (ending === 'whole') expect(whole).toBe(true)
          if (ending === 'reject') expect(whole).toBe(false)
        }
      },
    ),
    { numRuns: 150 },
  )
})

async function send(end: Exchange, { size, piece, ending }: Transfer, i: number): Promise<{ sha256: string }> {
  const abort = new AbortController()
  const bytes = content(i, size)
  const source: FileSource = {
    name: String(i),
    size,
    stream: async function* () {
      for (let at = 0; at < size; at += piece) {
        yield bytes.subarray(at, at + piece)
        if (ending === 'abort') abort.abort()
      }
      if (ending === 'abort') abort.abort()
    },
  }
  return end.sendFile(source, { signal: abort.signal })
}

/** The digest of what arrived, or `failed`. */
async function receive(incoming: IncomingFile, ending: Transfer['ending']): Promise<string> {
  if (ending === 'reject') {
    incoming.reject('no')
    return 'failed'
  }
  incoming.accept()
  const hash = createHash('sha256')
  try {
    for await (const chunk of incoming.chunks) {
      hash.update(chunk)
      if (ending === 'break') break
    }
    const digest = await incoming.sha256
    expect(hash.digest('hex')).toBe(digest)
    return digest
  } catch {
    return 'failed'
  }
}

function content(seed: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * (seed + 3) + (i >> 7)) & 0xff)
}
