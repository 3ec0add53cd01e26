import type { Socket } from 'node:dgram'
import { type Address, canonicalIp } from '@floe/stun'
import { ANNOUNCEMENT_GROUP, ANNOUNCEMENT_PORT } from '../defaults.ts'
import { GatewayMemory } from '../gateway-memory.ts'
import type { HttpRequest } from '../http.ts'
import type { PortMapping, PortMappingOutput } from '../port-mapping.ts'
import { SSDP_GROUP, SSDP_PORT } from '../ssdp.ts'
import { Alarm, clock } from './clock.ts'
import { performRequest } from './http-client.ts'
import { openSocket, sendFrom } from './udp.ts'

export type MappingEvent =
  | Exclude<PortMappingOutput, { type: 'packet' | 'request' }>
  /** Something does not work here that mappings can do without. */
  | { readonly type: 'warning'; readonly reason: string }
export type MappingListener = (event: MappingEvent) => void

/** UPnP Device Architecture §1.3.2: two hops. */
const SSDP_TTL = 2

/**
 * Drives the mappings of one local address at one gateway: a control socket for all of them, the announcements of the
 * router, HTTP, and one timer. Events are delivered in order and never nested, when the machines have been drained.
 */
export class MappingLink {
  readonly gateway: string
  readonly control: Address
  readonly memory = new GatewayMemory()
  /** Of link-local groups: `%` and the interface. */
  readonly #scope: string
  readonly #socket: Socket
  readonly #announcements: Socket | undefined
  /** NOTIFYs, once somebody needs them; or `null` where they cannot be had. */
  #notifications: Socket | null | undefined
  readonly #listeners = new Map<PortMapping, MappingListener>()
  readonly #alarm = new Alarm(() => this.#each((mapping) => mapping.handleTimeout(clock())))
  readonly #ending = new AbortController()
  readonly #deliveries: (() => void)[] = []
  #delivering = false

  /** Throws the system's error when the address cannot be bound. */
  constructor(ip: string, gateway: string) {
    this.gateway = gateway
    this.#socket = openSocket({ ip, port: 0 })
    this.control = Object.freeze({ ip, port: this.#socket.address().port })
    this.#scope = gateway.includes('%') ? gateway.slice(gateway.indexOf('%')) : ''
    prepareMulticast(this.#socket, this.#scope ? `::${this.#scope}` : ip)
    this.#socket.on('message', (bytes, from) => this.#receive(this.control, bytes, from.address, from.port))
    this.#announcements = openAnnouncements(ip, this.#scope)
    const local = { ip, port: ANNOUNCEMENT_PORT }
    this.#announcements?.on('message', (bytes, from) => this.#receive(local, bytes, from.address, from.port))
  }

  get size(): number {
    return this.#listeners.size
  }

  add(mapping: PortMapping, listener: MappingListener): void {
    this.#listeners.set(mapping, listener)
    this.settle()
  }

  /** To be called after every call on a mapping. */
  settle(): void {
    for (const [mapping, listener] of this.#listeners) this.#drain(mapping, listener)
    if (this.#notifications === undefined) this.#listenToSsdp()
    if (!this.#delivering) this.#deliver()
    this.#alarm.set(Math.min(...[...this.#listeners.keys()].map((mapping) => mapping.timeout())))
  }

  close(): void {
    this.#listeners.clear()
    this.#alarm.stop()
    this.#ending.abort()
    this.#socket.close()
    this.#announcements?.close()
    this.#notifications?.close()
  }

  #listenToSsdp(): void {
    const interested = [...this.#listeners].filter(([mapping]) => mapping.listensToSsdp)
    if (interested.length === 0) return
    const { ip } = this.control
    try {
      this.#notifications = openNotifications(ip, this.#scope)
      const local = { ip, port: SSDP_PORT }
      this.#notifications.on('message', (bytes, from) => this.#receive(local, bytes, from.address, from.port))
    } catch (error) {
      this.#notifications = null
      const reason = `a restart of the router goes unheard, port ${SSDP_PORT}: ${(error as Error).message}`
      for (const [, listener] of interested) this.#deliveries.push(() => listener({ type: 'warning', reason }))
    }
  }

  #receive(local: Address, bytes: Uint8Array, address: string, port: number): void {
    // Every mapping hears everything: any answer's epoch may tell that the router has forgotten them all.
    const ip = canonicalIp(address) ?? address
    const packet = { protocol: 'udp', local, remote: { ip, port }, bytes } as const
    this.#each((mapping) => mapping.handlePacket(clock(), packet))
  }

  #each(call: (mapping: PortMapping) => void): void {
    for (const mapping of [...this.#listeners.keys()]) call(mapping)
    this.settle()
  }

  #drain(mapping: PortMapping, listener: MappingListener): void {
    for (let output = mapping.poll(); output; output = mapping.poll()) {
      if (output.type === 'packet') sendFrom(this.#socket, output.packet.bytes, output.packet.remote)
      else if (output.type === 'request') void this.#perform(mapping, output.request)
      else {
        const event = output
        this.#deliveries.push(() => listener(event))
        if (event.type === 'released') this.#listeners.delete(mapping)
      }
    }
  }

  async #perform(mapping: PortMapping, request: HttpRequest): Promise<void> {
    const response = await performRequest(request, this.control.ip, this.#ending.signal)
    if (!this.#listeners.has(mapping)) return
    mapping.handleResponse(clock(), request.id, response)
    this.settle()
  }

  #deliver(): void {
    this.#delivering = true
    for (let next = this.#deliveries.shift(); next; next = this.#deliveries.shift()) {
      try {
        next()
      } catch (error) {
        // A listener's exception is its program's to handle: uncaught, and in nobody else's way.
        process.nextTick(() => {
          throw error
        })
      }
    }
    this.#delivering = false
  }
}

/** `networkInterface` as `setMulticastInterface` takes it. Where the system refuses, unicast still serves. */
function prepareMulticast(socket: Socket, networkInterface: string): void {
  try {
    socket.setMulticastTTL(SSDP_TTL)
    socket.setMulticastInterface(networkInterface)
  } catch {}
}

/** The port is shared with everybody on this host who listens for the same. Without it mappings are renewed later. */
function openAnnouncements(ip: string, scope: string): Socket | undefined {
  const isIPv6 = ip.includes(':')
  let socket: Socket | undefined
  try {
    socket = openSocket({ ip: isIPv6 ? '::' : '0.0.0.0', port: ANNOUNCEMENT_PORT }, true)
    socket.addMembership(ANNOUNCEMENT_GROUP[isIPv6 ? 6 : 4], isIPv6 ? `::${scope}` : ip)
  } catch {
    // Some systems let nobody join the group of all hosts, since every host is in it.
  }
  return socket
}

/**
 * Bound to the group itself, where the system can, so that what is sent to this host alone reaches the UPnP devices that
 * run here. Throws the system's error.
 */
function openNotifications(ip: string, scope: string): Socket {
  const isIPv6 = ip.includes(':')
  const group = SSDP_GROUP[isIPv6 ? 6 : 4]
  const any = isIPv6 ? '::' : '0.0.0.0'
  const bound = process.platform === 'win32' ? any : group + scope
  const socket = openSocket({ ip: bound, port: SSDP_PORT }, true)
  try {
    socket.addMembership(group, isIPv6 ? `::${scope}` : ip)
    return socket
  } catch (error) {
    socket.close()
    throw error
  }
}
