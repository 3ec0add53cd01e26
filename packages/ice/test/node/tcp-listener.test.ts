import { connect, type Socket } from 'node:net'
import { type Address, encode, newTransactionId, shortTermKey } from '@floe/stun'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { FirstRequest } from '../../src/node/first-request.ts'
import { random } from '../../src/node/random.ts'
import type { Stream } from '../../src/node/stream.ts'
import { TcpListeners, type TcpMember, type TcpShare } from '../../src/node/tcp-listener.ts'
import { rfc4571 } from '../../src/tcp.ts'
import { Owner, openTcpHandles } from './stream-owner.ts'

const shares: TcpShare[] = []
const clients: Socket[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await Promise.all(shares.splice(0).map((share) => share.close()))
  expect(await openTcpHandles()).toEqual([])
})

describe('TcpListeners', () => {
  test.each(['127.0.0.1', '::1'])(
    'J83 a connection goes to the agent that its first request names, on %s',
    async (ip) => {
      const listeners = new TcpListeners()
      const [one, two] = [join(listeners, ['one0', 'uno0'], ip), join(listeners, ['two0'], ip)]
      const local = await one.listening()
      expect(await two.listening()).toBe(local)
      expect(local.ip).toBe(ip)
      const client = dial(local)
      client.write(framed(request('uno0:peer')))
      client.write(framed(Uint8Array.of(200, 7)))
      await one.until(({ packets }) => packets.length === 2)
      const [stream] = one.share.streams as [Stream]
      for (const packet of one.packets) {
        expect(packet.protocol).toBe('tcp')
        expect(packet.local).toEqual(local)
        expect(packet.local).toBe(stream.local)
        expect(packet.remote).toBe(stream.remote)
      }
      expect(stream.remote).toEqual({ ip, port: client.localPort })
      expect(one.packets[1]?.bytes).toEqual(Buffer.of(200, 7))
      expect(two.packets).toEqual([])
      const answer = received(client, 4)
      expect(stream.send(Uint8Array.of(201, 8))).toBe(true)
      expect(await answer).toEqual(Buffer.of(0, 2, 201, 8))
    },
  )

  test('I78 the first request byte by byte', async () => {
    const member = join(new TcpListeners(), ['abcd'])
    const client = dial(await member.listening())
    for (const byte of framed(request('abcd:peer'))) {
      client.write(Uint8Array.of(byte))
      await new Promise(setImmediate)
    }
    await member.until(({ packets }) => packets.length === 1)
    expect(member.packets[0]?.bytes).toHaveLength(framed(request('abcd:peer')).length - 2)
  })

  test('J86 silent connections are closed by the first-packet timer', async () => {
    const member = join(new TcpListeners({ firstPacket: 60 }), ['abcd'])
    const local = await member.listening()
    const silent = dial(local)
    const half = dial(local)
    half.write(framed(request('abcd:peer')).subarray(0, 30))
    await Promise.all([gone(silent), gone(half)])
    expect(member.connected).toEqual([])
  })

  test('neither listening nor silent connections keep the process alive; a member’s connection does', async () => {
    const member = join(new TcpListeners(), ['abcd'])
    const local = await member.listening()
    const client = (await connected(dial(local))).unref()
    // Only what keeps the event loop alive is listed.
    expect(await openTcpHandles()).toEqual([])
    client.write(framed(request('abcd:peer')))
    await member.until(({ packets }) => packets.length === 1)
    expect(await openTcpHandles()).toEqual(['TCPSocketWrap'])
  })

  test('J86 a connection that we never answer is closed, one that we answer is not', async () => {
    const member = join(new TcpListeners({ firstPacket: 80 }), ['abcd'])
    const local = await member.listening()
    const answered = dial(local)
    answered.write(framed(request('abcd:good')))
    await member.until(({ connected }) => connected.length === 1)
    member.connected[0]?.stream.send(Uint8Array.of(1, 1))
    const forged = dial(local)
    forged.write(framed(request('abcd:evil')))
    await gone(forged)
    expect(await member.failure()).toMatch(/nothing that came over it was to be answered/)
    expect(member.closed).toHaveLength(1)
    expect(member.share.streams).toEqual([member.connected[0]?.stream])
    expect(answered.destroyed).toBe(false)
  })

  test.each([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
    ['data', framed(new Uint8Array(40).fill(200))],
    ['an empty frame', Uint8Array.of(0, 0)],
    ['a request without USERNAME', framed(request())],
    ['a request with half a USERNAME', framed(request('abcd'))],
    ['a request for somebody else', framed(request('efgh:peer'))],
    [
      'an answer',
      framed(encode({ method: 'binding', class: 'success', transactionId: newTransactionId(random), attributes: {} })),
    ],
  ])('J86 %s is hung up on at once', async (_, bytes) => {
    const member = join(new TcpListeners({ firstPacket: 600_000 }), ['abcd'])
    const client = dial(await member.listening())
    client.write(bytes)
    await gone(client)
    expect(member.connected).toEqual([])
  })

  test('J86 those who do not say whom they want are few: the oldest has to go, and an honest peer is served', async () => {
    const limits = { unidentifiedPerRemote: 3, unidentified: 100 }
    const member = join(new TcpListeners(limits), ['abcd'])
    const local = await member.listening()
    const silent = []
    for (let i = 0; i < 5; i++) silent.push(await connected(dial(local)))
    await Promise.all([gone(silent[0]!), gone(silent[1]!)])
    const honest = dial(local)
    honest.write(framed(request('abcd:peer')))
    await member.until(({ packets }) => packets.length === 1)
    await gone(silent[2]!)
    expect(silent.map(({ destroyed }) => destroyed)).toEqual([true, true, true, false, false])
  })

  test('the same in all, over several remote addresses', async () => {
    const member = join(new TcpListeners({ unidentifiedPerRemote: 2, unidentified: 3 }), ['abcd'])
    const local = await member.listening()
    const silent = []
    for (let i = 1; i <= 4; i++) silent.push(await connected(dial(local, `127.0.0.${i}`)))
    await gone(silent[0]!)
    expect(silent.filter(({ destroyed }) => destroyed)).toHaveLength(1)
  })

  test('one agent has so many connections and no more', async () => {
    const member = join(new TcpListeners({ perMember: 2 }), ['abcd'])
    const local = await member.listening()
    const dialled = []
    for (let i = 1; i <= 3; i++) {
      const client = dial(local)
      client.write(framed(request('abcd:peer')))
      dialled.push(client)
      if (i < 3) await member.until(({ connected }) => connected.length === i)
    }
    await gone(dialled[2]!)
    expect(member.share.streams).toHaveLength(2)
  })

  test('after a restart the new ufrags hold, and connections stay', async () => {
    const member = join(new TcpListeners(), ['old0'])
    const local = await member.listening()
    const before = dial(local)
    before.write(framed(request('old0:peer')))
    await member.until(({ packets }) => packets.length === 1)
    member.share.rename(['new0'])
    const late = dial(local)
    late.write(framed(request('old0:peer')))
    await gone(late)
    dial(local).write(framed(request('new0:peer')))
    await member.until(({ packets }) => packets.length === 2)
    before.write(framed(Uint8Array.of(200)))
    await member.until(({ packets }) => packets.length === 3)
  })

  test('two agents with the same ufrag get ports of their own; a restart cannot take a name that is in use', async () => {
    const listeners = new TcpListeners()
    const [one, two, three] = [join(listeners, ['same']), join(listeners, ['same']), join(listeners, ['else'])]
    const ports = await Promise.all([one, two, three].map(async (member) => (await member.listening()).port))
    expect(ports[0]).not.toBe(ports[1])
    expect(ports[2]).toBe(ports[0])
    expect(() => three.share.rename(['same'])).toThrow(expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }))
    expect(three.share.usernameFragments).toEqual(['else'])
  })

  test('the socket is open while somebody uses it, and its port is free in the same turn after the last', async () => {
    const listeners = new TcpListeners()
    const [one, two] = [join(listeners, ['one0']), join(listeners, ['two0'])]
    const local = await one.listening()
    await one.share.close()
    const client = dial(local)
    client.write(framed(request('two0:peer')))
    await two.until(({ packets }) => packets.length === 1)
    const closing = two.share.close()
    const three = join(listeners, ['three'], '127.0.0.1', [local.port, local.port])
    expect((await three.listening()).port).toBe(local.port)
    await closing
    await gone(client)
    expect(two.closed).toHaveLength(1)
    await three.share.close()
    await expect(connected(dial(local))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('close() before it listens leaves no handle, and is idempotent', async () => {
    const member = join(new TcpListeners(), ['abcd'])
    await Promise.all([member.share.close(), member.share.close()])
    expect(member.addresses).toEqual([])
  })

  test('close() with silent connections does not wait for them', async () => {
    const member = join(new TcpListeners(), ['abcd'])
    const client = await connected(dial(await member.listening()))
    await member.share.close()
    await gone(client)
  })

  test('L94 a port range: shared when it fits, walked through when taken, an error when exhausted', async () => {
    const listeners = new TcpListeners()
    const first = join(listeners, ['aaaa'])
    const { port } = await first.listening()
    const range = [port, port] as const
    expect((await join(listeners, ['bbbb'], '127.0.0.1', range).listening()).port).toBe(port)
    // Another process' port, as far as these are concerned.
    const others = new TcpListeners()
    const wide = join(others, ['cccc'], '127.0.0.1', [port, port + 20])
    expect((await wide.listening()).port).toBeGreaterThan(port)
    const exhausted = join(others, ['dddd'], '127.0.0.1', range)
    await exhausted.until(({ errors }) => errors.length === 1)
    expect(exhausted.errors).toEqual([['127.0.0.1', 'EADDRINUSE']])
  })

  test('L94 an address that is gone is reported, and harms no other', async () => {
    const member = new Member()
    member.share = new TcpListeners().join(member, ['abcd'], { ips: ['198.51.100.77', '127.0.0.1'] })
    shares.push(member.share)
    expect((await member.listening()).ip).toBe('127.0.0.1')
    await member.until(({ errors }) => errors.length === 1)
    expect(member.errors).toEqual([['198.51.100.77', 'EADDRNOTAVAIL']])
  })
})

test('M100 any first bytes in any cut: never an exception, and at most 2 KiB and a chunk are kept', () => {
  const good = framed(request('abcd:peer'))
  const start = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
      const altered = good.slice()
      altered[at] = value
      return altered
    }),
  )
  fc.assert(
    fc.property(start, fc.integer({ min: 1, max: 80 }), (bytes, size) => {
      const first = new FirstRequest()
      for (let at = 0; at < bytes.length; at += size) {
        if (first.push(bytes.subarray(at, at + size))) return
        expect(first.received.length).toBeLessThanOrEqual(2050)
      }
    }),
    { numRuns: 3000 },
  )
})

