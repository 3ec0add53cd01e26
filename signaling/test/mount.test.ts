import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { joinRoom } from '@floe/signaling'
import { createSignalingServer } from '@floe/signaling/server'
import { io } from 'socket.io-client'
import { describe, expect, test } from 'vitest'
import { errorOf, reached } from './listen.ts'

async function existingServer(): Promise<{ httpServer: Server; url: string }> {
  const httpServer = createServer((request, response) => response.end(`mine: ${request.url}`))
  httpServer.listen(0, '127.0.0.1')
  await once(httpServer, 'listening')
  return { httpServer, url: `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}` }
}

async function text(url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: 'close' } })).text()
}

function closed(httpServer: Server): Promise<unknown> {
  return new Promise((resolve) => httpServer.close(resolve))
}

describe('the health report', () => {
  test('counts what there is', async () => {
    await using server = await createSignalingServer()
    const room = await joinRoom(server.url, { room: 'blue' })
    const response = await fetch(`${server.url}/healthz`)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toEqual({
      status: 'ok',
      version: 1,
      rooms: 1,
      peers: 1,
      connections: 1,
      uptime: expect.any(Number),
    })
    expect((await fetch(`${server.url}/anything`)).status).toBe(404)
    await room.leave()
  })
})

describe('in an HTTP server of somebody else', () => {
  test('serves beside it and leaves it as it was', async () => {
    const { httpServer, url } = await existingServer()
    const server = await createSignalingServer({ httpServer })
    expect(server.url).toBe(url)
    const room = await joinRoom(url, { room: 'blue' })
    expect(await text(`${url}/page`)).toBe('mine: /page')
    expect(await text(`${url}/healthz?x`)).toContain('"rooms":1')
    await room.leave()
    await server.stop()
    expect(httpServer.listening).toBe(true)
    expect(await text(`${url}/healthz`)).toBe('mine: /healthz')
    expect(await text(`${url}/socket.io/?EIO=4&transport=polling`)).toContain('mine: /socket.io')
    await closed(httpServer)
  })

  test('can leave /healthz to its owner', async () => {
    const { httpServer, url } = await existingServer()
    const server = await createSignalingServer({ httpServer, healthPath: false })
    expect(await text(`${url}/healthz`)).toBe('mine: /healthz')
    expect(server.health()).toMatchObject({ status: 'ok', rooms: 0 })
    await server.stop()
    await closed(httpServer)
  })
})

describe('stopping', () => {
  test('tells the clients, frees the port, and is done once', async () => {
    const server = await createSignalingServer()
    const { url } = server
    const room = await joinRoom(url, { room: 'blue' })
    const told = errorOf(room)
    await Promise.all([server.stop(), server.stop()])
    expect(await told).toMatchObject({ code: 'ERR_SIGNALING_STOPPED' })
    await reached(room, 'interrupted')
    await expect(fetch(url)).rejects.toThrow()
    const successor = await createSignalingServer({ port: Number(new URL(url).port) })
    await room.leave()
    await successor.stop()
  })

  test('a taken port is an error that says so', async () => {
    await using server = await createSignalingServer()
    await expect(createSignalingServer({ port: Number(new URL(server.url).port) })).rejects.toMatchObject({
      code: 'ERR_SIGNALING_UNREACHABLE',
      cause: { code: 'EADDRINUSE' },
    })
  })
})

describe('web pages of other origins', () => {
  const stranger = 'https://stranger.example'

  async function connects(url: string, origin: string): Promise<boolean> {
    const socket = io(url, { transports: ['websocket'], extraHeaders: { origin }, forceNew: true, reconnection: false })
    const outcome = new Promise<boolean>((resolve) => {
      socket.on('goodbye', () => resolve(true)) // no handshake of ours, but the connection was let through
      socket.on('connect_error', () => resolve(false))
    })
    return outcome.finally(() => socket.disconnect())
  }

  test('may not connect unless they are allowed', async () => {
    await using server = await createSignalingServer()
    expect(await connects(server.url, server.url)).toBe(true)
    expect(await connects(server.url, stranger)).toBe(false)
    expect(await connects(server.url, 'null')).toBe(false)
  })

  test('may when they are named, or all are', async () => {
    await using some = await createSignalingServer({ origins: [stranger] })
    expect(await connects(some.url, stranger)).toBe(true)
    expect(await connects(some.url, 'https://other.example')).toBe(false)
    const preflight = await fetch(`${some.url}/socket.io/?EIO=4&transport=polling&sid=none`, {
      headers: { origin: stranger },
    })
    expect(preflight.headers.get('access-control-allow-origin')).toBe(stranger)
    await using all = await createSignalingServer({ origins: '*' })
    expect(await connects(all.url, 'https://other.example')).toBe(true)
  })
})
