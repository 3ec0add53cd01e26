import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import type { DtlsSocket } from 'werift'
import { RTCCertificate } from '../src/node/certificate.ts'
import { PeerAuthenticationError } from '../src/node/dtls-guard.ts'
import { ContentType, HandshakeType, parseHandshakes, parseRecords, sequenceNumber } from '../src/node/dtls-record.ts'
import { DtlsEnd, type DtlsPair, dtlsPair } from './dtls-pair.ts'
import { heldMemory } from './memory.ts'

/* Whole handshakes of the product's DTLS, shim and guard and werift between them, over a wire that the test holds. */

const CONNECTED = [undefined, undefined]

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
}

/** What one end says and the other hears, both ways. */
async function talk({ client, server }: DtlsPair, text = 'hello'): Promise<void> {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    await from.dtls.sendData(Buffer.from(text))
    await settle()
    expect(to.received.at(-1)).toBe(text)
  }
}

test('RFC 5288 §3: no nonce seals two records, and the first record under the keys is number 0', async () => {
  await using pair = await dtlsPair()
  expect(await pair.outcomes()).toEqual(CONNECTED)
  for (let i = 0; i < 30; i++) await talk(pair, `message ${i}`)
  for (const { sent } of [pair.client, pair.server]) {
    const sealed = new Map<number, Buffer>()
    for (const { epoch, bytes } of sent.flatMap((datagram) => [...parseRecords(datagram)])) {
      if (epoch !== 1) continue
      const number = sequenceNumber(bytes)
      expect(sealed.get(number) ?? bytes, `record ${number}`).toEqual(bytes)
      sealed.set(number, bytes)
      // The explicit nonce is the number, RFC 5288 §3.
      expect(bytes.readUIntBE(15, 6)).toBe(number)
    }
    expect([...sealed.keys()].slice(0, 2)).toEqual([0, 1])
    expect(sealed.get(0)![0]).toBe(ContentType.handshake)
    expect(sealed.size).toBe(31)
  }
})

test('every plaintext message in pieces of 50 bytes, shuffled and doubled', async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  let state = seed || 1
  const random = (below: number) => (state = (state * 48271) % 2147483647) % below
  await using pair = await dtlsPair({
    prepare: ({ client, server }) => {
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        from.wire = (datagram) => {
          const pieces = cut(datagram, 50)
          const shuffled = [...pieces, ...pieces].map((piece) => [random(1000), piece] as const)
          for (const [, piece] of shuffled.sort(([a], [b]) => a - b)) setImmediate(() => to.receive(piece))
        }
      }
    },
  })
  expect(await pair.outcomes(), `SEED=${seed}`).toEqual(CONNECTED)
  await talk(pair)
})

test('renegotiation is not heard: in plaintext or under the keys, by either side', async () => {
  await using pair = await dtlsPair()
  await pair.outcomes()
  await talk(pair)
  const { client, server } = pair
  const hello = [...parseRecords(client.sent[0]!)][0]!
  const before = [client.dtls.dtls!.dtls, server.dtls.dtls!.dtls, client.sent.length, server.sent.length]
  // As it came, and as a new one; then sealed, as a peer that has the keys can.
  const other = Buffer.from(hello.bytes)
  randomBytes(32).copy(other, 27)
  server.receive(hello.bytes)
  server.receive(other)
  sendSealed(client.dtls.dtls!, ContentType.handshake, other.subarray(13))
  // HelloRequest, RFC 5246 §7.4.1.1.
  sendSealed(server.dtls.dtls!, ContentType.handshake, Buffer.alloc(12))
  await settle()
  expect([client.dtls.state, server.dtls.state]).toEqual(['connected', 'connected'])
  expect([client.dtls.dtls!.dtls, server.dtls.dtls!.dtls]).toEqual(before.slice(0, 2))
  // The two sealed ones themselves, and one repetition of the last flight, which a client may have missed.
  expect(client.sent.length - (before[2] as number)).toBe(1)
  expect(server.sent.length - (before[3] as number)).toBeLessThanOrEqual(2)
  await talk(pair, 'still here')
})

test('everything once more, in order and backwards: nothing is said twice, nothing ends', async () => {
  await using pair = await dtlsPair()
  await pair.outcomes()
  for (const text of ['1', '2', '3']) await talk(pair, text)
  const recorded = [pair.client, pair.server].map(({ sent }) => [...sent])
  for (const order of [(list: Buffer[]) => list, (list: Buffer[]) => list.toReversed()]) {
    for (const datagram of order(recorded[0]!)) pair.server.receive(datagram)
    for (const datagram of order(recorded[1]!)) pair.client.receive(datagram)
    await settle()
  }
  expect([pair.client.received, pair.server.received]).toEqual([
    ['1', '2', '3'],
    ['1', '2', '3'],
  ])
  await talk(pair, '4')
})

test.each(['sha-256', 'sha-384', 'sha-512'])('a certificate that is named by %s', async (algorithm) => {
  const serverCertificate = await RTCCertificate.generate()
  await using pair = await dtlsPair({ serverCertificate, serverNamed: [print(serverCertificate, algorithm)] })
  expect(await pair.outcomes()).toEqual(CONNECTED)
})

