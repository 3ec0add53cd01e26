import { once } from 'node:events'
import { connect } from 'node:net'
import { joinRoom, type Room } from '@floe/signaling'
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import { io, type Socket } from 'socket.io-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { errorOf, firstPeer, gone, messages } from './listen.ts'

let server: SignalingServer
let victim: Room
let sockets: Socket[]

beforeEach(async () => {
  sockets = []
  server = await createSignalingServer({
    limits: { messagesPerSecond: 1, messageBurst: 30, messageSize: 4_096, heldMessages: 8 },
    resumeGrace: 50,
  })
  victim = await joinRoom(server.url, { room: 'blue' })
})

afterEach(async () => {
  for (const socket of sockets) socket.disconnect()
  await victim.leave()
  await server.stop()
})

const handshake = { version: 1, room: 'blue', agent: 'node', resumeToken: 'a'.repeat(22) }

/** A client of ours to abuse: plain Socket.IO, no schema. */
function raw(auth: object): Socket {
  const socket = io(server.url, { auth, transports: ['websocket'], forceNew: true, reconnection: false })
  sockets.push(socket)
  return socket
}

async function member(): Promise<Socket> {
  const socket = raw(handshake)
  await heard(socket, 'welcome')
  return socket
}

function heard(socket: Socket, event: string): Promise<unknown> {
  return new Promise((resolve) => {
    socket.once(event, resolve)
  })
}

async function stillServes(): Promise<void> {
  const other = await joinRoom(server.url, { room: 'red' })
  const friend = await joinRoom(server.url, { room: 'red' })
  friend.peers.get(other.id)?.send({ bye: 'alive' })
  expect(await messages(await firstPeer(other), 1)).toEqual([{ bye: 'alive' }])
  await Promise.all([other.leave(), friend.leave()])
}

describe('a handshake that is wrong gets a reason and the door', () => {
  const cases: [name: string, auth: object, code: string][] = [
    ['none', {}, 'ERR_SIGNALING_VERSION'],
    ['another version', { ...handshake, version: 99 }, 'ERR_SIGNALING_VERSION'],
    ['no room', { ...handshake, room: undefined }, 'ERR_SIGNALING_ARGUMENT'],
    ['a room that is an object', { ...handshake, room: { toString: 1 } }, 'ERR_SIGNALING_ARGUMENT'],
    ['a room that is a path', { ...handshake, room: '../../etc/passwd' }, 'ERR_SIGNALING_ARGUMENT'],
    ['a short resume token', { ...handshake, resumeToken: 'short' }, 'ERR_SIGNALING_ARGUMENT'],
    ['a secret that is a number', { ...handshake, secret: 7 }, 'ERR_SIGNALING_ARGUMENT'],
    ['the name of a prototype', { ...handshake, room: '__proto__', agent: 'constructor' }, 'ERR_SIGNALING_ARGUMENT'],
  ]
  test.each(cases)('%s', async (_name, auth, code) => {
    const socket = raw(auth)
    const closed = heard(socket, 'disconnect')
    expect(await heard(socket, 'goodbye')).toMatchObject({
      code,
      message: expect.any(String),
      hint: expect.any(String),
    })
    await closed
    expect(server.health().peers).toBe(1)
  })
})

