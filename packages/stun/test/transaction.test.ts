import { describe, expect, test } from 'vitest'
import {
  type Attributes,
  decode,
  encode,
  longTermKey,
  type Message,
  type Packet,
  shortTermKey,
  Transaction,
  type TransactionOptions,
  type TransactionOutput,
} from '../src/index.ts'

const KEY = shortTermKey('VOkJxbRl1RmTxUk/WvJxBt')
const local = { ip: '192.0.2.1', port: 5000 }
const remote = { ip: '192.0.2.9', port: 3478 }
const request: Message = { method: 'binding', class: 'request', transactionId: 'abcdefghijkl', attributes: {} }
const mapped: Attributes = { xorMappedAddress: { ip: '198.51.100.7', port: 40_000 } }
const success: Message = { ...request, class: 'success', attributes: mapped }

function start(options: Partial<TransactionOptions> = {}, now = 0): Transaction {
  return new Transaction(now, { message: request, local, remote, ...options })
}

function drain(transaction: Transaction): TransactionOutput[] {
  const outputs: TransactionOutput[] = []
  for (let output = transaction.poll(); output; output = transaction.poll()) outputs.push(output)
  return outputs
}

function packetOf(message: Message | Uint8Array, key = KEY, path: Partial<Packet> = {}): Packet {
  const bytes = message instanceof Uint8Array ? message : encode(message, { key })
  return { protocol: 'udp', local, remote, bytes, ...path }
}

/** Lets virtual time run from deadline to deadline; what came out when. */
function run(transaction: Transaction): [number, TransactionOutput['type']][] {
  const log: [number, TransactionOutput['type']][] = drain(transaction).map(({ type }) => [0, type])
  while (transaction.timeout() !== Number.POSITIVE_INFINITY) {
    const now = transaction.timeout()
    transaction.handleTimeout(now - 1)
    expect(drain(transaction)).toStrictEqual([])
    transaction.handleTimeout(now)
    for (const { type } of drain(transaction)) log.push([now, type])
  }
  return log
}

describe('A12 retransmission (RFC 8489 §6.2.1)', () => {
  test('is at 0, 500, 1500, 3500, 7500, 15500, 31500 ms and gives up at 39500 ms', () => {
    const sends = [0, 500, 1500, 3500, 7500, 15_500, 31_500].map((at) => [at, 'packet'])
    const transaction = start()
    expect(run(transaction)).toStrictEqual([...sends, [39_500, 'timeout']])
    expect(transaction).toMatchObject({ done: true, sends: 7 })
  })

  test('follows RTO, Rc and Rm', () => {
    const log = run(start({ rto: 100, rc: 3, rm: 2 }))
    expect(log.map(([at]) => at)).toStrictEqual([0, 100, 300, 500])
    expect(run(start({ rc: 1, rm: 1 }))).toStrictEqual([
      [0, 'packet'],
      [500, 'timeout'],
    ])
  })

  test('over TCP is none, and gives up after Ti', () => {
    expect(run(start({ protocol: 'tcp' }))).toStrictEqual([
      [0, 'packet'],
      [39_500, 'timeout'],
    ])
  })

  test('sends the same bytes every time, in buffers of their own', () => {
    const transaction = start({ key: KEY, rc: 2 })
    transaction.handleTimeout(500)
    const [first, second] = drain(transaction).map((output) => (output.type === 'packet' ? output.packet : undefined))
    expect(second).toStrictEqual(first)
    expect(first).toMatchObject({ protocol: 'udp', local, remote })
    first!.bytes.fill(0)
    expect(second!.bytes[0]! | second!.bytes[1]!).toBe(1)
  })

  test('a clock that jumps makes one retransmission, not all that were missed', () => {
    const transaction = start()
    drain(transaction)
    transaction.handleTimeout(20_000)
    expect(drain(transaction).length).toBe(1)
    expect(transaction.timeout()).toBe(21_000)
  })
})

