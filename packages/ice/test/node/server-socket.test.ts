/** A socket to a TURN server that ends while nobody has closed it: its relay is asked for anew, over another one. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ServerSocket } from '../../src/node/server-socket.ts'
import { udpSocketAt } from './connect.ts'
import { destroySocket, whyNoDestroy } from './destroy-socket.ts'

const ALLOCATE = Uint8Array.of(0, 3, 0, 0)
const CHANNEL_DATA = Uint8Array.of(0x40, 0, 0, 0)

let server: Socket
beforeEach(async () => {
  server = createSocket('udp4')
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => new Promise<void>((resolve) => server.close(resolve)))

function open() {
  const failures: string[] = []
  const local = { ip: '127.0.0.1', port: 0 }
  const handleFailure = (_: unknown, reason: string) => failures.push(reason)
  const socket = new ServerSocket(
    local,
    { ...local, port: server.address().port },
    { handlePacket() {}, handleFailure },
  )
  return { socket, failures }
}

async function portOf(socket: ServerSocket): Promise<number> {
  socket.send(ALLOCATE)
  const [, { port }] = await once(server, 'message')
  return port
}

test.each([ALLOCATE, CHANNEL_DATA])('closed by somebody: a send does not throw, and tells (%j)', async (bytes) => {
  const { socket, failures } = open()
  udpSocketAt(await portOf(socket)).close()
  socket.send(bytes)
  expect(failures).toEqual([])
  await expect.poll(() => failures).toHaveLength(1)
  socket.send(bytes)
  await socket.close()
})

test.skipIf(whyNoDestroy())(`destroyed by the system ${whyNoDestroy() ?? ''}`.trim(), async () => {
  const { socket, failures } = open()
  destroySocket(await portOf(socket))
  await expect.poll(() => [socket.send(ALLOCATE), failures.length]).toEqual([undefined, 1])
  await socket.close()
})
