import { describe, expect, test } from 'vitest'
import { discoverBehavior, NatError, StunServer } from '../../src/node/index.ts'

describe('StunServer', () => {
  test('one address: Binding, on one port', async () => {
    await using server = new StunServer({ addresses: ['127.0.0.1'], port: 0 })
    expect(server.urls).toEqual([expect.stringMatching(/^stun:127\.0\.0\.1:\d+$/)])
    expect(server.discoversBehavior).toBe(false)
    const { ipv4 } = await discoverBehavior({ servers: server.urls })
    expect(ipv4).toMatchObject({ reachable: true, translated: false, filtering: 'unknown' })
    expect(server.stats.answered).toBeGreaterThan(0)
  })

  test.runIf(process.platform === 'linux')('two addresses: RFC 5780', async () => {
    await using server = new StunServer({ addresses: ['127.0.0.1', '127.0.0.2'], port: 0, alternatePort: 0 })
    expect(server.discoversBehavior).toBe(true)
    const { ipv4 } = await discoverBehavior({ servers: server.urls.slice(0, 1) })
    expect(ipv4).toMatchObject({ mapping: 'endpoint-independent', filtering: 'endpoint-independent' })
  })

  test('a taken port, or an address that is not ours, throws and frees what it had', async () => {
    await using server = new StunServer({ addresses: ['127.0.0.1'], port: 0 })
    const port = Number(server.urls[0]?.split(':').at(-1))
    expect(() => new StunServer({ addresses: ['127.0.0.1'], port })).toThrow(/ERR_NAT_LISTEN|take another port/)
    expect(() => new StunServer({ addresses: ['192.0.2.1'], port: 0 })).toThrow(NatError)
    await server.close()
    await using again = new StunServer({ addresses: ['127.0.0.1'], port })
    expect(again.urls).toEqual(server.urls)
  })

  test.each([[[]], [['localhost']], [['127.0.0.1', '127.0.0.2', '127.0.0.3']]])('addresses %j throw', (addresses) => {
    expect(() => new StunServer({ addresses, port: 0 })).toThrow(NatError)
  })
})