test.each([
  ['another certificate', async () => (await RTCCertificate.generate()).getFingerprints()],
  ['a fingerprint by SHA-1 only', async (own: RTCCertificate) => [print(own, 'sha-1')]],
  [
    'a weak fingerprint that fits and a strong one that does not',
    async (own: RTCCertificate) => [print(own, 'sha-256'), print(await RTCCertificate.generate(), 'sha-512')],
  ],
])('named by %s, a peer is refused, told so, and nothing passes', async (_, named) => {
  for (const refuser of ['client', 'server'] as const) {
    const certificate = await RTCCertificate.generate()
    const fingerprints = await named(certificate)
    await using pair = await dtlsPair(
      refuser === 'client'
        ? { serverCertificate: certificate, serverNamed: fingerprints }
        : { clientCertificate: certificate, clientNamed: fingerprints },
    )
    const end = pair[refuser]
    const error = await end.outcome
    expect(error).toBeInstanceOf(PeerAuthenticationError)
    expect(end.dtls.state).toBe('failed')
    expect(end.dtls.failure).toMatchObject({ errorDetail: 'fingerprint-failure', sentAlert: 42, cause: error })
    // A fatal bad_certificate, in plaintext: there are no keys yet.
    expect([...parseRecords(end.sent.at(-1)!)].at(-1)).toMatchObject({ type: ContentType.alert, epoch: 0 })
    expect([...end.sent.at(-1)!.subarray(-2)]).toEqual([2, 42])
    await expect(end.dtls.sendData(Buffer.from('x'))).rejects.toThrow(PeerAuthenticationError)
    expect([pair.client.received, pair.server.received]).toEqual([[], []])
  }
})

test('a forged alert ends nothing, before and after', async () => {
  const forged = Buffer.from([21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40])
  await using pair = await dtlsPair({
    prepare: ({ client, server }) => [client, server].map((end) => end.receive(forged)),
  })
  pair.client.receive(forged)
  expect(await pair.outcomes()).toEqual(CONNECTED)
  pair.server.receive(forged)
  await talk(pair)
})

test('the end is announced, sealed', async () => {
  await using pair = await dtlsPair()
  await pair.outcomes()
  await talk(pair)
  await pair.server.stop()
  await settle()
  expect(pair.client.dtls.state).toBe('closed')
  const [last] = [...parseRecords(pair.server.sent.at(-1)!)]
  expect(last).toMatchObject({ type: ContentType.alert, epoch: 1 })
})

test('RSA certificates, and certificates of any age: the signalling has named them', async () => {
  const [rsa, expired] = [await RTCCertificate.generate('RSASSA-PKCS1-v1_5'), await generateExpired()]
  expect(expired.expires).toBeLessThanOrEqual(Date.now())
  expect(Date.parse(new X509Certificate(RTCCertificate.unwrap(expired).certPem).validTo)).toBeLessThanOrEqual(
    Date.now(),
  )
  for (const [clientCertificate, serverCertificate] of [
    [rsa, expired],
    [expired, rsa],
  ] as const) {
    await using pair = await dtlsPair({ clientCertificate, serverCertificate })
    expect(await pair.outcomes()).toEqual(CONNECTED)
    await talk(pair)
  }
})

test('a peer that knows nothing of SRTP, as client and as server', async () => {
  for (const who of ['client', 'server'] as const) {
    await using pair = await dtlsPair({ prepare: (ends) => Object.assign(ends[who].dtls, { srtpProfiles: [] }) })
    expect(await pair.outcomes()).toEqual(CONNECTED)
    await talk(pair)
  }
})

test('1,000 garbage handshakes on the way do not stop the 1,001st, which is real', async () => {
  const template = await recordedHello()
  const start = performance.now()
  await using pair = await dtlsPair({
    prepare: ({ client, server }) => {
      const wire = client.wire
      // Ahead of the client's first word, in its name.
      client.wire = (datagram) => {
        client.wire = wire
        setImmediate(() => {
          for (let i = 0; i < 200; i++) for (const each of garbageFrom(template, i)) server.receive(each)
        })
        wire(datagram)
      }
    },
  })
  expect(await pair.outcomes()).toEqual(CONNECTED)
  await talk(pair)
  expect(performance.now() - start).toBeLessThan(4000)
  // No more went out for it than one short answer to each.
  expect(pair.server.sent.length).toBeLessThan(450)
})

