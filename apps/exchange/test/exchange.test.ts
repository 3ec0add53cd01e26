import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { Exchange, type FileSource, type IncomingFile } from '../src/index.ts'
import { connectionPair } from './pair.ts'

const KIB = 1024
const MIB = 1024 * KIB

test('says things both ways, in order', async () => {
  const { alice, bob } = couple()
  const heard: string[] = []
  bob.onchat = (text) => heard.push(`bob: ${text}`)
  alice.onchat = (text) => heard.push(`alice: ${text}`)
  await alice.say('hello')
  await alice.say('„Grüße“ 👋')
  await bob.say('')
  expect(heard).toEqual(['bob: hello', 'bob: „Grüße“ 👋', 'alice: '])
})

test('transfers a file with progress, and both ends know its checksum', async () => {
  const { alice, bob } = couple()
  const bytes = pattern(100_000)
  const got = receiveAll(bob)
  const progress: number[] = []
  const { sha256 } = await alice.sendFile(file('a.bin', bytes), { onprogress: (sent) => progress.push(sent) })
  const [received] = await got
  expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
  expect(received).toMatchObject({ name: 'a.bin', type: 'application/octet-stream', sha256 })
  expect(Buffer.compare(received!.bytes, bytes)).toBe(0)
  expect(progress.at(-1)).toBe(bytes.length)
  expect(progress).toEqual(progress.toSorted((a, b) => a - b))
})

test('transfers an empty file', async () => {
  const { alice, bob } = couple()
  const got = receiveAll(bob)
  const { sha256 } = await alice.sendFile(file('empty', new Uint8Array(0)))
  expect(sha256).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  expect((await got)[0]?.bytes.length).toBe(0)
})

test('a receiver that does not read holds the sender at one window', async () => {
  const { alice, bob } = couple()
  const offered = nextOffer(bob)
  let sent = 0
  const sending = alice.sendFile(file('big', pattern(4 * MIB)), {
    onprogress: (bytes) => {
      sent = bytes
    },
  })
  const incoming = await offered
  await turns(50)
  expect(sent).toBe(0)
  incoming.accept()
  await turns(500)
  expect(sent).toBeGreaterThan(512 * KIB)
  expect(sent).toBeLessThanOrEqual(MIB)
  for await (const _ of incoming.chunks);
  expect(await incoming.sha256).toBe((await sending).sha256)
})

test('the receiver declines', async () => {
  const { alice, bob } = couple()
  bob.onfile = (incoming) => incoming.reject('no thanks')
  await expect(alice.sendFile(file('a', pattern(10)))).rejects.toMatchObject({
    code: 'ERR_EXCHANGE_REJECTED',
    message: 'no thanks',
  })
})

test('without a file handler, offers are declined', async () => {
  const { alice } = couple()
  await expect(alice.sendFile(file('a', pattern(10)))).rejects.toMatchObject({ code: 'ERR_EXCHANGE_REJECTED' })
})

test('the receiver stops in the middle by leaving its loop', async () => {
  const { alice, bob } = couple()
  const offered = nextOffer(bob)
  const sending = alice.sendFile(file('a', pattern(2 * MIB)))
  const refusal = expect(sending).rejects.toMatchObject({ code: 'ERR_EXCHANGE_REJECTED' })
  const incoming = await offered
  incoming.accept()
  for await (const _ of incoming.chunks) break
  await refusal
  await expect(incoming.sha256).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CANCELLED' })
})

test('the sender cancels in the middle, even while its source hangs', async () => {
  const { alice, bob } = couple()
  const offered = nextOffer(bob)
  const abort = new AbortController()
  const source = { name: 'slow', size: MIB, stream: () => hanging() }
  const sending = alice.sendFile(source, { signal: abort.signal })
  const cancelled = expect(sending).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CANCELLED' })
  const incoming = await offered
  incoming.accept()
  const reading = expect(drain(incoming)).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CANCELLED' })
  await turns(20)
  abort.abort()
  await cancelled
  await reading
  await bob.say('still here')
})

test('a signal that is aborted already sends nothing', async () => {
  const { alice, links } = couple()
  const sending = alice.sendFile(file('a', pattern(1)), { signal: AbortSignal.abort() })
  await expect(sending).rejects.toMatchObject({ code: 'ERR_EXCHANGE_CANCELLED' })
  expect(links[0].sent).toEqual([])
})

