import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { HandshakeType, parseRecords, sequenceNumber } from '../src/node/dtls-record.ts'
import { DtlsShim } from '../src/node/dtls-shim.ts'
import { application, createServerShim, createShim, finished, fragments, handshake, hello, record } from './shim.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => vi.useRealTimers())

const { clientHello, serverHello, certificate, certificateVerify, helloVerifyRequest } = HandshakeType

test('the records of a flight leave together, in datagrams of at most 1200 bytes', async () => {
  const { shim, sent } = createShim()
  const flight = [handshake(serverHello, 1, 100), handshake(certificate, 2, 900), handshake(12, 3, 300)]
  for (const part of flight) shim.send(part)
  expect(sent).toEqual([])
  await Promise.resolve()
  expect(sent).toEqual([Buffer.concat(flight.slice(0, 2)), flight[2]])
})

test('a flight is repeated after 60 ms, then after half as long again each time, until the next flight', async () => {
  const { shim, sent, take } = createShim()
  shim.send(handshake(clientHello, 0))
  await Promise.resolve()
  expect(take(sent)).toHaveLength(1)
  for (const wait of [60, 90, 135, 202.5, 303.75, 455.625, 683.4375, 1000, 1000].map(Math.floor)) {
    vi.advanceTimersByTime(wait - 1)
    expect(sent).toEqual([])
    vi.advanceTimersByTime(1)
    expect(take(sent)).toEqual([handshake(clientHello, 0)])
  }
  shim.send(handshake(clientHello, 1))
  await Promise.resolve()
  vi.advanceTimersByTime(60)
  expect(sent).toEqual([handshake(clientHello, 1), handshake(clientHello, 1)])
  shim.close()
  take(sent)
  vi.advanceTimersByTime(60_000)
  expect(sent).toEqual([])
})

test("a slow path is given time, and the stack's own repetition is not added", async () => {
  const { shim, sent, take } = createShim(200)
  shim.send(handshake(clientHello, 0))
  await Promise.resolve()
  take(sent)
  vi.advanceTimersByTime(299)
  shim.send(handshake(clientHello, 0))
  await Promise.resolve()
  expect(sent).toEqual([])
  vi.advanceTimersByTime(1)
  expect(sent).toHaveLength(1)
})

test('as server: hellos are answered and forgotten until one brings the cookie; then it goes up, and the first before it', () => {
  const server = createShim()
  const { shim, sent, delivered, take } = server
  shim.start('server')
  const first = hello()
  first.writeUIntBE(5, 5, 6)
  shim.receive(first)
  const [answer] = take(sent)
  // RFC 6347 §4.2.1: under the number of the hello, in the name of DTLS 1.0, shorter than what it answers.
  expect(answer!.subarray(5, 11)).toEqual(first.subarray(5, 11))
  expect([answer![13], answer!.readUInt16BE(25), answer![27]]).toEqual([helloVerifyRequest, 0xfeff, 20])
  expect(answer!.length).toBeLessThan(first.length)
  vi.advanceTimersByTime(60_000)
  expect([sent, delivered]).toEqual([[], []])
  const cookie = Buffer.from(answer!.subarray(28))
  // From the future, and made up.
  shim.receive(hello(cookie, { messageSeq: 2 }))
  shim.receive(hello(Buffer.alloc(20, 9)))
  shim.receive(hello(Buffer.alloc(0), { random: Buffer.alloc(32, 8) }))
  expect(take(sent).map((datagram) => datagram.subarray(28))).toEqual([cookie, cookie])
  expect(delivered).toEqual([])
  shim.receive(hello(cookie))
  expect(delivered).toEqual([hello(), hello(cookie)])
  expect(sent).toEqual([])
})

test('as server: a thousand hellos of others, whole, in pieces and malformed, do not stop the one that is meant', () => {
  const server = createShim()
  const { shim, sent, delivered } = server
  shim.start('server')
  const seeded = (i: number) => Buffer.alloc(32, `${i}`)
  for (let i = 0; i < 1000; i++) {
    const other = hello(Buffer.alloc((i * 7) % 40, i), { random: seeded(i), messageSeq: i % 3 })
    if (i % 5 === 0) shim.receive(fragments(other, 9)[i % 4]!)
    else if (i % 5 === 1) shim.receive(handshake(clientHello, i % 2, i % 120))
    else shim.receive(other)
  }
  expect(delivered).toEqual([])
  expect(sent.every((datagram) => datagram.length === 48)).toBe(true)
  for (const piece of fragments(hello(), 20)) shim.receive(piece)
  const cookie = Buffer.from(sent.at(-1)!.subarray(28))
  for (const piece of fragments(hello(cookie), 20).reverse()) shim.receive(piece)
  expect(delivered).toEqual([hello(), hello(cookie)])
})

