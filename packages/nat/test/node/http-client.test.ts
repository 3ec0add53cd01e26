import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { performRequest } from '../../src/node/http-client.ts'

const never = new AbortController().signal

test('method, path, headers and body arrive as they are, from the local address', async () => {
  let seen: unknown
  await using server = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const { method, url, headers, socket } = request
      seen = { method, url, host: headers.host, action: headers.soapaction, from: socket.remoteAddress, body }
      response.writeHead(500).end('<fault>ü</fault>')
    })
  })
  const headers = { Host: '192.168.1.1:5000', 'Content-Length': '4', SOAPAction: '"x#y"' }
  expect(await request(server.port, { method: 'POST', path: '/ctl?x=1', headers, body: 'body' })).toEqual({
    status: 500,
    body: '<fault>ü</fault>',
  })
  expect(seen).toEqual({
    method: 'POST',
    url: '/ctl?x=1',
    host: '192.168.1.1:5000',
    action: '"x#y"',
    from: '127.0.0.1',
    body: 'body',
  })
})

test('a redirect is a response like others', async () => {
  let requests = 0
  await using server = await serve((_, response) => {
    requests++
    response.writeHead(302, { Location: '/elsewhere' }).end()
  })
  expect(await request(server.port)).toEqual({ status: 302, body: '' })
  expect(requests).toBe(1)
})

test('a body beyond the bound is none', async () => {
  await using server = await serve((_, response) => {
    const more = () => response.write('x'.repeat(16_384), () => setImmediate(more))
    more()
  })
  expect(await request(server.port)).toBeUndefined()
})

test('too late is never, and so is an abort', async () => {
  await using server = await serve(() => {})
  const start = performance.now()
  expect(await request(server.port, { timeout: 100 })).toBeUndefined()
  expect(await request(server.port, {}, AbortSignal.timeout(100))).toBeUndefined()
  expect(performance.now() - start).toBeLessThan(2_000)
})

test('a body that drips on for ever is cut off in time', async () => {
  await using server = await serve((_, response) => {
    const timer = setInterval(() => response.write('x'), 20)
    response.on('close', () => clearInterval(timer))
  })
  const start = performance.now()
  expect(await request(server.port, { timeout: 200 })).toBeUndefined()
  expect(performance.now() - start).toBeLessThan(2_000)
})

test('nobody listens', async () => {
  const server = await serve(() => {})
  await server[Symbol.asyncDispose]()
  expect(await request(server.port)).toBeUndefined()
})

test.each([
  ['', undefined],
  ['hello\r\n\r\n', undefined],
  ['HTTP/1.1 200 OK\nContent-Length: 2\n\nok', { status: 200, body: 'ok' }],
  ['HTTP/1.0 200 OK\r\n\r\nuntil the end', { status: 200, body: 'until the end' }],
  ['HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut off', undefined],
  [`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`, undefined],
])('raw response %j', async (raw, expected) => {
  const server = createTcpServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(raw))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  expect(await request((server.address() as AddressInfo).port)).toEqual(expected)
  server.close()
})

function request(port: number, more: object = {}, signal: AbortSignal = never) {
  const base = { id: 0, method: 'GET', host: '127.0.0.1', port, path: '/', headers: { Host: 'x' }, body: '' } as const
  return performRequest({ ...base, timeout: 2_000, ...more }, '127.0.0.1', signal)
}

async function serve(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
