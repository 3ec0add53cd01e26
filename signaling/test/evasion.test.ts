import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createSignalingServer, type SignalingServer } from '@floe/signaling/server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'

const VICTIM = '127.0.0.1'
const FLOODER = '127.1.0.2'

let server: SignalingServer
let sockets: WebSocket[]
let asked = 0

beforeEach(async () => {
  sockets = []
  asked = 0
  server = await createSignalingServer({
    host: VICTIM,
    limits: { messageBurst: 50, messagesPerSecond: 1 },
    authorize: () => {
      asked += 1
      return true
    },
  })
})

afterEach(async () => {
  for (const socket of sockets) socket.terminate()
  await server.stop()
})

function handshake(room: string, resumeToken = 'f'.repeat(22)): string {
  return `40${JSON.stringify({ version: 1, room, agent: 'node', resumeToken })}`
}

/** A bare connection, whose Socket.IO is written by hand. */
async function bare(): Promise<{ socket: WebSocket; heard: string[] }> {
  const url = `${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`
  const socket = new WebSocket(url, { localAddress: FLOODER })
  const heard: string[] = []
  sockets.push(socket)
  socket.on('message', (data) => heard.push(`${data}`))
  await new Promise((resolve, reject) => socket.once('open', resolve).on('error', reject))
  return { socket, heard }
}

function closed(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState === WebSocket.CLOSED) resolve()
    else socket.once('close', () => resolve())
  })
}

async function joined(room: string, resumeToken?: string): ReturnType<typeof bare> {
  const connection = await bare()
  connection.socket.send(handshake(room, resumeToken))
  await expect.poll(() => connection.heard.some((packet) => packet.startsWith('42["welcome"'))).toBe(true)
  return connection
}

describe('limits that somebody tries to get around', () => {
  test('one connection is one client: who leaves the namespace to come back as somebody else has to go', async () => {
    const { socket } = await bare()
    for (let i = 0; i < 5 && socket.readyState === WebSocket.OPEN; i++) {
      socket.send(handshake(`room-${i}`, `${i}`.padStart(22, 'x')))
      await expect.poll(() => asked > i || socket.readyState !== WebSocket.OPEN).toBe(true)
      socket.send('41')
      await delay(20)
    }
    expect({ asked, rooms: server.health().rooms }).toEqual({ asked: 1, rooms: 1 })
    await closed(socket)
  })

  test('an address that is turned away is so whatever it writes into the URL', async () => {
    for (const room of ['red', 'green']) {
      const { socket, heard } = await joined(room)
      for (let count = 0; count < 400; count++) socket.send('42["noise"]')
      await expect.poll(() => heard.some((packet) => packet.startsWith('42["goodbye"'))).toBe(true)
    }
    const queries = ['', '&x=sid=', '&sid=', '&sid=a&sid=', '&%73id=', '&sid', '#&sid=a']
    const statuses = await Promise.all(queries.map(statusOf))
    expect(Object.fromEntries(queries.map((query, i) => [query, statuses[i]]))).toEqual(
      Object.fromEntries(queries.map((query) => [query, 429])),
    )
    // A session that does not exist is Engine.IO's to refuse, which costs nothing.
    expect(await statusOf('&sid=unknown')).toBe(400)
  })

  async function statusOf(query: string): Promise<number> {
    const { port } = new URL(server.url)
    const socket = connect({ port: Number(port), host: VICTIM, localAddress: FLOODER })
    socket.end(`GET /socket.io/?EIO=4&transport=polling${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    let answer = ''
    for await (const bytes of socket) answer += bytes
    return Number(answer.split(' ')[1])
  }

  test('who has left a room says nothing in it any more, be it another room of that name by now', async () => {
    const former = await joined('den')
    former.socket.send('421["leave"]')
    await expect.poll(() => former.heard).toContain('431[]')
    const other = await joined('den', 'o'.repeat(22))
    const [, id] = /"self":\{"id":"([^"]+)"/.exec(other.heard.join())!
    former.socket.send(`422["signal",1,"${id}",{"bye":"boo"}]`)
    former.socket.send('423["leave"]')
    await expect.poll(() => former.heard).toContain('433[]')
    await delay(20)
    expect(other.heard.filter((packet) => packet.includes('boo'))).toEqual([])
  })

  test('who has all its connections is told so by HTTP: 400 as a WebSocket, 403 as a request', async () => {
    await server.stop()
    server = await createSignalingServer({ host: VICTIM, limits: { connectionsPerAddress: 1 } })
    await joined('den')
    expect(await statusOf('')).toBe(403)
    await expect(bare()).rejects.toThrow('Unexpected server response: 400')
  })

  test('connections that say nothing are bounded as well, and leave room for others', async () => {
    await server.stop()
    server = await createSignalingServer({ host: VICTIM, limits: { connectionsPerAddress: 3 } })
    const { port } = new URL(server.url)
    const ended: boolean[] = []
    const silent = Array.from({ length: 10 }, (_, index) => {
      const socket = connect({ port: Number(port), host: VICTIM, localAddress: FLOODER })
      socket.on('error', () => {})
      return socket.once('close', () => {
        ended[index] = true
      })
    })
    await expect.poll(() => ended.filter(Boolean).length).toBe(4)
    await expect(bare()).rejects.toThrow(/socket hang up|ECONNRESET/)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    for (const socket of silent) socket.destroy()
    await expect.poll(async () => (await bare().catch(() => undefined))?.socket.readyState).toBe(WebSocket.OPEN)
  })
})