test("as server: the stack's own HelloVerifyRequest stays here, and late hellos ask for nothing", async () => {
  const { shim, sent, take } = createServerShim()
  shim.send(handshake(helloVerifyRequest, 0))
  await Promise.resolve()
  shim.receive(hello())
  vi.advanceTimersByTime(60_000)
  expect(sent).toEqual([])
  shim.send(handshake(serverHello, 1))
  await Promise.resolve()
  expect(take(sent)).toEqual([handshake(serverHello, 1)])
})

test('as server: no plaintext record has the number of another, whatever the number of hellos before it', async () => {
  const server = createShim()
  const { shim, sent } = server
  shim.start('server')
  const numbered = (record: Buffer, number: number) => {
    record.writeUIntBE(number, 5, 6)
    return record
  }
  for (let i = 0; i < 5; i++) shim.receive(numbered(hello(), i))
  shim.receive(numbered(hello(Buffer.from(sent[0]!.subarray(28))), 5))
  const flight = [handshake(serverHello, 1), handshake(certificate, 2), record(20, 0, 9, Buffer.from([1]))]
  for (const part of flight) shim.send(Buffer.from(part))
  await Promise.resolve()
  // The stack's own retransmission.
  for (const part of flight) shim.send(Buffer.from(part))
  shim.send(record(21, 0, 3, Buffer.from([2, 40])))
  const numbers = sent.flatMap((datagram) => [...parseRecords(datagram)]).map(({ bytes }) => sequenceNumber(bytes))
  expect(numbers).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
})

test('what does not fit the role is noise', () => {
  const { shim, delivered } = createShim()
  for (const type of [0, clientHello, 16, certificateVerify, 20, 99]) shim.receive(handshake(type, 0))
  expect(delivered).toEqual([])
  shim.receive(handshake(serverHello, 0))
  expect(delivered).toEqual([handshake(serverHello, 0)])
  const server = createServerShim()
  for (const type of [0, serverHello, helloVerifyRequest, 12, 13, 14, 20, 99]) server.shim.receive(handshake(type, 2))
  expect(server.delivered).toEqual([])
  server.shim.receive(handshake(certificate, 2))
  expect(server.delivered).toEqual([handshake(certificate, 2)])
})

test('before a hello is proved nothing else of a client is kept', () => {
  const { shim, delivered } = createShim()
  shim.start('server')
  for (let seq = 0; seq < 8; seq++) shim.receive(handshake(certificate, seq, 16_000))
  expect(delivered).toEqual([])
})

test('messages go up whole, in order and once, however they arrive', () => {
  const { shim, delivered } = createShim()
  const [hello, chain, done] = [handshake(serverHello, 0), handshake(certificate, 1, 500), handshake(14, 2, 0)]
  const pieces = fragments(chain, 120)
  shim.receive(done)
  shim.receive(Buffer.concat([...pieces].reverse()))
  // The same message, cut differently and overlapping.
  shim.receive(Buffer.concat(fragments(chain, 77)))
  expect(delivered).toEqual([])
  shim.receive(hello)
  shim.receive(hello)
  expect(delivered).toEqual([hello, chain, done])
})

test('two messages in one record are two messages', () => {
  const { shim, delivered } = createShim()
  const [first, second] = [handshake(serverHello, 0), handshake(certificate, 1)]
  const both = Buffer.concat([first, second.subarray(13)])
  both.writeUInt16BE(both.length - 13, 11)
  shim.receive(both)
  expect(delivered).toEqual([first, second])
})

test('a forged fragment does not lock the real message out', () => {
  const { shim, delivered } = createShim()
  shim.receive(fragments(handshake(certificate, 0, 900), 10)[0]!)
  shim.receive(handshake(serverHello, 0))
  expect(delivered).toEqual([handshake(serverHello, 0)])
})

test('as server, an encrypted Finished waits for everything before it', () => {
  const { shim, delivered } = createServerShim()
  shim.receive(finished())
  expect(delivered).toEqual([])
  shim.receive(handshake(certificateVerify, 2))
  expect(delivered).toEqual([handshake(certificateVerify, 2), finished()])
})

