import { joinRoom, type Peer, type Relay, type Room } from '@floe/signaling'
import { createSignalingServer, type SignalingLimits, type SignalingServer } from '@floe/signaling/server'
import { io } from 'socket.io-client'
import { afterEach, expect, test, vi } from 'vitest'
import { Cable } from './cable.ts'
import { firstPeer, gone, reached } from './listen.ts'

let server: SignalingServer
const rooms: Room[] = []

afterEach(async () => {
  await Promise.all(rooms.splice(0).map((room) => room.leave()))
  await server.stop()
})

async function pair(limits: Partial<SignalingLimits> = {}): Promise<[Peer, Peer]> {
  server = await createSignalingServer({ limits, resumeGrace: 300 })
  const first = await join('blue')
  const second = await join('blue')
  return [await firstPeer(first), await firstPeer(second)]
}

async function join(room: string, url = server.url): Promise<Room> {
  const joined = await joinRoom(url, { room })
  rooms.push(joined)
  return joined
}

function frames({ relay }: Peer): Uint8Array[] {
  const heard: Uint8Array[] = []
  relay!.onframe = (frame) => heard.push(new Uint8Array(frame))
  return heard
}

const open = (relay: Relay | undefined) => vi.waitFor(() => expect(relay!.state).toBe('open'))

test('frames go to the peer that is named, both ways, in order, and to nobody else', async () => {
  const [toSecond, toFirst] = await pair()
  const third = await join('blue')
  const [atFirst, atSecond] = [frames(toSecond), frames(toFirst)]
  const atThird = [...third.peers.values()].flatMap((peer) => frames(peer))
  await Promise.all([open(toSecond.relay), open(toFirst.relay)])
  for (const byte of [1, 2, 3]) toSecond.relay!.send(new Uint8Array([byte]))
  toFirst.relay!.send(new Uint8Array(16_512).fill(7))
  await vi.waitFor(() => expect(atSecond).toEqual([1, 2, 3].map((byte) => new Uint8Array([byte]))))
  await vi.waitFor(() => expect(atFirst).toEqual([new Uint8Array(16_512).fill(7)]))
  expect(atThird).toEqual([])
})

test('the pace is the server’s: who waits while busy loses nothing and is slowed down', async () => {
  const [toSecond, toFirst] = await pair({ relayBytesPerSecond: 200_000 })
  const heard = frames(toFirst)
  const relay = toSecond.relay!
  await open(relay)
  const started = performance.now()
  for (let sent = 0; sent < 40; sent++) {
    while (relay.state === 'busy') await new Promise<void>((resolve) => (relay.onstatechange = resolve))
    relay.send(new Uint8Array(10_000).fill(sent))
  }
  await vi.waitFor(() => expect(heard).toHaveLength(40))
  // 400 kB less one second's burst and what may be unanswered.
  expect(performance.now() - started).toBeGreaterThan(250)
})

test('the limit of the room holds for all its members together', async () => {
  const [toSecond] = await pair({ roomRelayBytesPerSecond: 50_000 })
  const third = await join('blue')
  await open(toSecond.relay)
  const other = third.peers.get([...third.peers.keys()][0]!)!
  await open(other.relay)
  for (let i = 0; i < 14; i++) toSecond.relay!.send(new Uint8Array(10_000))
  expect(toSecond.relay!.state).toBe('busy')
  // Its own rate would let these through at once; of the room's burst, 50 kB, it gets a part, as both are read in turns.
  for (let i = 0; i < 19; i++) other.relay!.send(new Uint8Array(10_000))
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(other.relay!.state).toBe('busy')
})

test('a flood that does not wait is refused, then ended; the receiver gets no more than the limits', async () => {
  const [, toFirst] = await pair({ relayBytesPerSecond: 100_000, messageBurst: 50, messagesPerSecond: 10 })
  const heard = frames(toFirst)
  const socket = io(server.url, {
    transports: ['websocket'],
    auth: { version: 1, room: 'blue', agent: 'node', resumeToken: 'x'.repeat(22) },
    reconnection: false,
  })
  const ended = new Promise<{ code: string }>((resolve) => socket.on('goodbye', resolve))
  const first = (await new Promise<{ peers: { id: string }[] }>((resolve) => socket.on('welcome', resolve))).peers
  for (let i = 0; i < 300; i++) socket.emit('relay', first[1]!.id, new Uint8Array(10_000), () => {})
  expect(await ended).toMatchObject({ code: 'ERR_SIGNALING_RATE' })
  socket.disconnect()
  expect(heard.length).toBeLessThan(40)
})

test.each([
  ['nothing', []],
  ['an empty frame', ['somebody', new Uint8Array(0)]],
  ['too large a frame', ['somebody', new Uint8Array(20_000)]],
  ['text', ['somebody', 'frame']],
  ['a frame for nobody', ['somebody', new Uint8Array(1)]],
])('%s is refused', async (_, values) => {
  server = await createSignalingServer()
  const socket = io(server.url, {
    transports: ['websocket'],
    auth: { version: 1, room: 'blue', agent: 'node', resumeToken: 'x'.repeat(22) },
  })
  await new Promise((resolve) => socket.on('welcome', resolve))
  socket.emit('relay') // without anybody to answer
  expect(await socket.emitWithAck('relay', ...values)).toMatchObject({ code: expect.stringMatching(/ERR_SIGNALING/) })
  socket.disconnect()
})

test('down while the connection to the server is broken, open afterwards; down for good when the peer has left', async () => {
  server = await createSignalingServer({ resumeGrace: 2_000 })
  await using cable = await Cable.to(server.url)
  const steady = await join('blue')
  const shaky = await join('blue', cable.url)
  const [toShaky, toSteady] = [await firstPeer(steady), await firstPeer(shaky)]
  await open(toSteady.relay)
  const states: string[] = []
  toSteady.relay!.onstatechange = () => states.push(toSteady.relay!.state)
  cable.pull()
  await reached(shaky, 'interrupted')
  toSteady.relay!.send(new Uint8Array(1)) // lost, and nobody's mistake
  cable.plug()
  await open(toSteady.relay)
  expect(states).toEqual(['down', 'open'])
  const heard = frames(toShaky)
  toSteady.relay!.send(new Uint8Array([9]))
  await vi.waitFor(() => expect(heard).toEqual([new Uint8Array([9])]))
  await steady.leave()
  await gone(toSteady)
  expect(toSteady.relay!.state).toBe('down')
})

test('a server may offer none', async () => {
  const [toSecond] = await pair({ relayBytesPerSecond: 0 })
  expect(toSecond.relay).toBeUndefined()
})

test('a frame of the wrong size is a mistake of the caller', async () => {
  const [toSecond] = await pair()
  for (const size of [0, 16_513]) expect(() => toSecond.relay!.send(new Uint8Array(size))).toThrow(RangeError)
})
