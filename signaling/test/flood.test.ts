import { once } from 'node:events'
import { connect } from 'node:net'
import { joinRoom } from '@floe/signaling'
import { createSignalingServer, DEFAULT_LIMITS, type SignalingServer } from '@floe/signaling/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { Addresses } from '../src/server/addresses.ts'
import { firstPeer, messages } from './listen.ts'

const VICTIM = '127.0.0.1'
const FLOODER = '127.1.0.1'

describe('a server that is flooded', () => {
  let server: SignalingServer
  let sockets: WebSocket[]

  beforeEach(async () => {
    sockets = []
    server = await createSignalingServer({ host: VICTIM, limits: { messageBurst: 50, messagesPerSecond: 1 } })
  })

  afterEach(async () => {
    for (const socket of sockets) socket.terminate()
    await server.stop()
  })

  /** Joins by hand, from an address of its own. */
  async function join(room: string): Promise<WebSocket> {
    const url = `${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`
    const socket = new WebSocket(url, { localAddress: FLOODER })
    sockets.push(socket)
    socket.on('error', () => {})
    await new Promise<void>((resolve, reject) => {
      socket.once('close', () => reject(new Error('turned away')))
      socket.on('message', (data) => {
        const text = `${data}`
        if (text.startsWith('0'))
          socket.send(`40${JSON.stringify({ version: 1, room, agent: 'node', resumeToken: 'f'.repeat(22) })}`)
        else if (text.startsWith('42["welcome"')) resolve()
      })
    })
    return socket
  }

  test('what was asked before too much was asked is answered, in order, also in a message of many turns', async () => {
    const socket = await join('red')
    const answers: string[] = []
    const all = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        if (`${data}`.startsWith('43') && answers.push(`${data}`.slice(0, 4)) === 9) resolve()
      })
    })
    socket.send(`421["signal",1,"nobody",{"bye":"${'x'.repeat(60_000)}"}]`)
    for (let id = 2; id < 10; id++) socket.send(`42${id}["signal",${id},"nobody",{"bye":""}]`)
    await all
    expect(answers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((id) => `43${id}[`))
  })

  test('an address that comes back and floods again is turned away at the door for a while, and others are not', async () => {
    await floodTwice()
    await expect(join('blue')).rejects.toThrow('turned away')
    expect(await asksAt(FLOODER)).toMatch(/^HTTP\/1.1 429 Too Many Requests\r\nretry-after: 1\r\n/i)
    const [first, second] = [await joinRoom(server.url, { room: 'a' }), await joinRoom(server.url, { room: 'a' })]
    second.peers.get(first.id)?.send({ bye: 'alive' })
    expect(await messages(await firstPeer(first), 1)).toEqual([{ bye: 'alive' }])
    await Promise.all([first.leave(), second.leave()])
  })

  test('who is turned away and asks on and on is not listened to, others are, and soon it is told again', async () => {
    await floodTwice()
    const answers: string[] = []
    for (let count = 0; count < 40; count++) answers.push(await asksAt(FLOODER).catch(({ code }) => code))
    expect(answers[0]).toMatch(/^HTTP\/1.1 429 /)
    expect(answers).toContain('ECONNRESET')
    expect(await asksAt(VICTIM)).toMatch(/^HTTP\/1.1 200 /)
    await expect.poll(() => asksAt(FLOODER).catch(({ code }) => code)).toMatch(/^HTTP\/1.1 /)
    expect(server.metrics()).toMatch(/connections_refused_total\{reason="shunned"\} [1-9]/)
  })

  test('one that goes on after its goodbye is cut off soon', async () => {
    const socket = await join('red')
    const closed = once(socket, 'close')
    const goodbye = goodbyeOf(socket)
    const noise = setInterval(() => {
      for (let count = 0; count < 200; count++) socket.send('42["noise"]')
    }, 1)
    socket.on('close', () => clearInterval(noise))
    await goodbye
    const from = performance.now()
    // Not to answer the server's close frame, which ws does by itself: as if it had not been read.
    socket.close = () => {}
    await closed
    expect(performance.now() - from).toBeLessThan(5_000)
  })

  /** After which the address is turned away for a while. */
  async function floodTwice(): Promise<void> {
    for (const room of ['red', 'green']) {
      const socket = await join(room)
      const goodbye = goodbyeOf(socket)
      for (let count = 0; count < 400; count++) socket.send('42["noise"]')
      await goodbye
    }
  }

  async function asksAt(localAddress: string): Promise<string> {
    const { port } = new URL(server.url)
    const socket = connect({ port: Number(port), host: VICTIM, localAddress })
    socket.end('GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    let answer = ''
    for await (const bytes of socket) answer += bytes
    return answer
  }
})

function goodbyeOf(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('message', (data) => {
      if (`${data}`.startsWith('42["goodbye"')) resolve()
    })
  })
}

test('an address is refused for longer each time that it floods, up to a minute, and forgiven in the end', () => {
  const addresses = new Addresses(DEFAULT_LIMITS)
  const refusals: number[] = []
  let now = 0
  for (let flood = 0; flood < 9; flood++) {
    addresses.punish('a', now)
    addresses.punish('a', now) // another connection of the same flood
    refusals.push(addresses.refusedFor('a', now))
    now += 1_000 * addresses.refusedFor('a', now)
  }
  expect(refusals).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
  expect(addresses.refusedFor('a', now)).toBe(0)
  expect(addresses.refusedFor('b', now)).toBe(0)
  addresses.punish('a', now + 600_000)
  expect(addresses.refusedFor('a', now + 600_000)).toBe(0)
})
