import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { joinRoom, type Room } from '@floe/signaling'
import {
  createSignalingServer,
  type IceServerOffer,
  type IceServersOption,
  issueTurnCredentials,
  type SignalingServer,
} from '@floe/signaling/server'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { iceServerSource } from '../src/server/ice-servers.ts'
import { Cable } from './cable.ts'
import { firstPeer, reached } from './listen.ts'

const STUN = { urls: 'stun:stun.example.org' }
const TURN = { urls: ['turn:turn.example.org', 'turns:turn.example.org:443?transport=tcp'] }

let server: SignalingServer | undefined
const rooms: Room[] = []

afterEach(async () => {
  await Promise.all(rooms.splice(0).map((room) => room.leave()))
  await server?.stop()
  server = undefined
  vi.restoreAllMocks()
})

async function serve(iceServers?: IceServersOption): Promise<string> {
  server = await createSignalingServer(iceServers === undefined ? {} : { iceServers })
  return server.url
}

async function join(url: string, room = 'blue'): Promise<Room> {
  const joined = await joinRoom(url, { room })
  rooms.push(joined)
  return joined
}

/** Resolves with the servers that come next. */
function renewed(room: Room): Promise<Room['iceServers']> {
  return new Promise((resolve) => {
    room.addEventListener('iceserverschange', () => resolve(room.iceServers), { once: true })
  })
}

/** A list that is another one each time that it is asked for, and has to be asked for again in `lifetime` ms. */
function counted(lifetime: number): { list: (room: string, peer: string) => IceServerOffer[]; asked: string[] } {
  const asked: string[] = []
  const list = (room: string, peer: string) => {
    asked.push(`${room} ${peer}`)
    return [{ ...TURN, username: `${asked.length}`, credential: 'x', expires: Date.now() + lifetime }]
  }
  return { list, asked }
}

describe('issueTurnCredentials', () => {
  test('are those of draft-uberti-behave-turn-rest: expiry and user, signed with the secret', () => {
    const { urls } = TURN
    const issued = issueTurnCredentials({
      secret: 'north',
      urls,
      user: 'alice',
      lifetime: 60_000,
      now: 1_700_000_000_000,
    })
    expect(issued).toEqual({
      urls,
      username: '1700000060:alice',
      credential: createHmac('sha1', 'north').update('1700000060:alice').digest('base64'),
      expires: 1_700_000_060_000,
    })
    expect(issued.credential).toBe('b/MNJ/XdPk4NPaXAvztSvEoz3wM=') // openssl dgst -sha1 -hmac north
  })

  test('never expire before the time that was asked for, and are good for twelve hours by themselves', () => {
    expect(issueTurnCredentials({ secret: 's', urls: 'turn:h', lifetime: 1, now: 5_000 }).expires).toBe(6_000)
    const { username, expires, urls } = issueTurnCredentials({ secret: 's', urls: 'turn:h', now: 0 })
    expect({ username, expires, urls }).toEqual({ username: '43200', expires: 43_200_000, urls: ['turn:h'] })
  })

  test.each([
    [{ secret: '' }, /'secret'/],
    [{ lifetime: 0 }, /'lifetime'/],
    [{ lifetime: Number.NaN }, /'lifetime'/],
    [{ urls: [] }, /urls/],
    [{ urls: 'https://turn.example.org' }, /STUN or TURN/],
    [{ user: 'x'.repeat(600) }, /username/],
  ])('refuses %j at once', (wrong, complaint) => {
    const code = 'ERR_SIGNALING_ARGUMENT'
    const issue = () => issueTurnCredentials({ secret: 'north', urls: 'turn:h', ...wrong })
    expect(issue).toThrow(expect.objectContaining({ code, message: expect.stringMatching(complaint) }))
  })
})