test('1,000 handshakes that never end: a bounded amount of memory each, and the 1,001st is real', async () => {
  const certificate = await RTCCertificate.generate()
  const template = await recordedHello()
  const before = await heldMemory()
  const start = performance.now()
  const halfOpen = Array.from({ length: 1000 }, () => {
    const end = new DtlsEnd('server', certificate)
    end.start([{ algorithm: 'sha-256', value: Array(32).fill('00').join(':') }])
    return end
  })
  await settle()
  for (const end of halfOpen) {
    // Proves its address, as anyone on the path can, and then fills what there is to be filled.
    end.receive(template)
    end.receive(withCookie(template, end.sent.pop()!.subarray(28)))
    for (let seq = 2; seq < 12; seq++) end.receive(claim(HandshakeType.certificate, seq, 16_000))
    for (let i = 0; i < 50; i++)
      end.receive(Buffer.concat([Buffer.from([22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, i, 4, 0]), Buffer.alloc(1024)]))
  }
  await settle()
  const each = ((await heldMemory()) - before) / halfOpen.length
  expect(halfOpen.every(({ dtls }) => dtls.state === 'connecting')).toBe(true)
  console.log(
    `a half-open handshake holds ${(each / 1024).toFixed(0)} KiB; 1000 took ${(performance.now() - start).toFixed(0)} ms`,
  )
  expect(each).toBeLessThan(192 * 1024)
  const real = performance.now()
  {
    await using pair = await dtlsPair()
    expect(await pair.outcomes()).toEqual(CONNECTED)
  }
  expect(performance.now() - real).toBeLessThan(4000)
  await Promise.all(halfOpen.map((end) => end.stop()))
}, 60_000)

/** A whole hello; a part of it; a message that claims to be long; one without a hello; noise that begins like DTLS. */
function garbageFrom(template: Buffer, i: number): Buffer[] {
  const hello = Buffer.from(template)
  randomBytes(32).copy(hello, 27)
  const noise = Buffer.concat([Buffer.from([22, 0xfe, 0xfd]), randomBytes(40)])
  const claims = [claim(HandshakeType.clientHello, i % 2, 16_384), claim(HandshakeType.certificate, i % 9, 12)]
  return [hello, cut(hello, 40)[i % 3]!, ...claims, noise]
}

/** A first ClientHello of ours, as a record. */
async function recordedHello(): Promise<Buffer> {
  const client = new DtlsEnd('client', await RTCCertificate.generate())
  client.start([{ algorithm: 'sha-256', value: Array(32).fill('00').join(':') }])
  await settle()
  const [datagram] = client.sent
  await client.stop()
  return datagram!
}

function withCookie(hello: Buffer, cookie: Buffer): Buffer {
  const body = hello.subarray(25)
  const changed = Buffer.concat([body.subarray(0, 35), Buffer.from([cookie.length]), cookie, body.subarray(36)])
  const record = Buffer.concat([hello.subarray(0, 25), changed])
  record.writeUInt16BE(12 + changed.length, 11)
  record.writeUIntBE(changed.length, 14, 3)
  record.writeUInt16BE(1, 17)
  record.writeUIntBE(changed.length, 22, 3)
  return record
}

/** The first byte of a message that claims to be so long. */
function claim(type: number, messageSeq: number, length: number): Buffer {
  const record = Buffer.alloc(26)
  record[0] = ContentType.handshake
  record.writeUInt16BE(0xfefd, 1)
  record.writeUInt16BE(13, 11)
  record[13] = type
  record.writeUIntBE(length, 14, 3)
  record.writeUInt16BE(messageSeq, 17)
  record.writeUIntBE(1, 22, 3)
  return record
}

/** A datagram with its plaintext handshake messages in pieces, a record and a datagram each; other records as they are. */
function cut(datagram: Buffer, size: number): Buffer[] {
  return [...parseRecords(datagram)].flatMap(({ type, epoch, fragment, bytes }) => {
    if (type !== ContentType.handshake || epoch !== 0) return [Buffer.from(bytes)]
    return [...parseHandshakes(fragment)].flatMap((message) => {
      const count = Math.max(1, Math.ceil(message.body.length / size))
      return Array.from({ length: count }, (_, i) => {
        const piece = message.body.subarray(i * size, (i + 1) * size)
        const record = Buffer.concat([bytes.subarray(0, 25), piece])
        record.writeUInt16BE(12 + piece.length, 11)
        record[13] = message.type
        record.writeUIntBE(message.length, 14, 3)
        record.writeUInt16BE(message.messageSeq, 17)
        record.writeUIntBE(message.offset + i * size, 19, 3)
        record.writeUIntBE(piece.length, 22, 3)
        return record
      })
    })
  })
}

/** As werift seals application data, with another type on it. */
function sendSealed(socket: DtlsSocket, type: number, content: Buffer): void {
  const { cipher } = socket
  const encryptPacket = cipher.encryptPacket
  cipher.encryptPacket = (packet) => {
    packet.recordLayerHeader.contentType = type
    return Object.getPrototypeOf(cipher).encryptPacket.call(cipher, packet)
  }
  void socket.send(content)
  cipher.encryptPacket = encryptPacket
}

function print(certificate: RTCCertificate, algorithm: string): { algorithm: string; value: string } {
  const der = new X509Certificate(RTCCertificate.unwrap(certificate).certPem).raw
  const digest = createHash(algorithm.replace('-', '')).update(der).digest('hex')
  return { algorithm, value: digest.match(/../g)!.join(':') }
}

async function generateExpired(): Promise<RTCCertificate> {
  const certificate = await RTCCertificate.generate({ name: 'ECDSA', namedCurve: 'P-256', expires: 0 } as never)
  // X.509 counts seconds.
  await new Promise((resolve) => setTimeout(resolve, 1100))
  return certificate
}
