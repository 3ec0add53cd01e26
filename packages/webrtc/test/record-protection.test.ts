import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { RecordProtection } from '../src/node/record-protection.ts'

const keys = () => ({ key: randomBytes(16), salt: randomBytes(4) })

function pair() {
  const [client, server] = [keys(), keys()]
  return { client, server, a: new RecordProtection(client, server), b: new RecordProtection(server, client) }
}

test('what one end seals the other opens, of any size up to the largest record', () => {
  const { a, b } = pair()
  for (const [number, size] of [1, 2, 1200, 16_384, 0].entries()) {
    const data = randomBytes(size)
    const record = a.seal(data, number)
    expect([record[0], record.readUInt16BE(3), record.readUIntBE(5, 6), record.length]).toEqual([
      23,
      1,
      number,
      13 + 8 + size + 16,
    ])
    expect(b.open(record)).toEqual(data)
    expect(a.open(record)).toBeUndefined()
  }
})

test("werift opens what we seal, and we open what werift seals: its cipher is the RFC's", () => {
  const { client, server, a, b } = pair()
  const theirs = weriftCipher(client, server)
  const data = randomBytes(500)
  const header = { type: 23, version: 0xfefd, epoch: 1, sequenceNumber: 2 ** 40 + 7 }
  const CLIENT = 1
  const SERVER = 2
  expect(theirs.decrypt(SERVER, a.seal(data, header.sequenceNumber).subarray(13), header)).toEqual(data)
  const sealed = theirs.encrypt(CLIENT, data, header)
  const record = a.seal(Buffer.alloc(500), header.sequenceNumber)
  expect(b.open(Buffer.concat([record.subarray(0, 13), sealed]))).toEqual(data)
})

test('a record that was altered anywhere, cut or made up is not opened, and nothing is thrown', () => {
  const { a, b } = pair()
  const record = a.seal(randomBytes(40), 9)
  for (let at = 0; at < record.length; at++) {
    // The length is no part of what is protected: whoever cuts the datagram into records has used it.
    if (at === 11 || at === 12) continue
    const altered = Buffer.from(record)
    altered[at]! ^= 1
    expect(b.open(altered), `byte ${at}`).toBeUndefined()
  }
  for (let length = 13; length < record.length; length++) expect(b.open(record.subarray(0, length))).toBeUndefined()
  expect(b.open(Buffer.concat([record.subarray(0, 13), randomBytes(60)]))).toBeUndefined()
  expect(b.open(record)).toHaveLength(40)
})

interface WeriftCipher {
  encrypt(session: number, data: Buffer, header: object): Buffer
  decrypt(session: number, data: Buffer, header: object): Buffer
}

/** As werift makes it for TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256. */
function weriftCipher(client: ReturnType<typeof keys>, server: ReturnType<typeof keys>): WeriftCipher {
  const require = createRequire(import.meta.url)
  // werift exports neither: by the path of its file, then.
  const file = require.resolve('werift').replace(/lib[\\/].*$/, 'lib/dtls/src/cipher/create.js')
  const { createCipher } = require(file) as { createCipher: (suite: number) => WeriftCipher }
  return Object.assign(createCipher(0xc02b), {
    clientWriteKey: client.key,
    serverWriteKey: server.key,
    clientNonce: Buffer.concat([client.salt, Buffer.alloc(8)]),
    serverNonce: Buffer.concat([server.salt, Buffer.alloc(8)]),
  })
}
