import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HttpConnect, MAX_RESPONSE_HEADER } from '../../src/node/http-connect.ts'
import { type ProxyHandshake, type ProxyServer, type ProxyStep, parseProxy } from '../../src/node/proxy.ts'
import { Socks5 } from '../../src/node/socks5.ts'

describe('parseProxy', () => {
  test.each<[string, ProxyServer]>([
    ['http://proxy.example:3128', { scheme: 'http', host: 'proxy.example', port: 3128 }],
    ['http://proxy.example/', { scheme: 'http', host: 'proxy.example', port: 80 }],
    ['HTTPS://proxy.example', { scheme: 'https', host: 'proxy.example', port: 443 }],
    ['socks5://[2001:db8::1]', { scheme: 'socks5', host: '2001:db8::1', port: 1080 }],
    [
      'socks5h://a%40b:p%3Aw@192.0.2.1:9050',
      { scheme: 'socks5', host: '192.0.2.1', port: 9050, username: 'a@b', password: 'p:w' },
    ],
    ['http://user@proxy.example', { scheme: 'http', host: 'proxy.example', port: 80, username: 'user', password: '' }],
  ])('%s', (url, proxy) => {
    expect(parseProxy(url)).toEqual(proxy)
  })

  test.each([
    ['', 'write http://host:port'],
    ['proxy.example:3128', 'write http://host:port'],
    ['socks4://proxy.example', 'write http://host:port'],
    ['socks5://', 'write http://host:port'],
    ['http://proxy.example/path', 'write http://host:port'],
    ['socks5://proxy.example:70000', 'write http://host:port'],
    ['socks5://proxy.example:0', 'port 0'],
    ['socks5://:word@proxy.example', 'a password needs a user name'],
    ['http://a%3Ab:c@proxy.example', 'a user name with a colon'],
    ['http://a%ffb:c@proxy.example', 'percent-encode'],
    [`socks5://${'u'.repeat(256)}:p@proxy.example`, '255 bytes'],
  ])('%s is refused', (url, advice) => {
    expect(() => parseProxy(url)).toThrow(
      expect.objectContaining({ code: 'ERR_ICE_ARGUMENT', message: expect.stringContaining(advice) }),
    )
  })

  test('no error tells a password', () => {
    for (const url of ['gopher://user:secret@host', 'http://user:secret%@host', 'http://user:secret@host/?x']) {
      expect(() => parseProxy(url)).toThrow(/^"(gopher|http):\/\/…@host[^"]*" is no proxy URL/)
    }
  })
})

describe('HTTP CONNECT', () => {
  const target = { ip: 'turn.example', port: 5349 }

  test('the request names the host as it was given', () => {
    const plain = new HttpConnect(parseProxy('http://proxy.example'), target).start()
    expect(text(plain)).toBe('CONNECT turn.example:5349 HTTP/1.1\r\nHost: turn.example:5349\r\n\r\n')
    const v6 = new HttpConnect(parseProxy('http://Aladdin:open%20sesame@proxy.example'), {
      ip: '2001:db8::1',
      port: 443,
    })
    expect(text(v6.start())).toBe(
      'CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n' +
        'Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n',
    )
  })

  test('what follows the header belongs to the stream, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(
          'HTTP/1.1 200 Connection established\r\n\r\n',
          'HTTP/1.0 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n',
          'HTTP/1.1 299\n\n',
          'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
        ),
        fc.uint8Array({ maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 }),
        (header, rest, sizes) => {
          const steps = feed(new HttpConnect(parseProxy('http://p'), target), [...bytes(header), ...rest], sizes)
          expect(steps).toEqual([{ type: 'open', rest: Uint8Array.from(rest) }])
        },
      ),
    )
  })

  test.each([
    [
      'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n',
      'into its URL: http://user:',
    ],
    [
      'HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n',
      'only Negotiate, NTLM auth',
    ],
    ['HTTP/1.1 403 Forbidden\r\n\r\n', 'answered 403 Forbidden: its rules forbid'],
    ['HTTP/1.1 405 Method Not Allowed\r\n\r\n', 'does not allow CONNECT'],
    ['HTTP/1.1 502 Bad Gateway\r\n\r\n', 'could not reach the server'],
    ['HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n', 'answered 302 Found'],
    ['HTTP/1.1 418 \x1b[31m\r\n\r\n', 'answered 418 [31m'],
    ['HTTP/1.1 999 Odd\r\n\r\n', 'malformed status line'],
    ['SSH-2.0-OpenSSH_9.2\r\n', 'does not speak HTTP'],
    ['\x15\x03\x01', 'does not speak HTTP'],
  ])('%j is refused in words', (answer, reason) => {
    const handshake = new HttpConnect(parseProxy('http://p'), target)
    expect(feed(handshake, bytes(answer), [7])).toEqual([{ type: 'refused', reason: expect.stringContaining(reason) }])
  })

  test('a header without end is refused at 16 KiB, interim answers among it', () => {
    for (const line of ['X: y\r\n', 'HTTP/1.1 100 Continue\r\n\r\n']) {
      const handshake = new HttpConnect(parseProxy('http://p'), target)
      const answer = 'HTTP/1.1 100 Continue\r\n'.repeat(line.startsWith('X') ? 1 : 0) + line.repeat(MAX_RESPONSE_HEADER)
      expect(feed(handshake, bytes(answer), [40_000])).toEqual([
        { type: 'refused', reason: expect.stringContaining('no end of a header in 16 KiB') },
      ])
    }
  })
})

