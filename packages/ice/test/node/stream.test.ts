import { randomBytes } from 'node:crypto'
import type { Address } from '@floe/stun'
import { afterEach, describe, expect, test } from 'vitest'
import { CLOSE_DEADLINE, HIGH_WATER_MARK, STUN_RESERVE, Stream, type StreamOptions } from '../../src/node/stream.ts'
import { type Framing, MAX_FRAME, rfc4571 } from '../../src/tcp.ts'
import { Owner, openTcpHandles } from './stream-owner.ts'
import { StreamServer } from './stream-server.ts'

const streams: Stream[] = []
afterEach(async () => {
  await Promise.all(streams.splice(0).map((stream) => stream.close()))
  expect(await openTcpHandles()).toEqual([])
})

describe('Stream', () => {
  test.each(['127.0.0.1', '::1'])(
    'connects from the given address and carries messages both ways on %s',
    async (ip) => {
      await using server = await StreamServer.listen(undefined, ip)
      const owner = new Owner()
      const stream = connect({ remote: server.address, localIp: ip }, owner)
      expect(owner.connected).toEqual([])
      const address = await owner.connection()
      expect(address).toEqual({ ip, port: server.sockets[0]?.remotePort })
      const messages = [Uint8Array.of(200), randomBytes(1200), randomBytes(MAX_FRAME)]
      for (const message of messages) expect(stream.send(message)).toBe(true)
      await owner.until(({ packets }) => packets.length === 3)
      expect(owner.packets.map(({ bytes }) => Buffer.from(bytes))).toEqual(messages.map((bytes) => Buffer.from(bytes)))
      for (const { protocol, local, remote } of owner.packets) {
        expect(protocol).toBe('tcp')
        expect(local).toBe(stream.local)
        expect(remote).toBe(stream.remote)
      }
    },
  )

  test('J85 connect never blocks and a send before it is there is dropped', async () => {
    await using server = await StreamServer.listen()
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    expect(stream.send(Uint8Array.of(200))).toBe(false)
    await owner.connection()
    expect(stream.hasSent).toBe(false)
    expect(stream.send(Uint8Array.of(201))).toBe(true)
    await owner.until(({ packets }) => packets.length === 1)
    expect(owner.packets[0]?.bytes).toEqual(Buffer.of(201))
  })

  test('J85 what is sent in one turn leaves in one piece, and nothing waits for a later turn', async () => {
    const chunks: Buffer[] = []
    await using server = await StreamServer.listen((socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)))
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    await owner.connection()
    for (let i = 0; i < 20; i++) stream.send(new Uint8Array(100).fill(200))
    while (chunks.length === 0) await new Promise(setImmediate)
    expect(chunks.map(({ length }) => length)).toEqual([20 * 102])
  })

  test('J85 longer than 65,535 bytes is refused and harms nothing', async () => {
    await using server = await StreamServer.listen()
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    await owner.connection()
    expect(stream.send(new Uint8Array(MAX_FRAME + 1).fill(200))).toBe(false)
    expect(stream.send(Uint8Array.of(200))).toBe(true)
    await owner.until(({ packets }) => packets.length === 1)
  })

  test('J85 a peer that does not read: data is dropped at the mark, STUN goes a little further, and all arrives in order', async () => {
    await using server = await StreamServer.listen((socket) => socket.pause())
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    await owner.connection()
    const data = (n: number) => Buffer.concat([Buffer.of(200, n & 255), Buffer.alloc(998)])
    let next = 0
    await fill(() => stream.send(data(next)) && ++next > 0)
    expect(stream.send(data(0))).toBe(false)
    // An indication may be a relay's data: it has no claim on the reserve.
    expect(stream.send(Uint8Array.of(0, 0x16, ...new Uint8Array(998)))).toBe(false)
    let stun = 0
    while (stream.send(Uint8Array.of(0, 1, ...new Uint8Array(998)))) stun++
    expect(stun).toBeGreaterThan(STUN_RESERVE / 1002 - 3)
    expect(stun).toBeLessThan(STUN_RESERVE / 1000 + 3)
    const decoder = rfc4571.decoder()
    const got: number[] = []
    server.sockets[0]?.on('data', (chunk) => {
      for (const frame of decoder.push(chunk as Buffer).frames) got.push(frame[0] === 200 ? (frame[1] as number) : -1)
    })
    server.sockets[0]?.resume()
    while (got.filter((n) => n === -1).length < stun) await new Promise((resolve) => setTimeout(resolve, 5))
    const numbers = got.filter((n) => n !== -1)
    expect(numbers).toEqual(numbers.map((_, i) => i & 255))
    expect(stream.send(data(0))).toBe(true)
  })

  test('close() delivers what was sent, tells the owner once, and is idempotent', async () => {
    const chunks: Buffer[] = []
    await using server = await StreamServer.listen((socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)))
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    await owner.connection()
    stream.send(Uint8Array.of(200, 1))
    await Promise.all([stream.close(), stream.close()])
    expect(owner.closed).toEqual([{ stream, error: undefined }])
    expect(stream.send(Uint8Array.of(200, 2))).toBe(false)
    expect(Buffer.concat(chunks)).toEqual(Buffer.of(0, 2, 200, 1))
    stream.abort('late')
    expect(owner.closed).toHaveLength(1)
  })

  test('a peer that neither reads nor closes does not hold up close()', async () => {
    await using server = await StreamServer.listen((socket) => socket.pause())
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    await owner.connection()
    await fill(() => stream.send(new Uint8Array(60_000).fill(200)))
    const start = performance.now()
    await stream.close()
    expect(performance.now() - start).toBeLessThan(CLOSE_DEADLINE + 2_000)
    expect(owner.closed).toHaveLength(1)
  })

  test('close() while connecting: no connection is reported, no handle stays', async () => {
    await using server = await StreamServer.listen()
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    await stream.close()
    expect(owner.connected).toEqual([])
    expect(owner.closed).toEqual([{ stream, error: undefined }])
  })

  test('nothing is delivered after an owner closed the stream among coalesced messages', async () => {
    await using server = await StreamServer.listen((socket) => socket.write(Buffer.of(0, 1, 200, 0, 1, 201)))
    const owner = new Owner()
    const stream = connect({ remote: server.address }, owner)
    owner.onpacket = () => void stream.close()
    await owner.until(({ closed }) => closed.length > 0)
    expect(owner.packets).toHaveLength(1)
  })

  test('a framing’s error ends the connection, after the messages before it', async () => {
    await using server = await StreamServer.listen((socket) => socket.write(Buffer.of(1, 2, 3)))
    const framing: Framing = {
      encode: (message) => message,
      decoder: () => ({ push: (chunk) => ({ frames: [chunk], error: 'that is no message' }) }),
    }
    const owner = new Owner()
    connect({ remote: server.address, framing }, owner)
    expect(await owner.failure()).toBe(`127.0.0.1:${server.address.port}: the peer sent something that is no message`)
    expect(owner.packets).toHaveLength(1)
  })
})

