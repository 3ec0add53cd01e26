/** Our Allocation against coturn, over real sockets. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Address } from '@floe/stun'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Coturn, startCoturn } from '../coturn/coturn.ts'
import { RealClient, type Transport } from '../coturn/real-client.ts'

const hasIPv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))

/** Two allocations, each permitting the other's relayed address. */
async function pair(server: Coturn, transport: Transport, channel: boolean, ip = server.ip) {
  const families: readonly (4 | 6)[] = ip.includes(':') ? [6] : [4]
  const open = () => RealClient.open(server, transport, { ip, families })
  const [a, b] = [await open(), await open()]
  const [relayedA, relayedB] = [(await a.allocate()).relayed[0]!, (await b.allocate()).relayed[0]!]
  const allow = (client: RealClient, peer: Address) => {
    if (channel) client.call((allocation, now) => allocation.bindChannel(now, peer))
    else client.call((allocation, now) => allocation.createPermission(now, peer.ip))
    return client.output('permission')
  }
  expect(await allow(a, relayedB)).toMatchObject({ state: 'installed' })
  expect(await allow(b, relayedA)).toMatchObject({ state: 'installed' })
  return { a, b, relayedA, relayedB }
}

async function talk({ a, b, relayedA, relayedB }: Awaited<ReturnType<typeof pair>>, words: number) {
  const said = Array.from({ length: words }, (_, i) => `${i} ${'x'.repeat(i)}`)
  for (const word of said) {
    a.sendText(relayedB, word)
    await b.until(() => b.received.at(-1)?.text === word)
    b.sendText(relayedA, word)
    await a.until(() => a.received.at(-1)?.text === word)
  }
  expect(b.received.map(({ text }) => text)).toEqual(said)
  expect(new Set(b.received.map(({ peer }) => peer))).toEqual(new Set([relayedA]))
}

describe.each([
  { family: 'IPv4', ip: '127.0.0.1' },
  { family: 'IPv6', ip: '::1' },
])('I69 over $family', ({ ip }) => {
  let coturn: Coturn

  beforeAll(async () => {
    if (ip === '::1' && !hasIPv6) return
    coturn = await startCoturn({ ips: [ip], tls: true })
  })
  afterAll(() => coturn?.stop())

  test.skipIf(ip === '::1' && !hasIPv6).each<[Transport, boolean]>([
    ['udp', false],
    ['udp', true],
    ['tcp', false],
    ['tcp', true],
    ['tls', false],
    ['tls', true],
  ])('%s, with a channel: %s: data both ways between two allocations, and release', async (transport, channel) => {
    const both = await pair(coturn, transport, channel)
    await talk(both, 20)
    const from = coturn.log.length
    await Promise.all([both.a.close(), both.b.close()])
    await coturn.logged(/(refreshed, realm=<floe.test>, username=<user>, lifetime=0\b.*){2}/s, 5_000, from)
  })
})

