import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { type IceCandidateErrorEvent, IceTransport } from '../../src/node/index.ts'
import { LOOPBACK, next } from './connect.ts'

/** What a proxy there is asked for, when TURN over TCP at `host` is configured. */
async function askedAt(proxyIp: string, host: string): Promise<string> {
  const proxy = createServer().listen(0, proxyIp)
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  const authority = proxyIp.includes(':') ? `[${proxyIp}]:${port}` : `${proxyIp}:${port}`
  await using a = new IceTransport({
    ...LOOPBACK,
    proxy: `http://${authority}`,
    iceServers: [{ urls: `turn:${host}:3478?transport=tcp`, username: 'u', credential: 'p' }],
  })
  const failed = next<IceCandidateErrorEvent>(a, 'icecandidateerror').then(({ errorText }) => errorText)
  const asked = once(proxy, 'connection').then(async ([socket]) => {
    const [bytes] = await once(socket, 'data')
    socket.destroy()
    return String(bytes).split('\r\n')[0]!
  })
  a.gather()
  const first = await Promise.race([asked, failed])
  proxy.close()
  return first
}

test.each([
  ['::1', '192.0.2.9'],
  ['127.0.0.1', '[2001:db8::9]'],
  ['::1', '[2001:db8::9]'],
  ['127.0.0.1', '192.0.2.9'],
  ['::1', 'turn.example'],
])('a proxy at %s is asked for %s, though no local address leads there', async (proxy, host) => {
  expect(await askedAt(proxy, host)).toBe(`CONNECT ${host}:3478 HTTP/1.1`)
})