describe('a response', () => {
  test('ends the transaction and gives the round-trip time', () => {
    const transaction = start({ key: KEY }, 1000)
    drain(transaction)
    expect(transaction.handlePacket(1042, packetOf(success))).toBe(true)
    expect(drain(transaction)).toMatchObject([{ type: 'response', message: success, roundTripTime: 42 }])
    expect(transaction).toMatchObject({ done: true, sends: 1 })
    expect(transaction.timeout()).toBe(Number.POSITIVE_INFINITY)
  })

  test('to a retransmitted request has no round-trip time (Karn)', () => {
    const transaction = start({ key: KEY })
    transaction.handleTimeout(500)
    drain(transaction)
    transaction.handlePacket(510, packetOf(success))
    expect(drain(transaction)).toMatchObject([{ type: 'response', roundTripTime: undefined }])
  })

  test('is taken once', () => {
    const transaction = start({ key: KEY })
    expect(transaction.handlePacket(10, packetOf(success))).toBe(true)
    expect(transaction.handlePacket(11, packetOf(success))).toBe(false)
    expect(drain(transaction).map(({ type }) => type)).toStrictEqual(['packet', 'response'])
  })

  test('of class error is a response, too', () => {
    const attributes = { errorCode: { code: 487, reason: 'Role Conflict' } }
    const transaction = start({ key: KEY })
    expect(transaction.handlePacket(10, packetOf({ ...request, class: 'error', attributes }))).toBe(true)
    expect(drain(transaction)[1]).toMatchObject({ type: 'response', message: { class: 'error', attributes } })
  })

  test('outlives the borrowed packet', () => {
    const transaction = start({ key: KEY })
    const bytes = Buffer.from(
      encode({ ...success, attributes: { userhash: new Uint8Array(32).fill(5) } }, { key: KEY }),
    )
    transaction.handlePacket(10, packetOf(bytes))
    bytes.fill(0)
    const [, output] = drain(transaction)
    expect(output).toMatchObject({ message: { attributes: { userhash: new Uint8Array(32).fill(5) } } })
  })

  test('A5 with unknown comprehension-required attributes fails the transaction', () => {
    const bytes = encode(success, { fingerprint: false })
    const withUnknown = new Uint8Array([...bytes, 0x7f, 0xfe, 0, 0])
    withUnknown[3]! += 4
    const transaction = start()
    expect(transaction.handlePacket(10, packetOf(withUnknown))).toBe(true)
    expect(drain(transaction)[1]).toMatchObject({ type: 'timeout', unusable: { unknownRequired: [0x7ffe] } })
    expect(transaction.done).toBe(true)
  })
})

describe('is not a response, and the transaction stays open:', () => {
  const forged = encode(success, { key: KEY, fingerprint: false })
  forged[24]! ^= 1
  test.each<[string, Packet]>([
    ['A2 bad integrity', packetOf(forged)],
    ['A2 integrity of another key', packetOf(success, shortTermKey('guess'))],
    ['A2 no integrity', packetOf(encode(success))],
    [
      'A2 an unsigned error',
      packetOf(encode({ ...request, class: 'error', attributes: { errorCode: { code: 401, reason: '' } } })),
    ],
    ['A3 bad fingerprint', packetOf(encode(success, { key: KEY }).with(-1, 0).with(-2, 0))],
    ['A9 unknown transaction id', packetOf({ ...success, transactionId: 'abcdefghijkm' })],
    ['A10 another source address', packetOf(success, KEY, { remote: { ...remote, ip: '192.0.2.10' } })],
    ['A10 another source port', packetOf(success, KEY, { remote: { ...remote, port: 3479 } })],
    ['A10 another local address', packetOf(success, KEY, { local: { ...local, port: 5001 } })],
    ['our own request, reflected', packetOf(request)],
    ['an indication', packetOf({ ...request, class: 'indication' })],
    ['another method', packetOf({ ...success, method: 'allocate' })],
    ['not STUN', packetOf(new Uint8Array(100))],
  ])('%s', (_, packet) => {
    const transaction = start({ key: KEY })
    drain(transaction)
    expect(transaction.handlePacket(10, packet)).toBe(false)
    expect(drain(transaction)).toStrictEqual([])
    expect(transaction.timeout()).toBe(500)
    expect(transaction.handlePacket(11, packetOf(success))).toBe(true)
  })

  test('A9 an owner that has decoded already gets the same answers', () => {
    const transaction = start({ key: KEY })
    const packet = packetOf(success)
    const elsewhere = { ...packet, remote: local }
    expect(transaction.handleResponse(10, decode(packet.bytes)!, elsewhere)).toBe(false)
    expect(transaction.handleResponse(10, decode(packet.bytes)!, packet)).toBe(true)
  })
})

describe('credentials', () => {
  test('a request without key takes an unsigned response', () => {
    expect(start().handlePacket(1, packetOf(encode(success)))).toBe(true)
  })

  test('responseKey verifies in place of key', () => {
    const other = shortTermKey('other')
    expect(start({ key: KEY, responseKey: other }).handlePacket(1, packetOf(success))).toBe(false)
    expect(start({ key: KEY, responseKey: other }).handlePacket(1, packetOf(success, other))).toBe(true)
  })

  test.each([
    [401, true],
    [438, true],
    [400, false],
    [486, false],
  ])('an unsigned %i to a long-term credential is taken: %s (RFC 8489 §9.2.4)', (code, taken) => {
    const key = longTermKey('user', 'realm', 'password')
    const error: Message = { ...request, class: 'error', attributes: { errorCode: { code, reason: '' } } }
    expect(start({ key }).handlePacket(1, packetOf(encode(error)))).toBe(taken)
  })

  test('a request signed with SHA-256 takes no weaker response (RFC 8489 §9.2.5)', () => {
    const weak = encode(success, { key: KEY, integrity: 'sha1' })
    const strong = encode(success, { key: KEY, integrity: 'sha256' })
    expect(start({ key: KEY, integrity: 'sha256' }).handlePacket(1, packetOf(weak))).toBe(false)
    expect(start({ key: KEY, integrity: 'sha256' }).handlePacket(1, packetOf(strong))).toBe(true)
  })
})
