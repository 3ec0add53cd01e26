import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import { describe, expect, test } from 'vitest'
import { resolveHost } from '../../src/node/resolve.ts'

describe('resolveHost', () => {
  test('localhost is loopback in both families, whatever DNS says', async () => {
    expect(await resolve('localhost')).toEqual({ addresses: ['127.0.0.1', '::1'], failure: undefined })
    expect((await resolve('stun.localhost')).addresses).toEqual(['127.0.0.1', '::1'])
  })

  const inHosts = spawnSync('getent', ['-s', 'files', 'hosts', hostname()]).status === 0
  test.runIf(inHosts)('the hosts file counts', async () => {
    expect((await resolve(hostname())).addresses.length).toBeGreaterThan(0)
  })

  test('L95 a name that does not exist ends with a reason, within the deadline', async () => {
    const start = performance.now()
    const { addresses, failure } = await resolve('floe.invalid')
    expect(addresses).toEqual([])
    expect(failure).toBeTruthy()
    expect(performance.now() - start).toBeLessThan(5_500)
  }, 10_000)

  test('L97 aborted in flight it ends at once and reports nothing', async () => {
    const controller = new AbortController()
    const pending = resolve('floe.invalid', controller.signal)
    const start = performance.now()
    controller.abort()
    expect((await pending).addresses).toEqual([])
    expect(performance.now() - start).toBeLessThan(500)
  })
})

async function resolve(host: string, signal = new AbortController().signal) {
  const addresses: string[] = []
  const failure = await resolveHost(host, { signal, onaddress: (ip) => addresses.push(ip) })
  return { addresses, failure }
}