describe('messages that are wrong', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })
  const cases: [name: string, args: unknown[]][] = [
    ['nothing', []],
    ['nulls', [null, null, null]],
    ['a wrong number', [-1, 'x', { bye: '' }]],
    ['a number that is not finite', [Number.POSITIVE_INFINITY, 'x', { bye: '' }]],
    ['an unknown receiver', [1, 'x', { bye: '' }]],
    ['a receiver named like a prototype', [1, '__proto__', { bye: '' }]],
    ['an unknown kind', [1, 'x', { hello: 1 }]],
    ['bytes', [1, 'x', { bye: Buffer.from('binary') }]],
    ['deep nesting', [1, 'x', nested(500)]],
    ['polluted prototypes', [1, 'x', JSON.parse('{"__proto__":{"polluted":1},"bye":7}')]],
  ]
  test.each(cases)('%s: answered with an error', async (_name, args) => {
    const socket = await member()
    const answer = await socket.emitWithAck('signal', ...args)
    expect(answer).toMatchObject({
      code: expect.stringMatching(/^ERR_SIGNALING_(MESSAGE|PEER)$/),
      hint: expect.any(String),
    })
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('without an acknowledgement function, and events nobody knows, do nothing', async () => {
    const socket = await member()
    socket.emit('signal')
    socket.emit('signal', 1, victim.id, { bye: 'x' }, 'not a function')
    socket.emit('disconnecting-not', {})
    socket.emit('constructor', 1)
    await stillServes()
  })

  test('to oneself are refused', async () => {
    const socket = raw(handshake)
    const welcome = (await heard(socket, 'welcome')) as { self: { id: string } }
    expect(await socket.emitWithAck('signal', 1, welcome.self.id, { bye: '' })).toMatchObject({
      code: 'ERR_SIGNALING_PEER',
    })
  })

  test('too big: the connection ends, the server lives', async () => {
    const socket = await member()
    const closed = heard(socket, 'disconnect')
    socket.emit('signal', 1, victim.id, { bye: 'x'.repeat(100_000) })
    await closed
    await stillServes()
  })

  test('too many: refused, and in the end shown the door', async () => {
    const socket = await member()
    const codes = new Set<string | undefined>()
    for (let index = 1; index <= 35; index++) {
      codes.add((await socket.emitWithAck('signal', index, victim.id, { bye: '' }))?.code)
    }
    expect([...codes]).toEqual([undefined, 'ERR_SIGNALING_RATE'])
    const goodbye = heard(socket, 'goodbye')
    for (let index = 0; index < 200; index++) socket.emit('noise')
    expect(await goodbye).toMatchObject({ code: 'ERR_SIGNALING_RATE' })
    await stillServes()
  })

  test('that do not parse as packets of any layer', async () => {
    const garbage = [
      '4',
      '42',
      '42[',
      '45-[]',
      '4{}',
      '40{"a":',
      '451-["signal",{"_placeholder":true,"num":9}]',
      '\u0000',
      '9',
    ]
    for (const bytes of garbage) {
      const socket = await openByHand()
      socket.send(`40${JSON.stringify({ ...handshake, resumeToken: 'b'.repeat(22) })}`)
      socket.send(bytes)
      socket.close()
      await once(socket, 'close')
    }
    await stillServes()
  })

  test('that are not even HTTP', async () => {
    const { hostname, port } = new URL(server.url)
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.end('\x16\x03\x01 TLS?\r\n\r\n'))
      socket.resume().on('close', () => resolve())
    })
    await stillServes()
  })
})

test('a peer that never acknowledges does not fill the memory: who writes to it is refused', async () => {
  const deaf = await openByHand()
  deaf.send(`40${JSON.stringify(handshake)}`)
  const peer = await firstPeer(victim)
  const refused = errorOf(victim)
  for (let index = 0; index < 5; index++) peer.send({ bye: `${index}` }) // half of heldMessages, and one more
  expect(await refused).toMatchObject({ code: 'ERR_SIGNALING_OVERFLOW' })
  expect(peer.left).toBeUndefined()
  for (let index = 0; index < 5; index++) {
    const passing = await joinRoom(server.url, { room: 'blue' })
    await passing.leave()
  }
  expect(await gone(peer)).toBe('vanished') // nor does it get the comings and goings of others for ever
  deaf.close()
})

test('who takes over a resume token ends the former connection', async () => {
  const first = await member()
  const goodbye = heard(first, 'goodbye')
  const second = raw(handshake)
  expect(await heard(second, 'welcome')).toMatchObject({ resumed: true })
  expect(await goodbye).toMatchObject({ code: 'ERR_SIGNALING_REPLACED' })
  expect(server.peersIn('blue')).toBe(2)
})

/** Engine.IO over a bare WebSocket, one text frame at a time: what a hostile client would write by hand. */
async function openByHand(): Promise<WebSocket> {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`)
  socket.on('error', () => {})
  await once(socket, 'message') // Engine.IO's greeting
  return socket
}
