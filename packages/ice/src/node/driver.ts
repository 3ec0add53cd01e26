import { type Address, Outbox, type Packet } from '@floe/stun'
import type { IceAgent } from '../agent.ts'
import type { AgentOutput } from '../outputs.ts'
import type { ConnectionsOwner, ConnectRequest } from './connections.ts'
import { interfaceWatch } from './interface-watch.ts'
import type { SocketOwner } from './sockets.ts'

/** What goes to the network at once. */
type NetworkOutput = Extract<AgentOutput, { type: 'packet' | 'connect' | 'disconnect' | 'sockets' | 'release' }>

/** What the layer above hears of; data goes to `ondata`. */
export type AgentEvent = Exclude<AgentOutput, NetworkOutput | { type: 'data' }>

/** Where a driver's outputs go. */
export interface DriverOwner {
  /** `ttl`: in hops, for this packet alone. */
  transmit(packet: Packet, ttl?: number): void
  connect(request: ConnectRequest): void
  disconnect(local: Address): void
  /** The addresses of up to so many new sockets beside this one. */
  openSockets(near: Address, count: number): readonly Address[]
  closeSocket(local: Address): void
  /** A socket has ended by itself. */
  rebind(): void
  handleEvent(event: AgentEvent): void
}

/** What the layer above has sent and got, over all paths that there have been. */
export interface Traffic {
  packetsSent: number
  packetsReceived: number
  bytesSent: number
  bytesReceived: number
}

/** The clock of all drivers: milliseconds, monotonic, with fractions. */
export function clock(): number {
  return performance.now()
}

/**
 * Runs one agent: packets and time in, packets out, and one timer. Events and data are delivered when the agent is
 * drained, in order and never nested: what a listener causes is delivered after it has returned.
 */
export class Driver implements SocketOwner, ConnectionsOwner {
  /** One consumer, called for each packet from the peer. Without it data is dropped. */
  ondata: ((bytes: Uint8Array) => void) | null = null
  readonly traffic: Traffic = { packetsSent: 0, packetsReceived: 0, bytesSent: 0, bytesReceived: 0 }
  readonly #agent: IceAgent
  readonly #owner: DriverOwner
  #deliveries = new Outbox<Exclude<AgentOutput, NetworkOutput>>()
  #delivering = false
  #now = 0
  #timer: NodeJS.Timeout | undefined
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(agent: IceAgent, owner: DriverOwner) {
    this.#agent = agent
    this.#owner = owner
  }

  /**
   * What time it is. It stands still while something is delivered, so that an answer from within the listener reads no
   * clock: that is the dearest part of a data packet.
   */
  get now(): number {
    return this.#delivering ? this.#now : clock()
  }

  /** `false`: there is no path. Throws ERR_ICE_ARGUMENT for STUN. */
  send(bytes: Uint8Array): boolean {
    const { now, traffic } = this
    // Measured first: what has been sent is the receiver's.
    const { length } = bytes
    const sent = this.#agent.send(now, bytes)
    if (sent) {
      traffic.packetsSent++
      traffic.bytesSent += length
    }
    this.settle(now)
    return sent
  }

  /** `false`: not this agent's packet. */
  handlePacket(packet: Packet): boolean {
    const now = clock()
    const mine = this.#agent.handlePacket(now, packet)
    this.settle(now)
    return mine
  }

  handleConnected(local: Address): void {
    const now = clock()
    this.#agent.connected(now, local)
    this.settle(now)
  }

  handleDisconnected(local: Address, reason: string): void {
    const now = clock()
    this.#agent.disconnected(now, local, reason)
    this.settle(now)
  }

  handleSocketError(local: string, error: NodeJS.ErrnoException): void {
    this.log('socket-error', local, error.message)
    interfaceWatch.suspect()
  }

  handleSocketDeath(): void {
    this.#owner.rebind()
  }

  log(event: string, detail: string, reason: string): void {
    const now = clock()
    this.raise({ type: 'log', entry: { now, event, detail, reason } })
    this.settle(now)
  }

  /** An event of the driver's surroundings, delivered among the agent's in order. Call `settle()` then. */
  raise(event: AgentEvent): void {
    this.#deliveries.push(event)
  }

  /** To be called after every call on the agent: packets out, deliveries, next wake-up. Never throws. */
  settle(now: number): void {
    this.#drain()
    if (!this.#delivering) this.#deliver(now)
    this.#schedule()
  }

  /** After `agent.close()`: the last event is delivered, what waited before it is not. Relays are still released. */
  stop(): void {
    this.#deliveries = new Outbox()
    this.settle(clock())
    this.ondata = null
  }

  #drain(): void {
    for (let output = this.#agent.poll(); output; output = this.#agent.poll()) {
      if (output.type === 'packet') this.#owner.transmit(output.packet, output.ttl)
      else if (output.type === 'connect') this.#owner.connect(output)
      else if (output.type === 'disconnect') this.#owner.disconnect(output.local)
      else if (output.type === 'sockets') this.#open(output.near, output.count)
      else if (output.type === 'release') this.#owner.closeSocket(output.local)
      else this.#deliveries.push(output)
    }
  }

  #open(near: Address, count: number): void {
    this.#agent.socketsOpened(clock(), near, this.#owner.openSockets(near, count))
  }

  #deliver(now: number): void {
    this.#now = now
    this.#delivering = true
    for (let next = this.#deliveries.poll(); next; next = this.#deliveries.poll()) {
      try {
        if (next.type === 'data') this.#receive(next.bytes)
        else this.#owner.handleEvent(next)
      } catch (error) {
        reportException(error)
      }
    }
    this.#delivering = false
  }

  #receive(bytes: Uint8Array): void {
    this.traffic.packetsReceived++
    this.traffic.bytesReceived += bytes.length
    this.ondata?.(bytes)
  }

  #schedule(): void {
    const at = this.#agent.timeout()
    if (at === this.#wakeAt) return // As after every data packet.
    clearTimeout(this.#timer)
    this.#wakeAt = at
    if (at === Number.POSITIVE_INFINITY) return
    // Node's timers count whole milliseconds from the start of the turn: without the one more they often go off too early.
    this.#timer = setTimeout(Driver.#wake, Math.min(Math.max(0, Math.ceil(at - clock())) + 1, MAX_TIMEOUT), this)
  }

  /** One function for all drivers instead of a closure for each timer. */
  static #wake(driver: Driver): void {
    const now = clock()
    driver.#wakeAt = Number.POSITIVE_INFINITY
    // The deadline may have moved while the timer ran: harmless, but a look through all there is for nothing.
    if (now >= driver.#agent.timeout()) driver.#agent.handleTimeout(now)
    driver.settle(now)
  }
}

/** setTimeout's own limit; beyond it fires at once. */
const MAX_TIMEOUT = 2 ** 31 - 1

/** A listener's exception is its program's to handle, as with EventTarget: uncaught, and in nobody else's way. */
function reportException(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
