import { joinRoom, type Room, type SignalingMessage } from '@floe/signaling'
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { errorOf, firstPeer, gone, messages } from './listen.ts'

let server: SignalingServer
let opened: [room: string, secret: string | undefined][]
let rooms: Room[]

beforeEach(async () => {
  opened = []
  rooms = []
  server = await createSignalingServer({
    roomSecret: (room) => (room.startsWith('staff-') ? 'keys' : undefined),
    limits: { peersPerRoom: 3, rooms: 4 },
    onRoom: (room, secret) => opened.push([room, secret]),
  })
})

afterEach(async () => {
  await Promise.all(rooms.map((room) => room.leave()))
  await server.stop()
})

async function join(room: string, options: Partial<Parameters<typeof joinRoom>[1]> = {}): Promise<Room> {
  const joined = await joinRoom(server.url, { room, ...options })
  rooms.push(joined)
  return joined
}

const offer: SignalingMessage = { description: { type: 'offer', sdp: 'v=0\r\n' } }
const candidate: SignalingMessage = {
  candidate: { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0 },
}

describe('peers of a room', () => {
  test('see each other, with the agents they announced', async () => {
    const first = await join('blue')
    const second = await join('blue', { agent: 'browser' })
    const seen = await firstPeer(first)
    expect(seen).toMatchObject({ id: second.id, agent: 'browser' })
    expect([...second.peers.keys()]).toEqual([first.id])
    expect(second.peers.get(first.id)?.agent).toBe('node')
  })

  test('peer() is the one that is there, or else the next; it ends with its signal and with the room', async () => {
    const first = await join('blue')
    const coming = first.peer()
    const second = await join('blue')
    expect([(await coming).id, (await first.peer()).id]).toEqual([second.id, second.id])
    expect((await second.peer()).id).toBe(first.id)
    const alone = await join('green')
    const reason = new Error('enough')
    const patience = new AbortController()
    const waiting = alone.peer({ signal: patience.signal })
    patience.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(alone.peer({ signal: patience.signal })).rejects.toBe(reason)
    const left = expect(alone.peer()).rejects.toMatchObject({ code: 'ERR_SIGNALING_CLOSED' })
    await alone.leave()
    await left
  })

  test('exchange offers, answers, candidates and byes in order, and only with the one that is named', async () => {
    const [first, second, third] = [await join('blue'), await join('blue'), await join('blue')]
    await expect.poll(() => first.peers.size).toBe(2)
    const said: SignalingMessage[] = [
      offer,
      candidate,
      { candidate: null },
      { description: { type: 'answer', sdp: 'v=0' } },
      { bye: 'done' },
    ]
    for (const message of said) first.peers.get(second.id)?.send(message)
    expect(await messages(second.peers.get(first.id)!, said.length)).toEqual(said)
    first.peers.get(third.id)?.send({ bye: 'third' })
    expect(await messages(third.peers.get(first.id)!, 1)).toEqual([{ bye: 'third' }])
  })

  test('are strangers to those of another room', async () => {
    const blue = await join('blue')
    const red = await join('red')
    const second = await join('blue')
    expect([...second.peers.keys()]).toEqual([blue.id])
    expect(red.peers.size).toBe(0)
  })

  test('hold early messages until somebody listens', async () => {
    const first = await join('blue')
    const second = await join('blue')
    const peer = await firstPeer(first)
    peer.send(offer)
    peer.send(candidate)
    const third = await join('blue') // a round trip: by now both have arrived
    expect(third.peers.size).toBe(2)
    expect(await messages(second.peers.get(first.id)!, 2)).toEqual([offer, candidate])
  })

  test('agree on who is polite: the newcomer among equals, the browser towards Node', async () => {
    const first = await join('blue')
    const second = await join('blue')
    expect((await firstPeer(first)).polite).toBe(false)
    expect(second.peers.get(first.id)?.polite).toBe(true)
    const page = await join('red', { agent: 'browser' })
    const node = await join('red', { agent: 'node' })
    expect((await firstPeer(page)).polite).toBe(true)
    expect(node.peers.get(page.id)?.polite).toBe(false)
  })

  test('say when they leave; what they said before still arrives', async () => {
    const first = await join('blue')
    const second = await join('blue')
    const peer = await firstPeer(first)
    second.peers.get(first.id)?.send({ bye: 'goodnight' })
    await second.leave()
    expect(await messages(peer, 1)).toEqual([{ bye: 'goodnight' }])
    expect(await gone(peer)).toBe('left')
    expect(first.peers.size).toBe(0)
    expect(() => peer.send(offer)).not.toThrow()
    expect(await second.closed).toBe('left')
    expect(second.state).toBe('closed')
  })

  test('refuse to send what is no message, at once and with a hint', async () => {
    const first = await join('blue')
    await join('blue')
    const peer = await firstPeer(first)
    const code = 'ERR_SIGNALING_MESSAGE'
    for (const wrong of [undefined, null, 7, {}, { description: { type: 'order' } }, { bye: 7 }]) {
      expect(() => peer.send(wrong as never)).toThrow(expect.objectContaining({ code, hint: expect.any(String) }))
    }
    expect(() => peer.send({ description: { type: 'offer', sdp: 'x'.repeat(70_000) } })).toThrow(/65536/)
  })

  test('take candidates back; a message with more of them than there can be is refused', async () => {
    const first = await join('blue')
    const second = await join('blue')
    const gone = (candidate as { candidate: RTCIceCandidateInit }).candidate
    const peer = await firstPeer(first)
    peer.send({ candidate: gone, removed: Array(64).fill(gone) })
    expect(await messages(second.peers.get(first.id)!, 1)).toEqual([{ candidate: gone, removed: Array(64).fill(gone) }])
    const code = 'ERR_SIGNALING_MESSAGE'
    for (const removed of [[], Array(65).fill(gone), 'all', [7]]) {
      expect(() => peer.send({ candidate: gone, removed } as never)).toThrow(expect.objectContaining({ code }))
    }
  })

  test('cut a farewell that is too long', async () => {
    const first = await join('blue')
    const second = await join('blue')
    ;(await firstPeer(first)).send({ bye: 'x'.repeat(300) })
    expect(await messages(second.peers.get(first.id)!, 1)).toEqual([{ bye: 'x'.repeat(256) }])
  })

  test('may send live objects: their JSON goes out', async () => {
    const first = await join('blue')
    const second = await join('blue')
    const peer = await firstPeer(first)
    const live = { extra: () => {}, toJSON: () => ({ candidate: 'candidate:2', sdpMid: '0', unknown: 1 }) }
    peer.send({ candidate: live as RTCIceCandidateInit })
    expect(await messages(second.peers.get(first.id)!, 1)).toEqual([
      { candidate: { candidate: 'candidate:2', sdpMid: '0' } },
    ])
  })
})