test.each([
  ['shorter', 5, 6],
  ['longer', 7, 6],
  ['longer', 1, 0],
])('a source %s than announced fails at both ends', async (comparison, length, size) => {
  const { alice, bob } = couple()
  const offered = nextOffer(bob)
  const sending = alice.sendFile({ ...file('a', pattern(length)), size })
  const failed = expect(sending).rejects.toMatchObject({ code: 'ERR_EXCHANGE_SOURCE' })
  const incoming = await offered
  incoming.accept()
  await expect(drain(incoming)).rejects.toThrow(comparison)
  await failed
})

test('a source that throws fails at both ends with its reason', async () => {
  const { alice, bob } = couple()
  const offered = nextOffer(bob)
  const sending = alice.sendFile({
    name: 'a',
    size: 10,
    stream: async function* () {
      yield pattern(5)
      throw new Error('disk on fire')
    },
  })
  const failed = expect(sending).rejects.toMatchObject({ code: 'ERR_EXCHANGE_SOURCE' })
  const incoming = await offered
  incoming.accept()
  await expect(drain(incoming)).rejects.toThrow('disk on fire')
  await failed
})

test('the end of the connection ends every transfer', async () => {
  const { alice, bob, links } = couple()
  const offered = nextOffer(bob)
  const sending = alice.sendFile(file('a', pattern(4 * MIB)))
  const closed = { code: 'ERR_EXCHANGE_CLOSED', message: expect.stringContaining('cable cut') }
  const senderFails = expect(sending).rejects.toMatchObject(closed)
  const incoming = await offered
  incoming.accept()
  const receiverFails = expect(drain(incoming)).rejects.toMatchObject(closed)
  await turns(10)
  for (const link of links) link.close('cable cut')
  await senderFails
  await receiverFails
  await expect(alice.say('hello?')).rejects.toMatchObject(closed)
  await expect(bob.sendFile(file('b', pattern(1)))).rejects.toMatchObject(closed)
})

test.each([
  [{ name: '' }, 'file name'],
  [{ name: 'x'.repeat(256) }, 'file name'],
  [{ size: -1 }, 'file size'],
  [{ size: 1.5 }, 'file size'],
  [{ size: Number.NaN }, 'file size'],
  [{ type: 'x'.repeat(256) }, 'media type'],
])('refuses to offer %j', async (flaw, words) => {
  const { alice, links } = couple()
  const sending = alice.sendFile({ ...file('a', pattern(1)), ...flaw })
  await expect(sending).rejects.toMatchObject({
    code: 'ERR_EXCHANGE_ARGUMENT',
    message: expect.stringContaining(words),
  })
  expect(links[0].sent).toEqual([])
})

test('refuses to say more than one frame holds', async () => {
  const { alice, bob } = couple()
  let heard = ''
  bob.onchat = (text) => {
    heard = text
  }
  await alice.say('\u0000'.repeat(8192))
  expect(heard.length).toBe(8192)
  await expect(alice.say('x'.repeat(8193))).rejects.toMatchObject({ code: 'ERR_EXCHANGE_ARGUMENT' })
})

interface Received {
  name: string
  type: string
  sha256: string
  bytes: Uint8Array
}

function couple() {
  const links = connectionPair()
  return { alice: new Exchange(links[0]), bob: new Exchange(links[1]), links }
}

function nextOffer(exchange: Exchange): Promise<IncomingFile> {
  return new Promise((resolve) => {
    exchange.onfile = resolve
  })
}

async function receiveAll(exchange: Exchange): Promise<Received[]> {
  const incoming = await nextOffer(exchange)
  incoming.accept()
  const bytes = await drain(incoming)
  return [{ name: incoming.name, type: incoming.type, sha256: await incoming.sha256, bytes }]
}

async function drain(incoming: IncomingFile): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of incoming.chunks) pieces.push(piece)
  return Buffer.concat(pieces)
}

function file(name: string, bytes: Uint8Array): FileSource {
  return {
    name,
    size: bytes.length,
    type: 'application/octet-stream',
    stream: async function* () {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
    },
  }
}

async function* hanging(): AsyncGenerator<Uint8Array> {
  yield pattern(40_000)
  await new Promise(() => {})
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff)
}

/** Lets the pair deliver that many messages. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}
