import type { Address } from '@floe/stun'
import { Allocation, type AllocationOptions, type AllocationOutput } from '@floe/turn'
import type { Appointment } from './clock.ts'
import type { Host, Socket } from './network.ts'
import type { TurnServer } from './turn-server.ts'

/** Wake-ups at one instant after which a timer that does not advance is an error. */
const WAKES_PER_INSTANT = 50

export type TurnClientOptions = Partial<AllocationOptions> & {
  /** The local port; without it an ephemeral one. */
  readonly port?: number
}

/** A host with an Allocation: the loop of a driver, on virtual time, and watchful about the machine contract. */
export class TurnClient {
  readonly host: Host
  readonly allocation: Allocation
  readonly server: TurnServer
  /** Every output but packets and data, with its time. */
  readonly events: { readonly time: number; readonly output: AllocationOutput }[] = []
  readonly received: {
    readonly time: number
    readonly peer: Address
    readonly relayed: Address
    readonly text: string
  }[] = []
  packetsSent = 0
  readonly #sockets = new Map<Address, Socket>()
  #wake: Appointment | undefined
  #wakesNow = { time: -1, count: 0 }

  constructor(host: Host, server: TurnServer, options: TurnClientOptions = {}) {
    const { port, ...more } = options
    this.host = host
    this.server = server
    this.allocation = new Allocation({
      server: server.address,
      local: this.bind(undefined, port).address,
      protocol: 'udp',
      username: server.username,
      credential: server.credential,
      random: host.network.random.fork(`allocation ${host.network.random.uint32()}`).bytes,
      ...more,
    })
  }

  get now(): number {
    return this.host.network.clock.now
  }

  get types(): AllocationOutput['type'][] {
    return this.events.map(({ output }) => output.type)
  }

  outputs<T extends AllocationOutput['type']>(type: T): Extract<AllocationOutput, { type: T }>[] {
    return this.events.map(({ output }) => output).filter((output) => output.type === type) as never
  }

  /** Another socket on the host's address, to start from or to move to. */
  bind(ip = this.host.attachments[0]!.ip, port?: number): Socket {
    const socket = this.host.bind(ip, port, (packet) =>
      this.call((allocation) => allocation.handlePacket(this.now, packet)),
    )
    this.#sockets.set(socket.address, socket)
    return socket
  }

  sendText(peer: Address, text: string): boolean {
    return this.call((allocation) => allocation.send(this.now, peer, new TextEncoder().encode(text)))
  }

  /** One call, then what the Machine contract asks: poll until undefined, sleep until timeout(). */
  call<T>(action: (allocation: Allocation, now: number) => T): T {
    const result = action(this.allocation, this.now)
    this.#drain()
    this.#callEarly()
    this.#schedule()
    return result
  }

  #drain() {
    for (let output = this.allocation.poll(); output; output = this.allocation.poll()) {
      if (output.type === 'packet') {
        const { local, remote, bytes } = output.packet
        this.packetsSent++
        this.#sockets.get(local)!.send(remote, bytes)
      } else if (output.type === 'data') {
        const { peer, relayed, bytes } = output
        this.received.push({ time: this.now, peer, relayed, text: new TextDecoder().decode(bytes) })
      } else {
        this.events.push({ time: this.now, output })
        this.host.network.trace.note(this.now, this.host.name, () => JSON.stringify(output))
      }
    }
  }

  /** `handleTimeout` must be harmless when early: nothing comes out, nothing gets more urgent. */
  #callEarly() {
    const before = this.allocation.timeout()
    if (before <= this.now) throw new Error(`${this.host.name}: due after everything was done`)
    this.allocation.handleTimeout(this.now)
    const output = this.allocation.poll()
    if (output) throw new Error(`${this.host.name}: early handleTimeout put out ${output.type}`)
    if (this.allocation.timeout() < before)
      throw new Error(`${this.host.name}: early handleTimeout brought the deadline forward`)
  }

  #schedule() {
    const deadline = this.allocation.timeout()
    if (Number.isNaN(deadline)) throw new Error(`${this.host.name}: timeout() is NaN`)
    this.#wake?.cancel()
    this.#wake = deadline === Infinity ? undefined : this.host.network.clock.at(deadline, () => this.#onWake())
  }

  #onWake() {
    if (this.#wakesNow.time !== this.now) this.#wakesNow = { time: this.now, count: 0 }
    if (++this.#wakesNow.count > WAKES_PER_INSTANT) throw new Error(`${this.host.name}: timeout() stays in the past`)
    this.call((allocation) => allocation.handleTimeout(this.now))
  }
}
