import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, isIPv6, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Address, canonicalIp, type Packet } from '@floe/stun'
import { Allocation, type AllocationOptions, type AllocationOutput, TurnStream } from '@floe/turn'
import type { Coturn } from './coturn.ts'

export type Transport = 'udp' | 'tcp' | 'tls'

/** A way to the server: bytes out, packets in. */
interface Wire {
  readonly local: Address
  send(bytes: Uint8Array): void
  close(): void
}

/** An Allocation on real sockets and real time: the smallest driver that there can be, for tests against a real server. */
export class RealClient {
  readonly allocation: Allocation
  readonly outputs: AllocationOutput[] = []
  readonly received: { readonly peer: Address; readonly text: string }[] = []
  readonly #wires = new Map<Address, Wire>()
  #timer: NodeJS.Timeout | undefined
  #onchange: (() => void)[] = []

  static async open(
    server: Coturn,
    transport: Transport,
    options: Partial<AllocationOptions> & { readonly ip?: string; readonly port?: number } = {},
  ): Promise<RealClient> {
    const { ip = server.ip, port = 0, ...more } = options
    const remote = { ip, port: transport === 'tls' ? server.tlsPort! : server.port }
    let client: RealClient | undefined
    const take = (packet: Packet) => client?.handle(packet)
    const wire = await (transport === 'udp'
      ? openUdp(remote, port, take)
      : openStream(transport, remote, server.ca, take))
    client = new RealClient(wire, {
      server: remote,
      local: wire.local,
      protocol: transport === 'udp' ? 'udp' : 'tcp',
      username: server.username,
      credential: server.credential,
      random: randomBytes,
      ...more,
    })
    return client
  }

  constructor(wire: Wire, options: AllocationOptions) {
    this.#wires.set(wire.local, wire)
    this.allocation = new Allocation(options)
  }

  /** One call, then what the Machine contract asks. */
  call<T>(action: (allocation: Allocation, now: number) => T): T {
    const result = action(this.allocation, performance.now())
    for (let output = this.allocation.poll(); output; output = this.allocation.poll()) this.#perform(output)
    clearTimeout(this.#timer)
    const deadline = this.allocation.timeout()
    if (deadline < Number.POSITIVE_INFINITY) {
      const delay = Math.max(0, deadline - performance.now())
      this.#timer = setTimeout(() => this.call((allocation, now) => allocation.handleTimeout(now)), delay)
    }
    for (const look of this.#onchange.splice(0)) look()
    return result
  }

  handle(packet: Packet): void {
    this.call((allocation, now) => allocation.handlePacket(now, packet))
  }

  /** Another socket to the same server, to move to. */
  async another(): Promise<Address> {
    const wire = await openUdp(this.allocation.server, 0, (packet) => this.handle(packet))
    this.#wires.set(wire.local, wire)
    return wire.local
  }

  async allocate(): Promise<Extract<AllocationOutput, { type: 'allocated' }>> {
    this.call((allocation, now) => allocation.allocate(now))
    return (await this.output('allocated')) as Extract<AllocationOutput, { type: 'allocated' }>
  }

  sendText(peer: Address, text: string): boolean {
    return this.call((allocation, now) => allocation.send(now, peer, new TextEncoder().encode(text)))
  }

  /** The first output of this type, once it is there. Throws when the allocation ends otherwise. */
  async output<T extends AllocationOutput['type']>(type: T): Promise<Extract<AllocationOutput, { type: T }>> {
    await this.until(() => this.outputs.some((output) => output.type === type) || this.allocation.state === 'ended')
    const found = this.outputs.find((output) => output.type === type)
    if (!found) throw new Error(`no ${type}, but ${JSON.stringify(this.outputs)}`)
    return found as Extract<AllocationOutput, { type: T }>
  }

  async until(condition: () => boolean, timeout = 10_000): Promise<void> {
    const end = performance.now() + timeout
    while (!condition()) {
      if (performance.now() > end) throw new Error(`waited in vain: ${condition}; ${JSON.stringify(this.outputs)}`)
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, 1_000)
        this.#onchange.push(() => {
          clearTimeout(timer)
          wake()
        })
      })
    }
  }

  /** Gives the allocation back and closes the sockets. */
  async close(): Promise<void> {
    this.call((allocation, now) => allocation.close(now))
    await this.output('released')
    this.drop()
  }

  /** Closes the sockets without a word to the server. */
  drop(): void {
    clearTimeout(this.#timer)
    for (const wire of this.#wires.values()) wire.close()
  }

  #perform(output: AllocationOutput): void {
    if (output.type === 'packet') this.#wires.get(output.packet.local)!.send(output.packet.bytes)
    else if (output.type === 'data')
      this.received.push({ peer: output.peer, text: new TextDecoder().decode(output.bytes) })
    else this.outputs.push(output)
  }
}

async function openUdp(remote: Address, localPort: number, take: (packet: Packet) => void): Promise<Wire> {
  const socket = createSocket(isIPv6(remote.ip) ? 'udp6' : 'udp4')
  socket.bind(localPort)
  await once(socket, 'listening')
  // Connected, so that the socket knows which of our addresses the server sees.
  socket.connect(remote.port, remote.ip)
  await once(socket, 'connect')
  const { address, port } = socket.address()
  const local = { ip: canonicalIp(address)!, port }
  socket.on('message', (bytes) => take({ protocol: 'udp', local, remote, bytes }))
  socket.on('error', () => {}) // The server's port is closed: the allocation finds out by itself.
  return { local, send: (bytes) => socket.send(bytes, () => {}), close: () => socket.close() }
}

async function openStream(
  transport: 'tcp' | 'tls',
  remote: Address,
  ca: string | undefined,
  take: (packet: Packet) => void,
): Promise<Wire> {
  const to = { host: remote.ip, port: remote.port }
  const socket: Socket =
    transport === 'tcp' ? connect(to) : connectTls({ ...to, ca: ca!, servername: 'turn.floe.test' })
  await once(socket, transport === 'tcp' ? 'connect' : 'secureConnect')
  const local = { ip: canonicalIp(socket.localAddress!)!, port: socket.localPort! }
  const frames = new TurnStream()
  socket.on('data', (chunk) => {
    for (const bytes of frames.push(chunk)) take({ protocol: 'tcp', local, remote, bytes })
  })
  socket.on('error', () => {})
  return { local, send: (bytes) => socket.write(bytes), close: () => socket.destroy() }
}
