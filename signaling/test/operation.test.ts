import type { IncomingMessage } from 'node:http'
import { joinRoom } from '@floe/signaling'
import { createSignalingServer, DEFAULT_LIMITS, type LogRecord } from '@floe/signaling/server'
import { io } from 'socket.io-client'
import { describe, expect, test } from 'vitest'
import { Addresses, addressOf } from '../src/server/addresses.ts'
import { errorOf, firstPeer, messages, reached } from './listen.ts'

describe('limits per address', () => {
  test('count connections, arrivals and messages, and forgive with time', () => {
    const addresses = new Addresses({
      ...DEFAULT_LIMITS,
      connectionsPerAddress: 2,
      connectionsPerSecondPerAddress: 1,
      connectionBurstPerAddress: 3,
      messagesPerSecondPerAddress: 10,
      messageBurstPerAddress: 2,
    })
    const arrive = (now: number) => {
      const refusal = addresses.refuse('192.0.2.1', now)
      if (refusal === undefined) addresses.opened('192.0.2.1', now)
      return refusal
    }
    expect([arrive(0), arrive(0)]).toEqual([undefined, undefined])
    expect(arrive(0)).toMatch(/all its connections/)
    addresses.closed('192.0.2.1')
    expect(arrive(0)).toBeUndefined()
    addresses.closed('192.0.2.1')
    expect(arrive(0)).toMatch(/too many/)
    expect(arrive(2_500)).toBeUndefined()
    expect([1, 2, 3].map(() => addresses.message('192.0.2.1', 5_000))).toEqual([true, true, false])
    expect(addresses.message('192.0.2.2', 5_000)).toBe(true)
    for (let more = 0; more < 100; more++) addresses.message('192.0.2.1', 5_000)
    expect(addresses.isFlooding('192.0.2.1', 5_000)).toBe(true)
    expect(addresses.isFlooding('192.0.2.1', 8_000)).toBe(false)
  })

  test('remember a bounded number of them', () => {
    const addresses = new Addresses(DEFAULT_LIMITS)
    for (let index = 0; index < 50_000; index++) addresses.refuse(`${index}`, 0)
    expect(addresses.size).toBeLessThanOrEqual(20_000)
  })

  const cases: [remote: string, forwarded: string | undefined, proxies: number, counted: string][] = [
    ['192.0.2.1', undefined, 0, '192.0.2.1'],
    ['::ffff:192.0.2.1', undefined, 0, '192.0.2.1'],
    ['192.0.2.1', '203.0.113.9', 0, '192.0.2.1'],
    ['10.0.0.1', 'forged, 203.0.113.9', 1, '203.0.113.9'],
    ['10.0.0.1', 'forged, 203.0.113.9, 10.0.0.2', 2, '203.0.113.9'],
    ['10.0.0.1', '203.0.113.9:4711', 1, '203.0.113.9'],
    ['10.0.0.1', undefined, 1, '10.0.0.1'],
    ['2001:db8:0:7:1:2:3:4', undefined, 0, '2001:db8:0:7::/64'],
    ['2001:db8::1', undefined, 0, '2001:db8:0:0::/64'],
    ['10.0.0.1', '[2001:DB8:0:7::1]:443', 1, '2001:db8:0:7::/64'],
    ['::1', undefined, 0, '0:0:0:0::/64'],
  ]
  test.each(cases)('%s, forwarded for %s, behind %i proxies, counts as %s', (remote, forwarded, proxies, counted) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    const request = { socket: { remoteAddress: remote }, headers } as unknown as IncomingMessage
    expect(addressOf(request, proxies)).toBe(counted)
  })

  test('hold at the door, and for messages', async () => {
    await using server = await createSignalingServer({
      trustedProxies: 1,
      limits: { connectionsPerAddress: 2, messageBurstPerAddress: 20, messagesPerSecondPerAddress: 1 },
    })
    const connect = (address: string) => {
      const extraHeaders = { 'x-forwarded-for': address }
      const socket = io(server.url, { transports: ['websocket'], extraHeaders, forceNew: true, reconnection: false })
      socket.auth = {
        version: 1,
        room: 'blue',
        agent: 'node',
        resumeToken: crypto.randomUUID(),
      }
      return socket
    }
    const outcome = (socket: ReturnType<typeof io>) =>
      new Promise<string>((resolve) => {
        socket.on('welcome', () => resolve('welcome'))
        socket.on('connect_error', () => resolve('refused'))
      })
    const sockets = ['203.0.113.1', '203.0.113.1'].map(connect)
    expect(await Promise.all(sockets.map(outcome))).toEqual(['welcome', 'welcome'])
    const third = connect('203.0.113.1')
    expect(await outcome(third)).toBe('refused')
    const other = connect('203.0.113.2')
    expect(await outcome(other)).toBe('welcome')
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        sockets[index % 2]?.emitWithAck('signal', index + 1, 'nobody', { bye: '' }),
      ),
    )
    expect(answers.filter(({ code }) => code === 'ERR_SIGNALING_RATE')).toHaveLength(10)
    expect(await other.emitWithAck('signal', 1, 'nobody', { bye: '' })).toMatchObject({ code: 'ERR_SIGNALING_PEER' })
    for (const socket of [...sockets, third, other]) socket.disconnect()
  })
})

describe('an operator', () => {
  test('reads metrics, which name nobody', async () => {
    await using server = await createSignalingServer({ metricsPath: '/metrics' })
    await using first = await joinRoom(server.url, { room: 'blue-room' })
    await using second = await joinRoom(server.url, { room: 'blue-room' })
    ;(await firstPeer(first)).send({ bye: 'x' })
    await messages(await firstPeer(second), 1)
    const response = await fetch(`${server.url}/metrics`)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const text = await response.text()
    expect(text).toContain('\nfloe_signaling_peers 2\n')
    expect(text).toContain('\nfloe_signaling_joins_total{result="joined"} 2\n')
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
    expect(text).not.toMatch(/blue-room|127\.0\.0\.1/)
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"\\]*"(,\w+="[^"\\]*")*\})? -?[\d.e+-]+)$/)
    }
  })

  test('gets records of what happens, without secrets', async () => {
    const records: LogRecord[] = []
    await using server = await createSignalingServer({ log: (record) => records.push(record) })
    await using room = await joinRoom(server.url, { room: 'blue', secret: 'swordfish' })
    await expect(joinRoom(server.url, { room: 'blue', secret: 'guess' })).rejects.toThrow()
    await room.leave()
    await expect.poll(() => records.map(({ event }) => event)).toEqual(['joined', 'rejected', 'left'])
    expect(records[1]).toMatchObject({
      level: 'warn',
      code: 'ERR_SIGNALING_SECRET',
      address: '127.0.0.1',
      room: 'blue',
    })
    expect(JSON.stringify(records)).not.toMatch(/swordfish|guess/)
  })

  test('sends clients away little by little, and load balancers at once', async () => {
    await using server = await createSignalingServer()
    const { url } = server
    const rooms = await Promise.all(['a', 'b', 'c'].map((room) => joinRoom(url, { room })))
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    const told = Promise.all(rooms.map(errorOf))
    const stopped = server.stop({ drain: 300 })
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({ status: 'draining' })
    await expect(joinRoom(url, { room: 'd' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_UNREACHABLE' })
    expect((await told).map(({ code }) => code)).toEqual(Array(3).fill('ERR_SIGNALING_STOPPED'))
    await stopped
    await Promise.all(rooms.map((room) => reached(room, 'interrupted')))
    await Promise.all(rooms.map((room) => room.leave()))
  })
})