describe('one coturn', () => {
  let coturn: Coturn

  beforeAll(async () => {
    coturn = await startCoturn({ ips: hasIPv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1'], config: ['mobility'] })
  })
  afterAll(() => coturn.stop())

  test.each(['udp', 'tcp'] as const)(
    'I70 a wrong password over %s: failed with 401, and no loop',
    async (transport) => {
      const client = await RealClient.open(coturn, transport, { credential: 'wrong' })
      client.call((allocation, now) => allocation.allocate(now))
      expect(await client.output('failed')).toMatchObject({
        code: 401,
        reason: expect.stringContaining('check username'),
      })
      client.drop()
    },
  )

  test('I72 a port that it remembers: mismatch', async () => {
    const first = await RealClient.open(coturn, 'udp')
    await first.allocate()
    first.drop()
    const again = await RealClient.open(coturn, 'udp', { port: first.allocation.local.port })
    again.call((allocation, now) => allocation.allocate(now))
    await again.output('mismatch')
    again.drop()
  })

  test.skipIf(!hasIPv6)('I81 relays of both families from one allocation', async () => {
    const client = await RealClient.open(coturn, 'udp', { families: [4, 6] })
    const { relayed, refusedFamilies } = await client.allocate()
    expect(relayed).toMatchObject([{ ip: '127.0.0.1' }, { ip: '::1' }])
    expect(refusedFamilies).toEqual([])
    await client.close()
  })

  test('a family that it lacks is named', async () => {
    await using server = await startCoturn()
    const client = await RealClient.open(server, 'udp', { families: [4, 6] })
    const { relayed, refusedFamilies } = await client.allocate()
    expect(relayed).toHaveLength(1)
    expect(refusedFamilies).toMatchObject([{ family: 6, code: 440 }])
    await client.close()
  })

  test('I75 a peer that it denies is refused, one beside it is not', async () => {
    await using server = await startCoturn({ config: ['denied-peer-ip=192.0.2.66'] })
    const client = await RealClient.open(server, 'udp')
    await client.allocate()
    client.call((allocation, now) => {
      allocation.createPermission(now, '192.0.2.66')
      allocation.createPermission(now, '192.0.2.67')
    })
    await client.until(() => client.outputs.filter(({ type }) => type === 'permission').length === 2)
    expect(client.outputs).toContainEqual(expect.objectContaining({ ip: '192.0.2.66', state: 'refused', code: 403 }))
    expect(client.outputs).toContainEqual(expect.objectContaining({ ip: '192.0.2.67', state: 'installed' }))
    await client.close()
  })

  test('RFC 8016: the allocation moves to another port, its channel with it', async () => {
    const [a, b] = [await RealClient.open(coturn, 'udp', { mobility: true }), await RealClient.open(coturn, 'udp')]
    const [relayedA, relayedB] = [(await a.allocate()).relayed[0]!, (await b.allocate()).relayed[0]!]
    a.call((allocation, now) => allocation.bindChannel(now, relayedB))
    b.call((allocation, now) => allocation.bindChannel(now, relayedA))
    await Promise.all([a.output('permission'), b.output('permission')])
    expect(a.allocation.movable).toBe(true)
    const next = await a.another()
    a.call((allocation, now) => allocation.move(now, next))
    await a.output('moved')
    await talk({ a, b, relayedA, relayedB }, 3)
    await Promise.all([a.close(), b.close()])
  })

  test('many messages in few pieces of a stream, of every length', async () => {
    const both = await pair(coturn, 'tcp', true)
    const texts = Array.from({ length: 800 }, (_, i) => `${i} ${'y'.repeat((i * 7) % 1_100)}`)
    // In rounds: between the two relays there is UDP, which drops what comes too fast.
    for (let at = 0; at < texts.length; at += 40) {
      for (const text of texts.slice(at, at + 40)) both.a.sendText(both.relayedB, text)
      await both.b.until(() => both.b.received.length >= at + 40)
    }
    expect(both.b.received.map(({ text }) => text)).toEqual(texts)
    await Promise.all([both.a.close(), both.b.close()])
  })
})

describe('a coturn of its own', () => {
  test.each(['udp', 'tcp'] as const)('I71 stale nonces over %s: refreshes go on', async (transport) => {
    await using server = await startCoturn({ staleNonce: 1 })
    // A refresh every second, since we believe in two seconds of what the server grants.
    const client = await RealClient.open(server, transport, { timing: { longestLifetime: 2_000 } })
    await client.allocate()
    await server.logged(/(Stale nonce.*refreshed, realm=<floe.test>, username=<user>, lifetime=600.*){2}/is)
    expect(client.outputs.map(({ type }) => type)).toEqual(['allocated'])
    await client.close()
  })

  test('I73 that names another one: redirect', async () => {
    await using server = await startCoturn({ config: ['alternate-server=127.0.0.1:3999'] })
    const client = await RealClient.open(server, 'udp')
    client.call((allocation, now) => allocation.allocate(now))
    expect(await client.output('redirect')).toEqual({ type: 'redirect', server: { ip: '127.0.0.1', port: 3999 } })
    client.drop()
  })

  test('I76 killed and started again: the loss is noticed at the next request, a new allocation works', async () => {
    await using server = await startCoturn()
    const client = await RealClient.open(server, 'udp', { timing: { longestLifetime: 2_000 } })
    await client.allocate()
    await server.kill('SIGKILL')
    await server.start()
    expect(await client.output('failed')).toMatchObject({
      code: 437,
      reason: expect.stringContaining('make a new one'),
    })
    client.drop()
    const next = await RealClient.open(server, 'udp')
    await next.allocate()
    await next.close()
  })

  test('as the README of @floe/turn has it', async () => {
    await using server = await startCoturn()
    const readme = readFileSync(new URL('../../packages/turn/README.md', import.meta.url), 'utf8')
    const example = /```ts\n(.*?)```/s.exec(readme)![1]!
    const here = example.replace('192.0.2.1', server.ip).replace('3478', `${server.port}`)
    const directory = mkdtempSync(join(import.meta.dirname, '.readme-'))
    const log = vi.spyOn(console, 'log').mockReturnValue()
    try {
      writeFileSync(join(directory, 'example.ts'), here)
      await import(join(directory, 'example.ts'))
      await server.logged(/lifetime=0\b/)
      expect(log.mock.calls).toEqual([['peers reach me at', [{ ip: server.ip, port: expect.any(Number) }]]])
    } finally {
      log.mockRestore()
      rmSync(directory, { recursive: true })
    }
  })

  test('over its quota: 486, and what to do', async () => {
    await using server = await startCoturn({ config: ['user-quota=1'] })
    const [first, second] = [await RealClient.open(server, 'udp'), await RealClient.open(server, 'udp')]
    await first.allocate()
    second.call((allocation, now) => allocation.allocate(now))
    expect(await second.output('failed')).toMatchObject({ code: 486, reason: expect.stringContaining('in a minute') })
    second.drop()
    await first.close()
  })

  test('with time-limited credentials; without UDP; with relays in a range of ports', async () => {
    await using server = await startCoturn({ secret: 'north', udp: false, minPort: 50_000, maxPort: 50_010 })
    const client = await RealClient.open(server, 'tcp')
    const { relayed } = await client.allocate()
    expect(relayed[0]!.port).toBeGreaterThanOrEqual(50_000)
    expect(relayed[0]!.port).toBeLessThanOrEqual(50_010)
    await client.close()
  })
})