describe('the servers of a room', () => {
  test('come with the welcome, and peers pass them on', async () => {
    const turn = { ...TURN, username: 'u', credential: 'p' }
    const url = await serve([STUN, turn])
    const [first, second] = [await join(url), await join(url)]
    expect(first.iceServers).toEqual([STUN, turn])
    expect((await firstPeer(first)).iceServers).toEqual([STUN, turn])
    expect(second.peers.get(first.id)?.iceServers).toEqual([STUN, turn])
  })

  test('are none by default', async () => {
    expect((await join(await serve())).iceServers).toEqual([])
  })

  test('may differ by room and peer, and keep their expiry to themselves', async () => {
    const { list, asked } = counted(3_600_000)
    const url = await serve(list)
    const [first, second] = [await join(url), await join(url, 'red')]
    expect(asked).toEqual([`blue ${first.id}`, `red ${second.id}`])
    expect(first.iceServers).toEqual([{ ...TURN, username: '1', credential: 'x' }])
    expect(second.iceServers).toEqual([{ ...TURN, username: '2', credential: 'x' }])
  })

  test('are not for those who are not let in', async () => {
    const { list, asked } = counted(3_600_000)
    server = await createSignalingServer({ iceServers: list, roomSecret: 'salt' })
    await expect(join(server.url)).rejects.toMatchObject({ code: 'ERR_SIGNALING_SECRET' })
    expect(asked).toEqual([])
  })

  test('are renewed in the middle of their life: the room says so, and so does each peer', async () => {
    const { list } = counted(2_000)
    const url = await serve(list)
    const first = await join(url)
    const second = await join(url)
    const peer = await firstPeer(first)
    const heard = new Promise<unknown>((resolve) => {
      peer.oniceserverschange = () => resolve(peer.iceServers)
    })
    const before = performance.now()
    const next = await renewed(first)
    expect(performance.now() - before).toBeLessThan(1_900)
    expect(next).toEqual([{ ...TURN, username: '3', credential: 'x' }])
    expect(await heard).toEqual(next)
    expect(first.iceServers).toEqual(next)
    await second.leave()
  })

  test('are fresh after an interruption', async () => {
    const { list, asked } = counted(3_600_000)
    const url = await serve(list)
    await using cable = await Cable.to(url)
    const room = await join(cable.url)
    cable.pull()
    await reached(room, 'interrupted')
    const next = renewed(room)
    cable.plug()
    expect(await next).toEqual([{ ...TURN, username: '2', credential: 'x' }])
    expect(asked).toHaveLength(2)
    await room.leave()
  })

  test('are asked for by nobody who has left', async () => {
    const { list, asked } = counted(1_000)
    const room = await join(await serve(list))
    await room.leave()
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect(asked).toHaveLength(1)
  })
})

describe('a server whose own option is wrong', () => {
  test.each<[string, unknown]>([
    ['no list', { urls: 'stun:h' }],
    ['a URL of something else', [{ urls: 'https://example.org' }]],
    ['a TURN server without credentials', [TURN]],
    ['no URL', [{ urls: [] }]],
    ['too many', Array(9).fill(STUN)],
  ])('says so when it starts: %s', async (_name, iceServers) => {
    await expect(serve(iceServers as IceServersOption)).rejects.toMatchObject({
      code: 'ERR_SIGNALING_ARGUMENT',
      message: expect.stringContaining('iceServers'),
    })
  })

  test('warns when its function fails, lets peers in without, and recovers', () => {
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const answers: (() => IceServerOffer[])[] = [
      () => [STUN],
      () => {
        throw new Error('the vault is closed')
      },
      () => [{ urls: 'nonsense' }],
      () => [STUN],
    ]
    const source = iceServerSource(() => answers.shift()!())
    const supplies = [1, 2, 3, 4].map(() => source('blue', 'me'))
    expect(supplies.map(({ iceServers }) => iceServers)).toEqual([[STUN], undefined, undefined, [STUN]])
    expect(supplies.map(({ renewIn }) => renewIn)).toEqual([Infinity, 10_000, 10_000, Infinity])
    expect(warnings.mock.calls.map(([warning]) => String(warning))).toEqual(['Error: the vault is closed'])
  })

  test('is not kept busy by what has expired, and survives what never does', () => {
    const expiring = (expires: number) => iceServerSource(() => [{ ...STUN, expires }])('blue', 'me').renewIn
    expect(expiring(0)).toBe(1_000)
    expect(expiring(Number.MAX_SAFE_INTEGER)).toBe(2_147_483_647)
    expect(expiring(Date.now() + 60_000)).toBeCloseTo(30_000, -2)
  })

  test('keeps a peer in the room whose function fails', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const room = await join(
      await serve(() => {
        throw new Error('closed')
      }),
    )
    expect([room.state, room.iceServers]).toEqual(['open', []])
  })
})

