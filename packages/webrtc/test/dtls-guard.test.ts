import { createHash, createHmac, createSign, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { RTCCertificate } from '../src/node/certificate.ts'
import { HandshakeGuard, PeerAuthenticationError } from '../src/node/dtls-guard.ts'
import { HandshakeType } from '../src/node/dtls-record.ts'

/*
 * The guard against a scripted peer, message by message; against real stacks it is tested in impostor.test.ts.
 */

const localRandom = randomBytes(32)
const serverRandom = randomBytes(32)
const masterSecret = randomBytes(48)
const TRANSCRIPT = Buffer.from('every handshake message so far')
/** Of all certificates that these tests make: those that the signalling named. */
const named: { algorithm: string; value: string }[] = []

async function identity(): Promise<{ chain: Buffer; key: string }> {
  const certificate = await RTCCertificate.generate()
  named.push(...certificate.getFingerprints())
  const { certPem, privateKey } = RTCCertificate.unwrap(certificate)
  const der = Buffer.from(certPem.replace(/-----[^-]+-----/g, ''), 'base64')
  const chain = Buffer.concat([u24(der.length + 3), u24(der.length), der])
  return { chain, key: privateKey }
}

function guardAs(role: 'client' | 'server', fingerprints = named): HandshakeGuard {
  return new HandshakeGuard({
    role,
    fingerprints: () => fingerprints,
    localRandom: () => localRandom,
    masterSecret: () => masterSecret,
    transcript: () => TRANSCRIPT,
  })
}

const u24 = (value: number) => Buffer.from([value >> 16, value >> 8, value])

function signed(data: Buffer, key: string | KeyObject, header = [4, 3]): Buffer {
  const signature = createSign('sha256').update(data).sign(key)
  return Buffer.concat([Buffer.from([...header, 0, signature.length]), signature])
}

function serverKeyExchange(key: string | KeyObject, random = serverRandom, header?: number[]): Buffer {
  const params = Buffer.concat([Buffer.from([3, 0, 29, 32]), Buffer.alloc(32, 7)])
  return Buffer.concat([params, signed(Buffer.concat([localRandom, random, params]), key, header)])
}

function serverHello({ version = 0xfefd, suite = 0xc02b, compression = 0 } = {}): Buffer {
  const choice = Buffer.from([0, suite >> 8, suite & 0xff, compression, 0, 0])
  return Buffer.concat([Buffer.from([version >> 8, version & 0xff]), serverRandom, choice])
}

function finished(label: string, secret = masterSecret): Buffer {
  const hash = createHash('sha256').update(TRANSCRIPT).digest()
  const seed = Buffer.concat([Buffer.from(label), hash])
  const a1 = createHmac('sha256', secret).update(seed).digest()
  return createHmac('sha256', secret)
    .update(Buffer.concat([a1, seed]))
    .digest()
    .subarray(0, 12)
}

/** What an honest server sends, for a client's guard. */
async function serverScript() {
  const { chain, key } = await identity()
  const hello = serverHello()
  const script: [type: number, body: Buffer][] = [
    [HandshakeType.serverHello, hello],
    [HandshakeType.certificate, chain],
    [HandshakeType.serverKeyExchange, serverKeyExchange(key)],
    [HandshakeType.certificateRequest, Buffer.alloc(8)],
    [HandshakeType.serverHelloDone, Buffer.alloc(0)],
    [HandshakeType.finished, finished('server finished')],
  ]
  return { script, key }
}

/** What an honest client sends, for a server's guard. */
async function clientScript() {
  const { chain, key } = await identity()
  const script: [type: number, body: Buffer][] = [
    [HandshakeType.clientHello, Buffer.alloc(40)],
    [HandshakeType.clientHello, Buffer.alloc(60)],
    [HandshakeType.certificate, chain],
    [HandshakeType.clientKeyExchange, Buffer.alloc(33)],
    [HandshakeType.certificateVerify, signed(TRANSCRIPT, key)],
    [HandshakeType.finished, finished('client finished')],
  ]
  return { script, key }
}

function play(guard: HandshakeGuard, script: [number, Buffer][]): void {
  for (const [type, body] of script) guard.examine(type, body)
}

test('an honest server and an honest client pass', async () => {
  const asClient = guardAs('client')
  play(asClient, (await serverScript()).script)
  const asServer = guardAs('server')
  play(asServer, (await clientScript()).script)
  expect([asClient.passed, asServer.passed]).toEqual([true, true])
})

const impostor = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

test.each([
  ['another key', () => serverKeyExchange(impostor), /does not hold the private key/],
  ['an RSA key', () => serverKeyExchange(rsa, serverRandom, [4, 1]), /algorithm that was not offered/],
  ['SHA-1', (key: string) => serverKeyExchange(key, serverRandom, [2, 3]), /algorithm that was not offered/],
  ['parameters of another handshake', (key: string) => serverKeyExchange(key, randomBytes(32)), /does not hold/],
  ['nothing', () => Buffer.from([3, 0, 29, 32]), /malformed/],
  ['an empty message', () => Buffer.alloc(0), /malformed/],
] as const)('as client: a ServerKeyExchange signed by %s', async (_, message, reason) => {
  const { script, key } = await serverScript()
  script[2]![1] = message(key)
  const guard = guardAs('client')
  expect(() => play(guard, script)).toThrow(PeerAuthenticationError)
  // For good: the rest of an honest script does not help.
  expect(() => guard.examine(...script[3]!)).toThrow(reason)
  expect(guard.passed).toBe(false)
})

test.each([
  ['another key', () => signed(TRANSCRIPT, impostor)],
  ['another transcript', (key: string) => signed(Buffer.from('another handshake'), key)],
] as const)('as server: a CertificateVerify over %s', async (_, message) => {
  const { script, key } = await clientScript()
  script[4]![1] = message(key)
  expect(() => play(guardAs('server'), script)).toThrow(/does not hold the private key/)
})

test.each([
  ['DTLS 1.0', { version: 0xfeff }],
  ['no encryption', { suite: 0x0000 }],
  ['a static key exchange', { suite: 0x009c }],
  ['CBC', { suite: 0xc009 }],
  ['compression', { compression: 1 }],
])('as client: a ServerHello that chooses %s', async (_, choice) => {
  const { script } = await serverScript()
  script[0]![1] = serverHello(choice)
  expect(() => play(guardAs('client'), script)).toThrow(/was not offered/)
})

test('as client: a curve that was not offered, and one that is none', async () => {
  const { script, key } = await serverScript()
  for (const params of [
    [3, 0, 22, 32],
    [1, 0, 29, 32],
  ]) {
    const body = Buffer.concat([Buffer.from(params), Buffer.alloc(32, 7)])
    script[2]![1] = Buffer.concat([body, signed(Buffer.concat([localRandom, serverRandom, body]), key)])
    expect(() => play(guardAs('client'), script)).toThrow(/curve that was not offered/)
  }
})

test('each refusal has the alert that the peer is told', async () => {
  const { script, key } = await serverScript()
  const alerts = [
    () => script.toSpliced(0, 1),
    () => script.toSpliced(2, 1, [HandshakeType.serverKeyExchange, serverKeyExchange(impostor)]),
    () => script.toSpliced(2, 1, [HandshakeType.serverKeyExchange, serverKeyExchange(key, serverRandom, [2, 3])]),
    () => script.toSpliced(2, 1, [HandshakeType.serverKeyExchange, Buffer.alloc(0)]),
    () => script.toSpliced(1, 1, [HandshakeType.certificate, Buffer.from([0, 0, 0])]),
  ].map((change) => {
    try {
      play(guardAs('client'), change() as [number, Buffer][])
    } catch (error) {
      return (error as PeerAuthenticationError).alert
    }
    return 'accepted'
  })
  // unexpected_message, decrypt_error, illegal_parameter, decode_error, bad_certificate: RFC 5246 §7.2.
  expect(alerts).toEqual([10, 51, 47, 50, 42])
})

test('a Finished over another transcript, of our own side, or cut short', async () => {
  for (const body of [finished('server finished', randomBytes(48)), finished('client finished'), Buffer.alloc(11)]) {
    const { script } = await serverScript()
    script[5]![1] = body
    expect(() => play(guardAs('client'), script)).toThrow(/saw another handshake/)
  }
})

test('another certificate than the named one is refused before anything is computed for it', async () => {
  const { script: server } = await serverScript()
  const { script: client } = await clientScript()
  const other = (await RTCCertificate.generate()).getFingerprints()
  for (const fingerprints of [other, []]) {
    expect(() => play(guardAs('client', fingerprints), server.slice(0, 2))).toThrow(/another certificate/)
    expect(() => play(guardAs('server', fingerprints), client.slice(0, 3))).toThrow(/another certificate/)
  }
})

test('no certificate, no key exchange, no proof, no second of a kind: the order is the only one', async () => {
  for (const [role, build] of [
    ['client', serverScript],
    ['server', clientScript],
  ] as const) {
    const { script } = await build()
    const required = script.filter(([type]) => type !== HandshakeType.certificateRequest)
    for (const [index, [type]] of required.entries()) {
      if (type === HandshakeType.clientHello) continue
      const without = required.toSpliced(index, 1)
      const guard = guardAs(role)
      expect(index === required.length - 1 || attempt(guard, without), `without ${type}`).toBe(true)
      expect(guard.passed, `without ${type}`).toBe(false)
      expect(attempt(guardAs(role), required.toSpliced(index, 0, required[index]!)), `${type} twice`).toBe(true)
    }
  }
  expect(
    attempt(guardAs('server'), [
      [HandshakeType.clientHello, Buffer.alloc(1)],
      [HandshakeType.certificate, Buffer.alloc(3)],
    ]),
  ).toBe(true)
})

/** Whether the guard refuses the script somewhere. */
function attempt(guard: HandshakeGuard, script: [number, Buffer][]): boolean {
  try {
    play(guard, script)
    return false
  } catch (error) {
    return error instanceof PeerAuthenticationError
  }
}