describe('SOCKS5', () => {
  const target = { ip: 'turn.example', port: 5349 }
  const OK = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

  test('without a password: no authentication is offered alone, and the name is left to the proxy', () => {
    const handshake = new Socks5(parseProxy('socks5://p'), target)
    expect([...handshake.start()]).toEqual([5, 1, 0])
    const name = [...Buffer.from('turn.example')]
    expect(handshake.push(Uint8Array.of(5, 0))).toEqual({
      type: 'send',
      bytes: Uint8Array.of(5, 1, 0, 3, 12, ...name, 5349 >> 8, 5349 & 255),
    })
    expect(handshake.push(Uint8Array.from([...OK, 7, 8]))).toEqual({ type: 'open', rest: Uint8Array.of(7, 8) })
  })

  test.each([
    ['192.0.2.1', [1, 192, 0, 2, 1]],
    ['2001:db8::1', [4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
  ])('the address %s', (ip, address) => {
    const handshake = new Socks5(parseProxy('socks5://p'), { ip, port: 443 })
    const request = Uint8Array.of(5, 1, 0, ...address, 1, 187)
    expect(handshake.push(Uint8Array.of(5, 0))).toEqual({ type: 'send', bytes: request })
  })

  test('with a password, RFC 1929', () => {
    const handshake = new Socks5(parseProxy('socks5://ab:cde@p'), target)
    expect([...handshake.start()]).toEqual([5, 2, 0, 2])
    const login = handshake.push(Uint8Array.of(5, 2))
    expect(login).toEqual({ type: 'send', bytes: Buffer.from([1, 2, 97, 98, 3, 99, 100, 101]) })
    expect(handshake.push(Uint8Array.of(1)).type).toBe('more')
    expect(handshake.push(Uint8Array.of(0)).type).toBe('send')
  })

  test('the stream begins behind a reply with any kind of address, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.constant([1, 1, 2, 3, 4]),
          fc.constant([4, ...new Array(16).fill(9)]),
          fc.uint8Array({ maxLength: 255 }).map((name) => [3, name.length, ...name]),
        ),
        fc.uint8Array({ maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 10 }),
        (address, rest, sizes) => {
          const handshake = new Socks5(parseProxy('socks5://p'), target)
          handshake.push(Uint8Array.of(5, 0))
          const steps = feed(handshake, [5, 0, 0, ...address, 1, 2, ...rest], sizes)
          expect(steps).toEqual([{ type: 'open', rest: Uint8Array.from(rest) }])
        },
      ),
    )
  })

  test.each([
    [1, 'general SOCKS server failure'],
    [2, 'connection not allowed by ruleset'],
    [3, 'network unreachable'],
    [4, 'host unreachable'],
    [5, 'connection refused'],
    [6, 'TTL expired'],
    [7, 'command not supported'],
    [8, 'address type not supported'],
    [99, 'code 99'],
  ])('reply %s is "%s"', (code, words) => {
    const handshake = new Socks5(parseProxy('socks5://p'), target)
    handshake.push(Uint8Array.of(5, 0))
    const reason = `the SOCKS5 proxy answered "${words}" for turn.example:5349`
    expect(handshake.push(Uint8Array.of(5, code))).toEqual({ type: 'refused', reason })
  })

  test.each([
    ['socks5://p', [[5, 255]], 'asks for a user name and password: write them into its URL'],
    ['socks5://p', [[5, 2]], 'asks for a user name and password: write them into its URL'],
    ['socks5://a:b@p', [[5, 255]], 'it wants GSSAPI'],
    [
      'socks5://a:b@p',
      [
        [5, 2],
        [1, 1],
      ],
      'does not accept this user name and password',
    ],
    ['socks5://p', [[4, 0]], 'does not speak SOCKS5'],
    ['socks5://p', [[...Buffer.from('HTTP/1.1 400')]], 'it is no SOCKS5 proxy'],
    [
      'socks5://p',
      [
        [5, 0],
        [72, 84],
      ],
      'something that is not SOCKS5',
    ],
    [
      'socks5://p',
      [
        [5, 0],
        [5, 0, 0, 7, 0],
      ],
      'unknown address type 7',
    ],
  ])('%s with %j is refused in words', (url, answers, reason) => {
    const handshake = new Socks5(parseProxy(url), target)
    const steps = answers.map((answer) => handshake.push(Uint8Array.from(answer)))
    expect(steps.at(-1)).toEqual({ type: 'refused', reason: expect.stringContaining(reason) })
  })

  test('a name that cannot be said', () => {
    const handshake = new Socks5(parseProxy('socks5://p'), { ip: 'x'.repeat(256), port: 1 })
    expect(handshake.push(Uint8Array.of(5, 0))).toMatchObject({ type: 'refused' })
  })
})

