import { formatHandshakeRecord, HandshakeType } from '../src/node/dtls-record.ts'
import { DtlsShim } from '../src/node/dtls-shim.ts'

const { clientHello } = HandshakeType

/** A shim, below a client, with what it sent and delivered. */
export function createShim(roundTripTime?: number) {
  const sent: Buffer[] = []
  const delivered: Buffer[] = []
  const shim = new DtlsShim({
    send: (datagram) => sent.push(datagram),
    deliver: (record) => delivered.push(record),
    roundTripTime: () => roundTripTime,
  })
  return { shim, sent, delivered, take: (list: Buffer[]) => list.splice(0) }
}

/** The same below a server, whose client has proved its address. */
export function createServerShim() {
  const server = createShim()
  server.shim.start('server')
  server.shim.receive(hello(cookieFor(server)))
  server.sent.length = server.delivered.length = 0
  return server
}

const RANDOM = Buffer.alloc(32, 7)

/** A ClientHello as it is on the wire: without a cookie the first, with one the second. */
export function hello(
  cookie: Buffer = Buffer.alloc(0),
  { random = RANDOM, messageSeq = cookie.length > 0 ? 1 : 0 } = {},
): Buffer {
  const before = Buffer.concat([Buffer.from([0xfe, 0xfd]), random, Buffer.from([0, cookie.length]), cookie])
  const body = Buffer.concat([before, Buffer.from([0, 2, 0xc0, 0x2b, 1, 0, 0, 0])])
  return formatHandshakeRecord({ type: clientHello, messageSeq, body })
}

/** The cookie in the answer to a first hello. */
export function cookieFor({ shim, sent }: ReturnType<typeof createShim>): Buffer {
  shim.receive(hello())
  return Buffer.from(sent.pop()!.subarray(28))
}

export function handshake(type: number, messageSeq: number, size = 40): Buffer {
  return formatHandshakeRecord({ type, messageSeq, body: Buffer.alloc(size, messageSeq + 1) })
}

export function record(type: number, epoch: number, sequenceNumber: number, fragment = Buffer.alloc(24)): Buffer {
  const header = Buffer.from([type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, fragment.length >> 8, fragment.length])
  header.writeUIntBE(sequenceNumber, 5, 6)
  return Buffer.concat([header, fragment])
}

export const application = (sequenceNumber: number) => record(23, 1, sequenceNumber)
export const finished = (sequenceNumber = 0) => record(22, 1, sequenceNumber)

/** The records of one message cut into pieces of `size` bytes. */
export function fragments(whole: Buffer, size: number): Buffer[] {
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
