import type { Socket } from 'node:net'
import { connect as connectTo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Address } from '@floe/stun'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { parseProxy } from '../../src/node/proxy.ts'
import { Stream, type StreamOptions } from '../../src/node/stream.ts'
import { rfc4571 } from '../../src/tcp.ts'
import { type Certificate, CertificateAuthority } from './certificates.ts'
import { ProxyProcess, whyNoProxies } from './proxy-servers.ts'
import { Owner, openTcpHandles } from './stream-owner.ts'
import { StreamServer } from './stream-server.ts'

let authority: CertificateAuthority
let certificate: Certificate
beforeAll(() => {
  authority = new CertificateAuthority()
  certificate = authority.issue('DNS:localhost', 'DNS:turn.test', 'IP:127.0.0.1')
})
afterAll(() => authority[Symbol.dispose]())

const streams: Stream[] = []
afterEach(async () => {
  await Promise.all(streams.splice(0).map((stream) => stream.close()))
  expect(await openTcpHandles()).toEqual([])
})

describe('TLS', () => {
  test('a certificate for the IP address, from a CA that is given', async () => {
    await using server = await StreamServer.listenTls(certificate)
    const owner = new Owner()
    const stream = connect({ remote: server.address, tls: { ca: authority.ca } }, owner)
    expect(await owner.connection()).toEqual({ ip: '127.0.0.1', port: server.sockets[0]?.remotePort })
    for (let i = 0; i < 3; i++) stream.send(new Uint8Array(30_000).fill(200 + i))
    await owner.until(({ packets }) => packets.length === 3)
    expect(owner.packets.map(({ bytes }) => [bytes.length, bytes[0], bytes[29_999]])).toEqual(
      [200, 201, 202].map((byte) => [30_000, byte, byte]),
    )
  })

  test('a name: it is sent as SNI, and the certificate must be for it', async () => {
    const names: unknown[] = []
    await using server = await StreamServer.listenTls(certificate, echoSeeing(names))
    const tls = { ca: authority.ca, servername: 'turn.test' }
    const owner = new Owner()
    const stream = connect({ remote: server.address, tls }, owner)
    await owner.connection()
    stream.send(Uint8Array.of(200))
    await owner.until(({ packets }) => packets.length === 1)
    expect(names).toEqual(['turn.test'])
    const other = new Owner()
    connect({ remote: server.address, tls: { ...tls, servername: 'other.test' } }, other)
    expect(await other.failure()).toMatch(
      /certificate is for DNS:localhost, DNS:turn.test, IP Address:127.0.0.1, not for other.test: use that name as host, or as tls.servername/,
    )
    expect(other.connected).toEqual([])
  })

  test('a CA that nobody knows: refused with what to do, unless verification is switched off', async () => {
    await using server = await StreamServer.listenTls(certificate)
    const owner = new Owner()
    connect({ remote: server.address, tls: {} }, owner)
    expect(await owner.failure()).toMatch(/nobody that this machine trusts.*pass the CA's as tls\.ca/)
    const trusting = new Owner()
    connect({ remote: server.address, tls: { rejectUnauthorized: false } }, trusting)
    await trusting.connection()
  })

  test('a server for plain TCP, and one that hangs up', async () => {
    let reply: Buffer | undefined = Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')
    await using server = await StreamServer.listen((socket) => void (reply ? socket.write(reply) : socket.destroy()))
    const plain = new Owner()
    connect({ remote: server.address, tls: {} }, plain)
    expect(await plain.failure()).toMatch(/it does not answer in TLS: is this its port for plain TCP\?/)
    reply = undefined
    const gone = new Owner()
    connect({ remote: server.address, tls: {} }, gone)
    expect(await gone.failure()).toMatch(/closed the connection in the TLS handshake/)
  })

  test('tls options that cannot be used are an error, not an exception', async () => {
    await using server = await StreamServer.listenTls(certificate)
    const owner = new Owner()
    connect({ remote: server.address, tls: { cert: 'no PEM' } }, owner)
    expect(await owner.failure()).toMatch(/the tls options are not usable: /)
  })

  test('close() in the middle of the handshake leaves no handle', async () => {
    await using server = await StreamServer.listen((socket) => socket.pause())
    const owner = new Owner()
    const stream = connect({ remote: server.address, tls: {} }, owner)
    while (server.sockets.length === 0) await new Promise(setImmediate)
    await stream.close()
    expect(owner.closed).toEqual([{ stream, error: undefined }])
  })
})

const ACCOUNT = { username: 'ice', password: 's3cret' }
const PROXIES = [
  { name: 'HTTP CONNECT', scheme: 'http', start: ProxyProcess.http },
  { name: 'SOCKS5', scheme: 'socks5', start: ProxyProcess.socks },
] as const

describe.skipIf(whyNoProxies)(`through a real proxy ${whyNoProxies ?? ''}`, () => {
  describe.each(PROXIES)('$name', ({ scheme, start }) => {
    test.each(['127.0.0.1', '::1'])('plain TCP to %s', async (ip) => {
      await using server = await StreamServer.listen(undefined, ip)
      await using proxy = await start()
      const owner = new Owner()
      const stream = connect(
        { remote: server.address, proxy: parseProxy(`${scheme}://127.0.0.1:${proxy.port}`) },
        owner,
      )
      expect((await owner.connection()).ip).toBe('127.0.0.1')
      stream.send(Uint8Array.of(200, 1))
      await owner.until(({ packets }) => packets.length === 1)
      expect(owner.packets[0]?.bytes).toEqual(Buffer.of(200, 1))
    })

    test('a server that speaks first: what comes with the proxy’s answer is not lost', async () => {
      await using server = await StreamServer.listen((socket) => socket.write(Buffer.of(0, 2, 200, 9)))
      await using proxy = await start()
      const owner = new Owner()
      connect({ remote: server.address, proxy: parseProxy(`${scheme}://127.0.0.1:${proxy.port}`) }, owner)
      await owner.until(({ packets }) => packets.length === 1)
      expect(owner.packets[0]?.bytes).toEqual(Buffer.of(200, 9))
    })

    test('I82 TLS inside the tunnel is real: SNI, verification, and a name that the proxy resolves', async () => {
      const names: unknown[] = []
      await using server = await StreamServer.listenTls(certificate, echoSeeing(names))
      await using proxy = await start(ACCOUNT)
      const options = {
        remote: { ip: 'localhost', port: server.address.port },
        tls: { ca: authority.ca },
        proxy: parseProxy(`${scheme}://ice:s3cret@127.0.0.1:${proxy.port}`),
      }
      const owner = new Owner()
      const stream = connect(options, owner)
      await owner.connection()
      stream.send(new Uint8Array(40_000).fill(200))
      await owner.until(({ packets }) => packets.length === 1)
      expect(names).toEqual(['localhost'])
      expect(owner.packets[0]?.remote).toBe(stream.remote)
      const stranger = new Owner()
      connect({ ...options, tls: {} }, stranger)
      expect(await stranger.failure()).toMatch(/^localhost:\d+: nobody that this machine trusts/)
    })

    test('wrong and missing passwords', async () => {
      await using server = await StreamServer.listen()
      await using proxy = await start(ACCOUNT)
      const owner = new Owner()
      connect({ remote: server.address, proxy: parseProxy(`${scheme}://ice:wrong@127.0.0.1:${proxy.port}`) }, owner)
      expect(await owner.failure()).toMatch(/^the proxy 127\.0\.0\.1:\d+: .*(not accept this user name and password)/)
      const nobody = new Owner()
      connect({ remote: server.address, proxy: parseProxy(`${scheme}://127.0.0.1:${proxy.port}`) }, nobody)
      expect(await nobody.failure()).toMatch(/into its URL[:,] (http|socks5):\/\/user:password@/)
      expect([...owner.closed, ...nobody.closed]).toHaveLength(2)
    })

    test('a server that is not there', async () => {
      const server = await StreamServer.listen()
      const remote = server.address
      await server[Symbol.asyncDispose]()
      await using proxy = await start()
      const owner = new Owner()
      connect({ remote, proxy: parseProxy(`${scheme}://127.0.0.1:${proxy.port}`) }, owner)
      expect(await owner.failure()).toMatch(/answered (5\d\d .*it could not reach the server|"connection refused")/)
    })
  })

  test('an HTTP proxy’s rules', async () => {
    await using server = await StreamServer.listen()
    await using proxy = await ProxyProcess.http(undefined, [443])
    const owner = new Owner()
    connect({ remote: server.address, proxy: parseProxy(`http://127.0.0.1:${proxy.port}`) }, owner)
    expect(await owner.failure()).toMatch(/answered 403 .*: its rules forbid this host or port/)
  })

  test('I82 https: TLS to the proxy, and TLS to the server inside it', async () => {
    const outer: unknown[] = []
    const inner: unknown[] = []
    await using server = await StreamServer.listenTls(certificate, echoSeeing(inner))
    await using proxy = await ProxyProcess.http(ACCOUNT)
    await using front = await StreamServer.listenTls(certificate, (socket) => {
      outer.push(socket.servername)
      const back = connectTo(proxy.port, '127.0.0.1')
      back.on('error', () => {}).on('close', () => socket.destroy())
      socket.on('close', () => back.destroy())
      socket.pipe(back).pipe(socket)
    })
    const options = {
      remote: { ip: 'localhost', port: server.address.port },
      tls: { ca: authority.ca },
      proxy: parseProxy(`https://ice:s3cret@localhost:${front.address.port}`, { ca: authority.ca }),
    }
    const owner = new Owner()
    const stream = connect(options, owner)
    expect((await owner.connection()).ip).toMatch(/^(127\.0\.0\.1|::1)$/)
    stream.send(new Uint8Array(50_000).fill(200))
    await owner.until(({ packets }) => packets.length === 1)
    expect([outer, inner]).toEqual([['localhost'], ['localhost']])
    const stranger = new Owner()
    connect({ ...options, proxy: parseProxy(`https://ice:s3cret@localhost:${front.address.port}`) }, stranger)
    expect(await stranger.failure()).toMatch(/^the proxy localhost:\d+: nobody that this machine trusts/)
  })

  test('what comes in one piece with the proxy’s answer belongs to the stream, in front of what follows', async () => {
    // No proxy can be made to cut its answer so each time.
    await using coalescing = await StreamServer.listen((socket) => {
      socket.once('data', () => {
        socket.write(Buffer.from('HTTP/1.1 200 OK\r\n\r\n\0\x01\xc8\0', 'latin1'))
        socket.write(Buffer.of(1, 0xc9))
      })
    })
    const owner = new Owner()
    connect(
      { remote: { ip: 'turn.test', port: 80 }, proxy: parseProxy(`http://127.0.0.1:${coalescing.address.port}`) },
      owner,
    )
    await owner.until(({ packets }) => packets.length === 2)
    expect(owner.packets.map(({ bytes }) => [...bytes])).toEqual([[0xc8], [0xc9]])
  })

  test('close() in the middle of the tunnel’s making leaves no handle', async () => {
    await using silent = await StreamServer.listen((socket) => socket.pause())
    const owner = new Owner()
    const proxy = parseProxy(`socks5://127.0.0.1:${silent.address.port}`)
    const stream = connect({ remote: { ip: 'turn.test', port: 443 }, tls: {}, proxy }, owner)
    while (silent.sockets.length === 0) await new Promise(setImmediate)
    await stream.close()
    expect(owner.closed).toEqual([{ stream, error: undefined }])
  })
})

function echoSeeing(names: unknown[]): (socket: TLSSocket) => void {
  return (socket) => {
    names.push(socket.servername)
    ;(socket as Socket).pipe(socket)
  }
}

function connect(options: Partial<StreamOptions> & { remote: Address }, owner: Owner): Stream {
  const stream = Stream.connect({ local: { ip: '192.0.2.1', port: 9 }, framing: rfc4571, ...options }, owner)
  streams.push(stream)
  return stream
}
