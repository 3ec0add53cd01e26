import { once } from 'node:events'
import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { joinRoom } from '@floe/signaling'
import { Server, type Socket } from 'socket.io'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Heard, Pending } from '../src/client/pending.ts'
import { messages } from './listen.ts'

describe('what waits for its receiver', () => {
  test('says for each receiver what comes before, as long as that may be missing', () => {
    const pending = new Pending()
    const add = (to: string) => pending.add(to, { bye: '' })
    expect([add('a'), add('b'), add('a')].map((signal) => signal?.[3])).toEqual([0, 0, 1])
    pending.remove(1)
    pending.remove(1)
    expect(pending.signals().map(([number, to, , after]) => [number, to, after])).toEqual([
      [2, 'b', 0],
      [3, 'a', 0],
    ])
    expect(add('a')?.[3]).toBe(3)
    expect(pending.signals('a').map(([number, , , after]) => [number, after])).toEqual([
      [3, 0],
      [4, 3],
    ])
    for (const number of [2, 3, 4]) pending.remove(number)
    expect(pending.isEmpty).toBe(true)
  })

  test('is taken once, and not before what comes before', () => {
    const heard = new Heard()
    expect(heard.judge('a', 3, 2)).toBe('early')
    expect(heard.judge('a', 2, 0)).toBe('new')
    heard.note('a', 2)
    expect(heard.judge('a', 2, 0)).toBe('known')
    expect(heard.judge('a', 3, 2)).toBe('new')
    expect(heard.judge('b', 3, 0)).toBe('new')
  })
})

describe('a server that forgets', () => {
  let httpServer: HttpServer
  let io: Server
  let url: string
  let onsignal: (socket: Socket, number: number, acknowledge: (error: null) => void) => void

  beforeEach(async () => {
    httpServer = createServer().listen(0, '127.0.0.1')
    await once(httpServer, 'listening')
    url = `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}`
    io = new Server(httpServer)
    io.on('connection', (socket) => {
      const [self, other] = ['self', 'other'].map((id, index) => ({ id, agent: 'node', joined: index }))
      socket.emit('welcome', { self, peers: [other], resumed: false, resumeGrace: 1_000 })
      socket.on('signal', (number, _to, _message, _after, acknowledge) => onsignal(socket, number, acknowledge))
      socket.on('leave', (acknowledge) => acknowledge())
    })
  })

  afterEach(() => io.close())

  test('is told again, also while all else goes well', async () => {
    const told: number[] = []
    onsignal = (_socket, number, acknowledge) => {
      told.push(number)
      if (number !== 1 || told.filter((other) => other === 1).length > 1) acknowledge(null)
    }
    await using room = await joinRoom(url, { room: 'blue' })
    const chatter = setInterval(() => room.peers.get('other')?.send({ bye: 'more' }), 100)
    room.peers.get('other')?.send({ bye: 'first' })
    await expect.poll(() => told.filter((number) => number === 1).length, { timeout: 4_000 }).toBe(2)
    clearInterval(chatter)
    expect(told.filter((number) => number === 2)).toHaveLength(1)
  })

  test('does not make anything be heard twice, or too early', async () => {
    const answers: boolean[] = []
    onsignal = () => {}
    await using room = await joinRoom(url, { room: 'blue' })
    const [socket] = await io.fetchSockets()
    const tell = async (number: number, signal: number, after: number, text: string) => {
      const event = { type: 'signal', from: 'other', number: signal, after, message: { bye: text } }
      answers.push(await io.sockets.sockets.get(socket!.id)!.emitWithAck('event', number, event))
    }
    const heard = messages(room.peers.get('other')!, 2)
    await tell(1, 2, 1, 'second')
    await tell(2, 1, 0, 'first')
    await tell(3, 1, 0, 'first')
    await tell(4, 2, 1, 'second')
    expect(await heard).toEqual([{ bye: 'first' }, { bye: 'second' }])
    expect(answers).toEqual([false, true, true, true])
  })
})