describe('secrets', () => {
  test('the first peer sets it, and the others need it', async () => {
    await join('blue', { secret: 'salt' })
    await expect(join('blue', { secret: 'pepper' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_SECRET' })
    await expect(join('blue')).rejects.toMatchObject({
      code: 'ERR_SIGNALING_SECRET',
      hint: expect.stringMatching(/secret/),
    })
    const second = await join('blue', { secret: 'salt' })
    expect(second.peers.size).toBe(1)
    expect(opened).toEqual([['blue', 'salt']])
  })

  test('who expects a secret does not land in a room without', async () => {
    await join('blue')
    await expect(join('blue', { secret: 'salt' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_SECRET' })
  })

  test('the server may demand one', async () => {
    await expect(join('staff-1')).rejects.toMatchObject({ code: 'ERR_SIGNALING_SECRET' })
    expect((await join('staff-1', { secret: 'keys' })).state).toBe('open')
    expect(opened).toEqual([['staff-1', 'keys']])
  })

  test('cannot be guessed fast: after twenty wrong ones even the right one waits', async () => {
    await join('blue', { secret: 'salt' })
    for (let attempt = 0; attempt < 20; attempt++) {
      await expect(join('blue', { secret: `${attempt}` })).rejects.toMatchObject({ code: 'ERR_SIGNALING_SECRET' })
    }
    await expect(join('blue', { secret: 'salt' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_RATE' })
  })
})

describe('limits', () => {
  test('a full room, and a server with all its rooms, say so', async () => {
    for (let peer = 0; peer < 3; peer++) await join('blue')
    await expect(join('blue')).rejects.toMatchObject({
      code: 'ERR_SIGNALING_ROOM_FULL',
      message: expect.stringMatching(/3 peers/),
    })
    for (const name of ['red', 'green', 'grey']) await join(name)
    await expect(join('black')).rejects.toMatchObject({
      code: 'ERR_SIGNALING_SERVER_FULL',
      message: expect.stringMatching(/4 rooms/),
    })
  })

  test('a room ends with its last peer', async () => {
    const room = await join('blue', { secret: 'salt' })
    await room.leave()
    await expect.poll(() => server.peersIn('blue')).toBe(0)
    await join('blue', { secret: 'pepper' })
    expect(opened).toEqual([
      ['blue', 'salt'],
      ['blue', 'pepper'],
    ])
  })
})

describe('joining', () => {
  test('refuses what cannot be right before it asks anybody', async () => {
    const argument = { code: 'ERR_SIGNALING_ARGUMENT' }
    for (const room of ['', 'two words', '../etc', 'x'.repeat(65)]) {
      await expect(join(room)).rejects.toMatchObject(argument)
    }
    await expect(joinRoom('ftp://example.org', { room: 'blue' })).rejects.toMatchObject(argument)
    await expect(joinRoom('nonsense', { room: 'blue' })).rejects.toMatchObject(argument)
  })

  test('says at once that nobody answers', async () => {
    const { url } = server
    await server.stop()
    await expect(joinRoom(url, { room: 'blue' })).rejects.toMatchObject({ code: 'ERR_SIGNALING_UNREACHABLE' })
  })

  test('can be aborted before, while and after', async () => {
    const aborted = { code: 'ERR_SIGNALING_ABORTED' }
    const reason = new Error('changed my mind')
    await expect(join('blue', { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      ...aborted,
      cause: reason,
    })
    const during = new AbortController()
    const attempt = join('blue', { signal: during.signal })
    during.abort(reason)
    await expect(attempt).rejects.toMatchObject({ ...aborted, cause: reason })
    const after = new AbortController()
    const room = await join('blue', { signal: after.signal })
    after.abort(reason)
    expect(await room.closed).toMatchObject(aborted)
  })

  test('an error of the server reaches the room', async () => {
    const first = await join('blue')
    const second = await join('blue')
    const stale = await firstPeer(first)
    const error = errorOf(first)
    await second.leave()
    stale.send(offer) // our side may not know yet that it has left
    const left = gone(stale)
    const raced = await Promise.race([error, left.then(() => undefined)])
    if (raced !== undefined) expect(raced).toMatchObject({ code: 'ERR_SIGNALING_PEER' })
    expect(await left).toBe('left')
  })
})