test('M100 a hostile proxy: any bytes in any cut never throw, and end in an answer or in waiting', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc
      .constantFrom('HTTP/1.1 ', '200', ' OK', '\r\n', '\n', '100 C', '\x05\x00', '\x01\x00')
      .map((s) => Uint8Array.from(bytes(s))),
  )
  const make = fc.constantFrom(
    () => new HttpConnect(parseProxy('http://a:b@p'), { ip: 'turn.example', port: 443 }),
    () => new Socks5(parseProxy('socks5://a:b@p'), { ip: 'turn.example', port: 443 }),
  )
  fc.assert(
    fc.property(make, fc.array(piece, { maxLength: 30 }), (handshake, pieces) => {
      const proxy = handshake()
      for (const chunk of pieces) {
        const step = proxy.push(chunk)
        if (step.type === 'open' || step.type === 'refused') return
      }
    }),
    { numRuns: 3000 },
  )
})

/** Pushes the bytes in chunks of these sizes, over and over; the steps but `more`. What follows `open` goes to its rest. */
function feed(handshake: ProxyHandshake, all: readonly number[], sizes: readonly number[]): ProxyStep[] {
  const steps: ProxyStep[] = []
  for (let at = 0, i = 0; at < all.length; i++) {
    const size = sizes[i % sizes.length] as number
    const step = handshake.push(Uint8Array.from(all.slice(at, at + size)))
    at += size
    if (step.type === 'open')
      return [...steps, { type: 'open', rest: Uint8Array.from([...step.rest, ...all.slice(at)]) }]
    if (step.type === 'refused') return [...steps, step]
    if (step.type === 'send') steps.push(step)
  }
  return steps
}

function bytes(text: string): number[] {
  return [...Buffer.from(text, 'latin1')]
}

function text(data: Uint8Array): string {
  return Buffer.from(data).toString('latin1')
}