test('encrypted handshake records are let through a few times, and never large ones', () => {
  const { shim, delivered } = createShim()
  shim.receive(record(22, 1, 0, Buffer.alloc(1600)))
  for (let i = 0; i < 1000; i++) shim.receive(finished(i))
  expect(delivered).toHaveLength(32)
  const server = createServerShim()
  for (let i = 0; i < 1000; i++) server.shim.receive(finished(i))
  server.shim.receive(handshake(certificateVerify, 2))
  expect(server.delivered).toHaveLength(1 + 4)
})

test('as server, the last flight is repeated until application data shows that it arrived', async () => {
  const { shim, sent, take } = createServerShim()
  shim.send(finished())
  await Promise.resolve()
  shim.establish()
  take(sent)
  vi.advanceTimersByTime(60)
  expect(take(sent)).toEqual([finished()])
  shim.receive(application(1))
  shim.accept()
  vi.advanceTimersByTime(60_000)
  // Late, or forged: who sends application data has our Finished.
  shim.receive(finished(0))
  expect(sent).toEqual([])
})

test('after the handshake plaintext goes nowhere, and plaintext alerts never do', () => {
  const { shim, delivered } = createShim()
  shim.receive(record(21, 0, 5, Buffer.from([2, 40])))
  shim.establish()
  shim.receive(handshake(clientHello, 0))
  shim.receive(record(21, 0, 6, Buffer.from([1, 0])))
  shim.receive(record(20, 0, 7, Buffer.from([1])))
  shim.receive(Buffer.concat([application(1), handshake(clientHello, 1)]))
  expect(delivered).toEqual([application(1)])
})

test('an encrypted alert goes up, one that would be taken for plaintext does not', () => {
  const { shim, delivered } = createShim()
  shim.establish()
  shim.receive(record(21, 1, 5, Buffer.from([1, 0])))
  const nonce = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 0, 0, 6]), Buffer.alloc(18)])
  shim.receive(record(21, 1, 6, nonce))
  expect(delivered).toEqual([record(21, 1, 6, nonce)])
})

test('the first ten application records are sent three times, behind the flight that they follow', async () => {
  const { shim, sent, take } = createShim()
  shim.send(finished())
  for (let i = 1; i <= 11; i++) shim.send(application(i))
  expect(take(sent)).toEqual([finished(), ...Array.from({ length: 11 }, (_, i) => application(i + 1))])
  shim.establish()
  vi.advanceTimersByTime(40)
  expect(take(sent)).toHaveLength(10)
  vi.advanceTimersByTime(110)
  expect(take(sent)).toHaveLength(10)
  vi.advanceTimersByTime(60_000)
  expect(sent).toEqual([])
})

test('an authentic application record counts once; a forged one uses nothing up', () => {
  const { shim, delivered } = createShim()
  shim.establish()
  // Nobody accepts it: it was forged.
  shim.receive(application(7))
  shim.receive(application(7))
  expect(delivered).toEqual([application(7), application(7)])
  delivered.length = 0
  const accepting = new DtlsShim({
    send() {},
    deliver(record) {
      delivered.push(record)
      accepting.accept()
    },
  })
  accepting.establish()
  for (const number of [5, 5, 3, 3, 2000, 5, 500, 1999, 1999]) accepting.receive(application(number))
  // The others were seen before or are older than the window.
  expect(delivered).toEqual([5, 3, 2000, 1999].map(application))
})

test('once established, records of application data go past the stack above, the authentic ones and each once', () => {
  const { shim, delivered } = createShim()
  const opened: number[] = []
  const got: number[] = []
  shim.establish({
    open: (bytes) => {
      opened.push(sequenceNumber(bytes))
      return sequenceNumber(bytes) === 6 ? undefined : bytes.subarray(13)
    },
    deliver: () => got.push(opened.at(-1)!),
  })
  for (const number of [5, 6, 5, 6, 7]) shim.receive(application(number))
  shim.receive(Buffer.concat([application(8), application(9)]))
  expect(opened).toEqual([5, 6, 6, 7, 8, 9])
  expect(got).toEqual([5, 7, 8, 9])
  expect(delivered).toEqual([])
})

test.each(['client', 'server'] as const)('as %s: whatever arrives, nothing is thrown', (role) => {
  const { shim } = createShim()
  shim.start(role)
  let seed = 1
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.from(Array.from({ length: random(60) }, () => random(256)))
    if (bytes.length > 13) {
      bytes[0] = 20 + random(4)
      bytes.writeUInt16BE(random(3), 3)
      bytes.writeUInt16BE(random(3) === 0 ? random(80) : bytes.length - 13, 11)
    }
    if (i === 10_000) shim.establish()
    shim.receive(bytes)
  }
})