class Member extends Owner implements TcpMember {
  readonly addresses: Address[] = []
  readonly errors: [string, string | undefined][] = []
  share!: TcpShare

  handleListening(address: Address): void {
    this.addresses.push(address)
    this.changed()
  }

  handleSocketError(local: string, error: NodeJS.ErrnoException): void {
    this.errors.push([local, error.code])
    this.changed()
  }

  async listening(): Promise<Address> {
    await this.until(({ addresses }) => addresses.length > 0)
    return this.addresses[0] as Address
  }
}

function join(
  listeners: TcpListeners,
  ufrags: string[],
  ip = '127.0.0.1',
  portRange?: readonly [number, number],
): Member {
  const member = new Member()
  member.share = listeners.join(member, ufrags, { ips: [ip], portRange })
  shares.push(member.share)
  return member
}

function dial({ ip, port }: Address, from?: string): Socket {
  const client = connect({ host: ip, port, ...(from && { localAddress: from }) })
  client.on('error', () => {}).resume()
  clients.push(client)
  return client
}

function connected(client: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => client.once('connect', () => resolve(client)).once('error', reject))
}

/** Resolves when the other end has closed it. */
function gone(client: Socket): Promise<void> {
  return new Promise((resolve) => (client.closed ? resolve() : client.once('close', () => resolve())))
}

function received(client: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let all = Buffer.alloc(0)
    client.on('data', (chunk) => {
      all = Buffer.concat([all, chunk as Buffer])
      if (all.length >= length) resolve(all)
    })
  })
}

function request(username?: string): Uint8Array {
  const attributes = username === undefined ? {} : { username }
  const transactionId = newTransactionId(random)
  return encode({ method: 'binding', class: 'request', transactionId, attributes }, { key: shortTermKey('password') })
}

function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat(rfc4571.encode(message) as Uint8Array[])
}