describe('one end that does not know them', () => {
  const handshake = { version: 1, room: 'blue', agent: 'node', resumeToken: 'a'.repeat(22) }

  test('an old client is not disturbed, and nothing piles up for it', async () => {
    const { list, asked } = counted(1)
    const url = await serve(list)
    const socket = io(url, { auth: handshake, transports: ['websocket'], forceNew: true, reconnection: false })
    const events: string[] = []
    socket.onAny((event) => events.push(event))
    socket.once('welcome', () => {})
    await expect.poll(() => asked.length, { timeout: 5_000 }).toBe(2)
    const friend = await join(url)
    await expect.poll(() => events).toEqual(['welcome', 'iceServers', 'event'])
    friend.peers.get([...friend.peers.keys()][0]!)?.send({ bye: 'still here' })
    await expect.poll(() => events).toEqual(['welcome', 'iceServers', 'event', 'event'])
    socket.disconnect()
  })

  /** What a server of the first days says, or one that wishes us ill. */
  async function impostor(welcome: object, then: unknown[] = []): Promise<{ url: string; stop(): Promise<void> }> {
    const httpServer = createServer()
    const sockets = new Server(httpServer, { serveClient: false })
    sockets.on('connection', (socket) => {
      const self = { id: 'me', agent: 'node', joined: 1 }
      socket.emit('welcome', { self, peers: [], resumed: false, resumeGrace: 1_000, ...welcome })
      for (const iceServers of then) socket.emit('iceServers', iceServers)
      socket.on('leave', (acknowledge) => acknowledge())
    })
    httpServer.listen(0, '127.0.0.1')
    await once(httpServer, 'listening')
    const { port } = httpServer.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}`, stop: () => sockets.close() }
  }

  test('an old server gives none', async () => {
    const old = await impostor({})
    const room = await join(old.url)
    expect(room.iceServers).toEqual([])
    await room.leave()
    await old.stop()
  })

  const wrong: [name: string, iceServers: unknown][] = [
    ['no list', 7],
    ['null', null],
    ['a list of nothing', [null]],
    ['a URL that no RTCPeerConnection takes', [{ urls: 'javascript:alert(1)' }]],
    ['an endless URL', [{ urls: `stun:${'h'.repeat(600)}` }]],
    ['an endless list', Array(1_000).fill(STUN)],
    ['endless URLs', [{ urls: Array(1_000).fill('stun:h') }]],
    ['an endless credential', [{ ...TURN, username: 'u', credential: 'x'.repeat(10_000) }]],
    ['a user name of more bytes than STUN has room for', [{ ...TURN, username: 'ü'.repeat(255), credential: 'x' }]],
    ['a TURN server without credentials', [TURN]],
    ['a credential that is an object', [{ ...TURN, username: 'u', credential: { toString: 1 } }]],
  ]
  test.each(wrong)('a welcome with %s is none', async (_name, iceServers) => {
    const hostile = await impostor({ iceServers })
    await expect(join(hostile.url)).rejects.toMatchObject({ code: 'ERR_SIGNALING_VERSION' })
    await hostile.stop()
  })

  test('renewals that make no sense change nothing, and the next one counts', async () => {
    const renewals = [...wrong.map(([, iceServers]) => iceServers), [STUN]]
    const hostile = await impostor({ iceServers: [] }, renewals)
    const room = await join(hostile.url)
    const changes: unknown[] = []
    room.addEventListener('iceserverschange', () => changes.push(room.iceServers))
    await expect.poll(() => room.iceServers).toEqual([STUN])
    expect(changes.length).toBeLessThanOrEqual(1) // it may have come before we listened
    await room.leave()
    await hostile.stop()
  })

  test('members that a newer server adds are dropped', async () => {
    const newer = await impostor({ iceServers: [{ ...STUN, region: 'eu', expires: 1 }] })
    const room = await join(newer.url)
    expect(room.iceServers).toEqual([STUN])
    await room.leave()
    await newer.stop()
  })
})
