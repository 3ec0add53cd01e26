import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { IceTransport, type IceTransportOptions, parseCandidate } from '../../src/node/index.ts'
import { LOOPBACK } from './connect.ts'

/** Between the two ends, like a firewall that forgets connections and tells neither end. */
class Middlebox {
  readonly #server = createServer((socket) => this.#pass(socket))
  readonly #sockets: Socket[] = []
  readonly #target: () => number
  opened = 0

  constructor(target: () => number) {
    this.#target = target
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  forget(): void {
    for (const socket of this.#sockets) socket.removeAllListeners('data')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #pass(near: Socket): void {
    this.opened++
    const far = connect(this.#target(), '127.0.0.1')
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      this.#sockets.push(from)
      from.on('data', (bytes) => to.write(bytes))
      from.on('error', () => {})
    }
  }
}

test('J84 a connection that a firewall forgets is replaced by a new one while data flows', async () => {
  const options: IceTransportOptions = {
    ...LOOPBACK,
    candidatePolicy: ({ protocol }) => protocol === 'tcp',
    timing: { disconnectedTimeout: 2_000 },
  }
  await using a = new IceTransport({ ...options, role: 'controlling' })
  await using b = new IceTransport({ ...options, role: 'controlled' })
  let passivePort = 0
  await using middlebox = new Middlebox(() => passivePort)
  const port = await middlebox.listen()
  // Only `a` learns where to connect to, and that is the middlebox.
  b.addEventListener('icecandidate', ({ candidate }) => {
    const line = candidate?.candidate ?? ''
    const parsed = parseCandidate(line)
    if (parsed?.tcpType !== 'passive') return
    passivePort = parsed.address.port
    a.addRemoteCandidate({ candidate: line.replace(` ${passivePort} `, ` ${port} `) })
  })
  a.gather()
  b.gather()
  a.start(b.getLocalParameters())
  b.start(a.getLocalParameters())
  await Promise.all([a.connected(), b.connected()])
  const heard = { a: 0, b: 0 }
  a.ondata = () => heard.a++
  b.ondata = () => heard.b++
  const talk = setInterval(() => [a, b].map((end) => end.state !== 'closed' && end.send(Uint8Array.of(200))), 20)
  await expect.poll(() => Math.min(heard.a, heard.b), { timeout: 10_000 }).toBeGreaterThan(110)
  expect(middlebox.opened).toBe(1)
  middlebox.forget()
  heard.a = heard.b = 0
  await expect.poll(() => Math.min(heard.a, heard.b), { timeout: 10_000 }).toBeGreaterThan(20)
  expect(middlebox.opened).toBe(2)
  clearInterval(talk)
}, 30_000)