describe('errors in words', () => {
  test('nobody listens', async () => {
    const server = await StreamServer.listen()
    const remote = server.address
    await server[Symbol.asyncDispose]()
    const owner = new Owner()
    connect({ remote }, owner)
    expect(await owner.failure()).toMatch(/^127\.0\.0\.1:\d+: nothing listens there.*ECONNREFUSED/)
    expect(owner.closed[0]?.error?.cause).toMatchObject({ code: 'ECONNREFUSED' })
    expect(owner.connected).toEqual([])
  })

  test('the peer closes, and the peer resets', async () => {
    let first = true
    await using server = await StreamServer.listen((socket) => {
      if (first) socket.end()
      else socket.resetAndDestroy()
      first = false
    })
    const [closed, reset] = [new Owner(), new Owner()]
    connect({ remote: server.address }, closed)
    expect(await closed.failure()).toMatch(/: the peer closed the connection$/)
    connect({ remote: server.address }, reset)
    expect(await reset.failure()).toMatch(/reset by the peer or by a firewall \(ECONNRESET\)$/)
    expect([...closed.closed, ...reset.closed]).toHaveLength(2)
  })

  test('a local address that is gone', async () => {
    await using server = await StreamServer.listen()
    const owner = new Owner()
    connect({ remote: server.address, localIp: '198.51.100.77' }, owner)
    expect(await owner.failure()).toMatch(/the local address does not exist.*EADDRNOTAVAIL/)
  })

  test('a peer that says nothing in its TLS handshake: the deadline', async () => {
    await using server = await StreamServer.listen((socket) => socket.pause())
    const owner = new Owner()
    connect({ remote: server.address, tls: {}, deadline: 100 }, owner)
    expect(await owner.failure()).toMatch(/: no answer within 0\.1 s$/)
  })

  test('a mistaken local address is thrown at once', () => {
    expect(() => connect({ remote: { ip: '127.0.0.1', port: 9 }, localIp: 'eth0' }, new Owner())).toThrow(
      expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }),
    )
  })
})

const LOCAL: Address = { ip: '192.0.2.1', port: 9 }

function connect(options: Partial<StreamOptions> & { remote: Address }, owner: Owner): Stream {
  const stream = Stream.connect({ local: LOCAL, framing: rfc4571, ...options }, owner)
  streams.push(stream)
  return stream
}

/** Sends until what the kernel takes is full as well as our own buffer. Returns how many were taken. */
async function fill(send: () => boolean): Promise<number> {
  let taken = 0
  for (let quiet = 0; quiet < 20; quiet++) {
    for (; send(); quiet = 0) if (++taken * 1000 > 64 * HIGH_WATER_MARK) throw new Error('there is no bound')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return taken
}
