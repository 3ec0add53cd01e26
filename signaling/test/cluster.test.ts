import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type JoinOptions, joinRoom, type Room } from '@floe/signaling'
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { Redis } from '../src/server/redis-bus.ts'
import { Cable } from './cable.ts'
import { errorOf, firstPeer, gone, messages, reached } from './listen.ts'

const root = join(import.meta.dirname, '../..')

// Several servers and a real Redis, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 20_000 })

let redis: ChildProcess
let url: string
let servers: SignalingServer[]
let rooms: Room[]
let clusters = 0

beforeAll(async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  redis = spawn('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''], { stdio: 'ignore' })
  url = `redis://127.0.0.1:${port}`
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
  await vi.waitUntil(answers, { timeout: 10_000 })
})

afterAll(async () => {
  redis.kill('SIGKILL')
  await once(redis, 'exit')
})

beforeEach(() => {
  servers = []
  rooms = []
  clusters += 1
})

afterEach(async () => {
  await Promise.all(rooms.map((room) => room.leave()))
  await Promise.all(servers.map((server) => server.stop()))
})

async function serve(): Promise<SignalingServer> {
  const server = await createSignalingServer({
    redis: { url, prefix: `test-${clusters}` },
    resumeGrace: 400,
    limits: { peersPerRoom: 3 },
  })
  servers.push(server)
  return server
}

async function enter(server: string, options: Partial<JoinOptions> = {}): Promise<Room> {
  const room = await joinRoom(server, { room: 'blue', ...options })
  rooms.push(room)
  return room
}

