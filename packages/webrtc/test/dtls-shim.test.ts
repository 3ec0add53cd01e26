import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { formatHandshakeRecord, HandshakeType } from '../src/node/dtls-record.ts'
import { DtlsShim } from '../src/node/dtls-shim.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => vi.useRealTimers())

const { clientHello, serverHello, certificate, certificateVerify, helloVerifyRequest } = HandshakeType

/** A shim with what it sent and delivered. */
function createShim(roundTripTime?: number) {
  const sent: Buffer[] = []
  const delivered: Buffer[] = []
  const shim = new DtlsShim({
    send: (datagram) => sent.push(datagram),
    deliver: (record) => delivered.push(record),
    roundTripTime: () => roundTripTime,
  })
  return { shim, sent, delivered, take: (list: Buffer[]) => list.splice(0) }
}

function handshake(type: number, messageSeq: number, size = 40): Buffer {
  return formatHandshakeRecord({ type, messageSeq, body: Buffer.alloc(size, messageSeq + 1) })
}

function record(type: number, epoch: number, sequenceNumber: number, fragment = Buffer.alloc(24)): Buffer {
  const header = Buffer.from([type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, fragment.length])
  header.writeUIntBE(sequenceNumber, 5, 6)
  return Buffer.concat([header, fragment])
}

const application = (sequenceNumber: number) => record(23, 1, sequenceNumber)
const finished = (sequenceNumber = 0) => record(22, 1, sequenceNumber)

/** The records of one message cut into pieces of `size` bytes. */
function fragments(whole: Buffer, size: number): Buffer[] {
  const body = whole.subarray(25)
  return Array.from({ length: Math.ceil(body.length / size) }, (_, i) => {
    const piece = body.subarray(i * size, (i + 1) * size)
    const header = Buffer.from(whole.subarray(0, 25))
    header.writeUInt16BE(12 + piece.length, 11)
    header.writeUIntBE(i * size, 19, 3)
    header.writeUIntBE(piece.length, 22, 3)
    return Buffer.concat([header, piece])
  })
}

test('the records of a flight leave together, in datagrams of at most 1200 bytes', async () => {
  const { shim, sent } = createShim()
  const flight = [handshake(serverHello, 1, 100), handshake(certificate, 2, 900), handshake(12, 3, 300)]
  for (const part of flight) shim.send(part)
  expect(sent).toEqual([])
  await Promise.resolve()
  expect(sent).toEqual([Buffer.concat(flight.slice(0, 2)), flight[2]])
})

test('a flight is repeated after 60 ms, then twice as late, until the next flight', async () => {
  const { shim, sent, take } = createShim()
  shim.send(handshake(clientHello, 0))
  await Promise.resolve()
  expect(take(sent)).toHaveLength(1)
  for (const wait of [60, 120, 240, 480, 960, 1000, 1000]) {
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

test('a HelloVerifyRequest is stateless: repeated on demand only', async () => {
  const { shim, sent, delivered, take } = createShim()
  shim.receive(handshake(clientHello, 0))
  shim.send(handshake(helloVerifyRequest, 0))
  await Promise.resolve()
  take(sent)
  vi.advanceTimersByTime(10_000)
  expect(sent).toEqual([])
  shim.receive(handshake(clientHello, 0))
  expect(sent).toEqual([handshake(helloVerifyRequest, 0)])
  expect(delivered).toHaveLength(1)
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

test('a repeated message asks for our flight: once in 20 ms, whatever the number', async () => {
  const { shim, sent, take } = createShim()
  shim.receive(handshake(clientHello, 0))
  shim.send(handshake(serverHello, 0))
  await Promise.resolve()
  take(sent)
  for (let i = 0; i < 100; i++) shim.receive(handshake(clientHello, 0))
  expect(take(sent)).toEqual([handshake(serverHello, 0)])
  vi.advanceTimersByTime(20)
  shim.receive(handshake(clientHello, 0))
  expect(take(sent)).toHaveLength(1)
})

test('as server, an encrypted Finished waits for everything before it', () => {
  const { shim, delivered, take } = createShim()
  shim.receive(handshake(clientHello, 0))
  take(delivered)
  shim.receive(finished())
  expect(delivered).toEqual([])
  shim.receive(handshake(certificateVerify, 1))
  expect(delivered).toEqual([handshake(certificateVerify, 1), finished()])
})

test('as server, the last flight is repeated until application data shows that it arrived', async () => {
  const { shim, sent, take } = createShim()
  shim.receive(handshake(clientHello, 0))
  shim.send(finished())
  await Promise.resolve()
  shim.establish()
  take(sent)
  vi.advanceTimersByTime(60)
  expect(take(sent)).toEqual([finished()])
  shim.receive(application(1))
  shim.accept()
  vi.advanceTimersByTime(60_000)
  expect(sent).toEqual([])
  // The client repeats its own Finished: ours was lost all the same.
  shim.receive(finished(0))
  expect(sent).toEqual([finished()])
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

test('whatever arrives, nothing is thrown', () => {
  const { shim } = createShim()
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
