import { describe, expect, test } from 'vitest'
import type { ServerAddress } from '../src/servers.ts'
import { unreachable } from '../src/unreachable.ts'

const server: ServerAddress = {
  scheme: 'stun',
  address: { ip: '203.0.113.1', port: 3478 },
  url: 'stun:203.0.113.1',
}
const address = { ip: '2001:db8::1', port: 5000 }

describe('servers that no base reaches', () => {
  test('an IPv4 server is out of reach of an IPv6 host', () => {
    expect(unreachable([server], [{ address }])).toEqual([
      { url: server.url, reason: expect.stringContaining('no local IPv4 address') },
    ])
  })

  test('but not behind a NAT64', () => {
    expect(unreachable([server], [{ address, translated: true }])).toEqual([])
  })
})