describe('two servers on one Redis', () => {
  test('relay frames to each other, in both directions', async () => {
    const [one, two] = [await serve(), await serve()]
    const first = await enter(one.url)
    await expect.poll(() => two.peersIn('blue')).toBe(1)
    const second = await enter(two.url)
    const ends = [await firstPeer(first), await firstPeer(second)].map(({ relay }) => relay!)
    const heard = ends.map((relay) => {
      const frames: number[][] = []
      relay.onframe = (frame) => frames.push([frame.length, frame[0]!])
      return frames
    })
    for (const relay of ends) await expect.poll(() => relay.state).toBe('open')
    for (const relay of ends) for (const byte of [1, 2, 3]) relay.send(new Uint8Array(16_512).fill(byte))
    const all = [1, 2, 3].map((byte) => [16_512, byte])
    await expect.poll(() => heard).toEqual([all, all])
  })

  test('a Redis that hangs: no memory is filled, nobody is taken for gone, and what it did not take arrives afterwards', async () => {
    const [one, two] = [await serve(), await serve()]
    const receiver = await enter(two.url)
    await expect.poll(() => one.peersIn('blue')).toBe(1)
    const sender = await enter(one.url)
    const flooder = io(one.url, {
      transports: ['websocket'],
      forceNew: true,
      auth: { version: 1, room: 'blue', agent: 'node', resumeToken: 'f'.repeat(22) },
    })
    await new Promise((resolve) => flooder.once('welcome', resolve))
    await expect.poll(() => two.peersIn('blue')).toBe(3)
    const left: string[] = []
    for (const peer of receiver.peers.values()) peer.onleave = (reason) => left.push(reason)
    const arrived = messages(receiver.peers.get(sender.id)!, 1)
    redis.kill('SIGSTOP')
    try {
      const description = { type: 'offer', sdp: 'x'.repeat(65_000) }
      for (let number = 1; number <= 700; number++)
        flooder.emit('signal', number, receiver.id, { description }, 0, () => {})
      const lost = /^floe_signaling_cluster_errors_total [1-9]/m
      await expect.poll(() => one.metrics(), { timeout: 10_000 }).toMatch(lost)
      sender.peers.get(receiver.id)!.send({ bye: 'after all' })
      await expect.poll(() => one.ready() || two.ready(), { timeout: 8_000 }).toBe(false)
      await delay(2_000) // and then some: two beats, and more than the grace
    } finally {
      redis.kill('SIGCONT')
    }
    expect(await arrived).toEqual([{ bye: 'after all' }])
    await expect.poll(() => one.ready() && two.ready()).toBe(true)
    expect(left).toEqual([])
    flooder.disconnect()
  })

  test('a stranger in their Redis ends neither, and adds no time series', async () => {
    const [one, two] = [await serve(), await serve()]
    const redis = await Redis.connect({ url, prefix: `test-${clusters}` })
    const stranger = new Server({ adapter: redis.adapter })
    const nonsense: unknown[][] = [
      [],
      [null],
      ['x', null],
      ['x', 7],
      ['x', [null, 7, [], {}]],
      [{}, [{ type: 'alive' }]],
    ]
    for (const type of [
      'alive',
      'want',
      'all',
      'join',
      'leave',
      'bye',
      'signal',
      'frame',
      'answer',
      'a"b\nc',
      '__proto__',
    ]) {
      nonsense.push(['x', [{ type }]])
    }
    for (const words of nonsense)
      (stranger as { serverSideEmit(...words: unknown[]): void }).serverSideEmit('floe', ...words)
    await expect.poll(() => one.metrics()).toMatch(/cluster_messages_total\{received="answer"\} 1$/m)
    await delay(100)
    for (const server of [one, two]) expect(server.metrics()).not.toMatch(/received="(undefined|a"b|__proto__)/)
    await enter(one.url)
    await enter(two.url)
    await expect.poll(() => [one.peersIn('blue'), two.peersIn('blue')]).toEqual([2, 2])
    await stranger.of('/').adapter.close()
    redis.close()
  })

  test('are one room: people meet, talk in both directions, and take their leave', async () => {
    const [one, two] = [await serve(), await serve()]
    const first = await enter(one.url)
    await expect.poll(() => two.peersIn('blue')).toBe(1)
    const second = await enter(two.url)
    const [toSecond, toFirst] = [await firstPeer(first), await firstPeer(second)]
    expect([toSecond.id, toFirst.id]).toEqual([second.id, first.id])
    expect([toSecond.polite, toFirst.polite]).toEqual([false, true])
    const heard = Promise.all([messages(toSecond, 20), messages(toFirst, 20)])
    const said = Array.from({ length: 20 }, (_, index) => ({ bye: `${index}` }))
    for (const message of said) {
      toSecond.send(message)
      toFirst.send(message)
    }
    expect(await heard).toEqual([said, said])
    expect(one.health().cluster).toEqual({ connected: true, servers: 1, peers: 1 })
    expect(one.metrics()).toMatch(/^floe_signaling_cluster_servers 1$/m)
    await expect.poll(() => one.metrics()).toMatch(/^floe_signaling_signals_total\{result="delivered"\} 20$/m)
    await second.leave()
    expect(await gone(toSecond)).toBe('left')
    await expect.poll(() => one.peersIn('blue')).toBe(1)
  })

  test('are one in secrets and limits too', async () => {
    const [one, two] = [await serve(), await serve()]
    await enter(one.url, { secret: 'salt' })
    await expect.poll(() => two.peersIn('blue')).toBe(1)
    await expect(enter(two.url, { secret: 'pepper' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_SECRET' })
    await enter(two.url, { secret: 'salt' })
    await enter(two.url, { secret: 'salt' })
    await expect.poll(() => one.peersIn('blue')).toBe(3)
    await expect(enter(one.url, { secret: 'salt' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_ROOM_FULL' })
  })

  test('a newcomer is told who is there', async () => {
    const one = await serve()
    const first = await enter(one.url)
    const two = await serve() // has not heard anybody join
    expect(two.peersIn('blue')).toBe(1)
    const second = await enter(two.url)
    expect([...second.peers.keys()]).toEqual([first.id])
  })

  test('who changes from one to the other is the same peer, and nothing is lost or told twice', async () => {
    const [one, two] = [await serve(), await serve()]
    const steady = await enter(one.url)
    await using cable = await Cable.to(one.url)
    const moving = await enter(cable.url)
    const [toMoving, toSteady] = [await firstPeer(steady), await firstPeer(moving)]
    const heard = Promise.all([messages(toMoving, 3), messages(toSteady, 3)])
    for (const peer of [toMoving, toSteady]) peer.send({ bye: '1' })
    cable.pull()
    await reached(moving, 'interrupted')
    for (const peer of [toMoving, toSteady]) peer.send({ bye: '2' })
    cable.plug(two.url)
    await reached(moving, 'open')
    for (const peer of [toMoving, toSteady]) peer.send({ bye: '3' })
    const said = [{ bye: '1' }, { bye: '2' }, { bye: '3' }]
    expect(await heard).toEqual([said, said])
    await delay(600) // longer than the place at the first server would be held
    expect(steady.peers.get(moving.id)).toBe(toMoving)
    expect([one.peersIn('blue'), two.peersIn('blue')]).toEqual([2, 2])
    expect([toMoving.left, toSteady.left]).toEqual([undefined, undefined])
  })

  test('who vanishes at one has vanished at the other', async () => {
    const [one, two] = [await serve(), await serve()]
    await using cable = await Cable.to(one.url)
    const steady = await enter(two.url)
    await enter(cable.url)
    const peer = await firstPeer(steady)
    cable.pull()
    expect(await gone(peer)).toBe('vanished')
  })

  test('one that stops sends its people to the other; who does not come has vanished', async () => {
    const [one, two] = [await serve(), await serve()]
    await using cable = await Cable.to(one.url)
    const steady = await enter(two.url)
    const comes = await enter(cable.url)
    const stays = await enter(one.url)
    await expect.poll(() => steady.peers.size).toBe(2)
    const [toComes, toStays] = [steady.peers.get(comes.id)!, steady.peers.get(stays.id)!]
    const told = errorOf(comes)
    cable.plug(two.url)
    await one.stop()
    expect(await told).toMatchObject({ code: 'ERR_SIGNALING_STOPPED' })
    await reached(comes, 'open')
    expect(await gone(toStays)).toBe('vanished')
    expect(toComes.left).toBeUndefined()
    expect(two.peersIn('blue')).toBe(2)
  }, 15_000)
})

test('a Redis that is not there is an error that says so', async () => {
  await expect(createSignalingServer({ redis: { url: 'redis://127.0.0.1:1' } })).rejects.toMatchObject({
    code: 'ERR_SIGNALING_UNREACHABLE',
    message: expect.stringMatching(/127\.0\.0\.1:1/),
  })
}, 15_000)

test.each([
  ['a token secret', { tokenSecret: 'short' }],
  ['an ICE server', { iceServers: [{ urls: 'http://127.0.0.1' }] }],
])('%s that is none leaves no connection to Redis', async (_, options) => {
  const connections = async () => {
    const { stdout } = await promisify(execFile)('redis-cli', ['-u', url, 'client', 'list'])
    return stdout.split('\n').filter((line) => line !== '' && !line.includes('cmd=client')).length
  }
  await vi.waitUntil(async () => (await connections()) === 0, { timeout: 5_000 }) // those of the tests before
  await expect(createSignalingServer({ redis: { url }, ...options })).rejects.toMatchObject({
    code: 'ERR_SIGNALING_ARGUMENT',
  })
  await vi.waitUntil(async () => (await connections()) === 0, { timeout: 5_000 })
})

test('three servers: one is killed and Redis starts anew, and everything arrives once, in order, where it belongs', async () => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [tsc, '-b', 'signaling/tsconfig.build.json'], { cwd: root })
  const lab = join(root, 'bench/src/signaling/cluster.mjs')
  const plan = { clients: 100, rooms: 25, duration: 6_000, kill: 1_500, restart: 3_000, outage: 700, patience: 40_000 }
  const { stdout } = await promisify(execFile)(process.execPath, [lab, JSON.stringify(plan)], { timeout: 100_000 })
  expect(JSON.parse(stdout)).toMatchObject({
    ok: true,
    delivered: 3_600,
    strays: 0,
    outOfOrder: 0,
    pairs: { all: 150, complete: 150 },
  })
}, 120_000)
