import {
  type AgentOptions,
  type AgentOutput,
  type Candidate,
  type CandidatePair,
  IceAgent,
  type IceParameters,
  type IceRole,
  type IceTransportState,
  type LocalBase,
} from '@floe/ice'
import { type Address, formatAddress, type Packet } from '@floe/stun'
import type { Appointment } from './clock.ts'
import { textOf } from './endpoint.ts'
import { inward, outward } from './nat64.ts'
import type { Host, Socket } from './network.ts'
import type { Random } from './random.ts'
import type { StunServer } from './stun-server.ts'
import type { TurnServer } from './turn-server.ts'

/** A STUN server as the host's resolver names it, or with credentials a TURN server, over UDP unless it says otherwise. */
export type ServerAddress = Pick<StunServer, 'address' | 'url'> &
  Partial<Pick<TurnServer, 'username' | 'credential'>> & {
    readonly protocol?: 'udp' | 'tcp'
    readonly mobility?: boolean
  }

export type PeerOptions = Partial<AgentOptions> & {
  readonly servers?: readonly ServerAddress[]
  /** Local port on every address; without it an ephemeral one each. */
  readonly port?: number
  /** Extra fields of the local base made for an address: rank, hostname, mapped. */
  readonly base?: (ip: string, port: number) => Partial<LocalBase>
  /** How many sockets it gets when it asks for more of them; all unless told. */
  readonly spares?: number
}

/** Data from the other side, with the path it took: the ground truth about which pair is in use. */
export interface Received {
  readonly time: number
  readonly text: string
  readonly local: Address
  readonly remote: Address
}

/**
 * STUN requests in one second beyond which two agents are chasing each other: a new one per Ta (20 ms), their
 * retransmissions, and a triggered check each for a burst of the peer's.
 */
const REQUESTS_PER_SECOND = 250

/** Wake-ups at one instant after which a timer that does not advance is an error. */
const WAKES_PER_INSTANT = 50

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder()

/** A host with an IceAgent: the same loop as the Node driver, on virtual time, and watchful about the machine contract. */
export class Peer {
  readonly name: string
  readonly host: Host
  readonly agent: IceAgent
  /** The other side, when signaling joins the two. */
  peer: Peer | undefined
  oncandidate: ((candidate: Candidate | null) => void) | undefined
  /** Every output but packets and data, with its time. */
  readonly events: { readonly time: number; readonly output: AgentOutput }[] = []
  readonly received: Received[] = []
  /** Packets sent to an address that nothing has come from yet; RFC 8445 §19.5.1 is about this number. */
  readonly unverified = new Map<string, number>()
  packetsSent = 0
  /** Open at a time. */
  mostSockets = 0
  wakes = 0
  readonly #options: PeerOptions
  readonly #random: Random
  readonly #sockets = new Map<Address, Socket>()
  /** Of these, the ones that the agent has asked for: it makes bases of them itself. */
  readonly #spares = new Set<Address>()
  /** To TURN servers, by the names that the agent gave them. */
  readonly #connections = new Map<Address, Socket>()
  readonly #heardFrom = new Set<string>()
  #wake: Appointment | undefined
  #handling: Packet | undefined
  #requests = { second: -1, count: 0 }
  #wakesNow = { time: -1, count: 0 }

  constructor(host: Host, options: PeerOptions) {
    const { servers: _servers, port: _port, base: _base, ...agentOptions } = options
    this.host = host
    this.name = host.name
    this.#options = options
    this.#random = host.network.random.fork(`peer ${host.name}`)
    this.agent = new IceAgent({
      log: host.network.trace.enabled,
      random: this.#random.fork('agent').bytes,
      ...agentOptions,
    })
    for (const { ip } of host.attachments) this.#bind(ip)
  }

  get servers(): readonly ServerAddress[] {
    return this.#options.servers ?? []
  }

  get now(): number {
    return this.host.network.clock.now
  }

  get maySearch(): boolean {
    return this.#options.traversal?.hardNat === 'auto'
  }

  get sockets(): readonly Socket[] {
    return [...this.#sockets.values()]
  }

  /** Connections to TURN servers that the agent has asked for and not given back. */
  get connections(): number {
    return this.#connections.size
  }

  get state(): IceTransportState {
    return this.agent.state
  }

  get selected(): CandidatePair | undefined {
    return this.agent.selectedPair
  }

  get connected(): boolean {
    return this.state === 'connected' || this.state === 'completed'
  }

  get states(): IceTransportState[] {
    return this.outputs('state').map(({ state }) => state)
  }

  outputs<T extends AgentOutput['type']>(type: T): Extract<AgentOutput, { type: T }>[] {
    return this.events.map(({ output }) => output).filter((output) => output.type === type) as never
  }

  /** When the first output came for which `test` holds; Infinity when none did. */
  timeOf(test: (output: AgentOutput) => boolean): number {
    return this.events.find(({ output }) => test(output))?.time ?? Number.POSITIVE_INFINITY
  }

  gather() {
    const own = this.sockets.filter(({ address }) => !this.#spares.has(address))
    const bases = own.map(({ address }) => ({ address, ...this.#options.base?.(address.ip, address.port) }))
    const servers = this.servers.map(
      ({ address, url, protocol = 'udp', username, credential = '', mobility = false }) =>
        username === undefined
          ? ({ scheme: 'stun', address, url } as const)
          : ({ scheme: 'turn', protocol, address, url, username, credential, mobility } as const),
    )
    this.call((agent) => agent.gather(this.now, bases, servers))
  }

  start(remote: IceParameters, role?: IceRole) {
    this.call((agent) => agent.start(this.now, remote, role))
  }

  addRemoteCandidate(candidate: Candidate | null) {
    this.call((agent) => agent.addRemoteCandidate(this.now, candidate))
  }

  restart(): IceParameters {
    return this.call((agent) => agent.restart(this.now))
  }

  close() {
    this.call((agent) => agent.close(this.now))
  }

  sendText(text: string): boolean {
    return this.call((agent) => agent.send(this.now, ENCODER.encode(text)))
  }

  /** One mutation of the agent, then what the Machine contract asks: poll until undefined, sleep until timeout(). */
  call<T>(mutate: (agent: IceAgent) => T): T {
    const result = mutate(this.agent)
    this.#drain()
    if (this.#random.chance(1 / 16)) this.#callEarly()
    this.#schedule()
    return result
  }

  /** Gives the host a new address and socket while running. Gather again to make it known. */
  addAddress(ip: string): Socket {
    return this.#bind(ip)
  }

  /** The interface of this address goes away. */
  removeAddress(ip: string) {
    this.removeSockets(this.sockets.map(({ address }) => address).filter((address) => address.ip === ip))
  }

  /** They are gone, and their addresses need not be. */
  removeSockets(addresses: readonly Address[]) {
    for (const address of addresses) {
      this.#sockets.get(address)?.close()
      this.#sockets.delete(address)
    }
    this.call((agent) => agent.removeLocalBases(this.now, addresses))
  }

  #bind(ip: string): Socket {
    return this.#keep(this.host.bind(ip, this.#options.port, (packet) => this.#receive(packet)))
  }

  #keep(socket: Socket): Socket {
    this.#sockets.set(socket.address, socket)
    return socket
  }

  /** As the driver does: behind NAT64 the agent knows IPv4 addresses, and the wire those that stand for them. */
  #receive(arrived: Packet) {
    const remote = inward(arrived.remote)
    const packet = remote === arrived.remote ? arrived : { ...arrived, remote }
    this.#heardFrom.add(textOf(remote))
    this.#handling = packet
    this.call((agent) => agent.handlePacket(this.now, packet))
    this.#handling = undefined
  }

  #drain() {
    for (let output = this.agent.poll(); output; output = this.agent.poll()) this.#perform(output)
  }

  #perform(output: AgentOutput) {
    if (output.type === 'packet') return this.#send(output.packet, output.ttl)
    if (output.type === 'connect') return this.#connect(output)
    if (output.type === 'disconnect') return this.#disconnect(output.local)
    if (output.type === 'sockets') return this.#open(output)
    if (output.type === 'release') return this.#release(output.local)
    if (output.type === 'data') return this.#take(output.bytes)
    this.events.push({ time: this.now, output })
    this.host.network.trace.note(this.now, this.name, () => describeOutput(output))
    if (output.type === 'candidate') this.oncandidate?.(output.candidate)
  }

  #open({ near, count }: Extract<AgentOutput, { type: 'sockets' }>) {
    // The address may be gone before the agent is told, as after a sleep.
    const isThere = this.host.attachments.some(({ ip }) => ip === near.ip)
    const addresses = Array.from(
      { length: isThere ? Math.min(count, this.#options.spares ?? count) : 0 },
      () => this.#keep(this.host.bind(near.ip, undefined, (packet) => this.#receive(packet))).address,
    )
    for (const address of addresses) this.#spares.add(address)
    this.mostSockets = Math.max(this.mostSockets, this.#sockets.size)
    this.host.network.clock.after(0, () => this.call((agent) => agent.socketsOpened(this.now, near, addresses)))
  }

  #release(local: Address) {
    this.#sockets.get(local)?.close()
    this.#sockets.delete(local)
  }

  /** The driver's answer comes later, never from inside. There is no TLS and no TCP between peers: who asks hears so. */
  #connect({ local, remote, protocol, server }: Extract<AgentOutput, { type: 'connect' }>) {
    const { clock } = this.host.network
    const refuse = () => this.call((agent) => agent.disconnected(this.now, local, 'not to be had here'))
    const connected = () => this.call((agent) => agent.connected(this.now, local))
    const ended = () => this.call((agent) => agent.disconnected(this.now, local, 'the server has hung up'))
    const ip = this.host.attachments.find((attachment) => attachment.ip === local.ip)?.ip
    const tcp = protocol === 'tcp'
    if (protocol === 'tls' || (tcp && !server) || ip === undefined) return void clock.after(0, refuse)
    let isOpen = false
    const onpacket = (packet: Packet) => {
      if (!tcp || packet.bytes.length > 0) return this.#receive({ ...packet, local })
      if (isOpen) this.#disconnect(local)
      isOpen ? ended() : connected()
      isOpen = true
    }
    const socket = this.host.bind(ip, undefined, onpacket, tcp)
    this.#connections.set(local, socket)
    if (tcp) socket.send(remote, new Uint8Array())
    else clock.after(0, connected)
  }

  #disconnect(local: Address) {
    this.#connections.get(local)?.close()
    this.#connections.delete(local)
  }

  #send({ local, remote, bytes }: Packet, ttl?: number) {
    const socket = this.#sockets.get(local) ?? this.#connections.get(local)
    if (socket === undefined) {
      throw new Error(`${this.name} sends from ${formatAddress(local)}, which is no base and no connection of its`)
    }
    this.packetsSent++
    if (bytes[0] === 0 && bytes[1] === 1) this.#countRequest()
    const endpoint = this.host.network.endpoints.of(remote)
    const to = endpoint.text
    if (!this.#heardFrom.has(to)) this.unverified.set(to, (this.unverified.get(to) ?? 0) + 1)
    socket.send(outward(socket.address, endpoint), bytes, socket.address, ttl)
  }

  #countRequest() {
    const second = Math.floor(this.now / 1_000)
    if (this.#requests.second !== second) this.#requests = { second, count: 0 }
    if (++this.#requests.count > REQUESTS_PER_SECOND) throw new Error(`${this.name}: packet storm`)
  }

  #take(bytes: Uint8Array) {
    if (this.#handling === undefined) throw new Error(`${this.name} puts out data without having received any`)
    const { local, remote } = this.#handling
    this.received.push({ time: this.now, text: DECODER.decode(bytes), local, remote })
  }

  /**
   * `handleTimeout` must be harmless when early: nothing comes out, nothing gets more urgent. The agent looks through all
   * its parts then, so that one which has something to do and has not said so by its `timeout()` is found out.
   */
  #callEarly() {
    const before = this.agent.timeout()
    if (before <= this.now) return
    this.agent.handleTimeout(this.now)
    const output = this.agent.poll()
    if (output) throw new Error(`${this.name}: early handleTimeout put out ${describeOutput(output)}`)
    if (this.agent.timeout() < before) throw new Error(`${this.name}: early handleTimeout brought the deadline forward`)
  }

  /** One appointment. When the deadline moves away it stays, fires early and looks again. */
  #schedule() {
    const deadline = this.agent.timeout()
    if (Number.isNaN(deadline)) throw new Error(`${this.name}: timeout() is NaN`)
    if (this.#wake && this.#wake.time <= deadline) return
    this.#wake?.cancel()
    this.#wake = deadline === Number.POSITIVE_INFINITY ? undefined : this.host.at(deadline, () => this.#onWake())
  }

  #onWake() {
    this.#wake = undefined
    if (this.agent.timeout() > this.now) return this.#schedule()
    this.wakes++
    if (this.#wakesNow.time !== this.now) this.#wakesNow = { time: this.now, count: 0 }
    if (++this.#wakesNow.count > WAKES_PER_INSTANT) throw new Error(`${this.name}: timeout() stays in the past`)
    this.call((agent) => agent.handleTimeout(this.now))
  }
}

export function describePair({ local, remote }: CandidatePair): string {
  const side = ({ type, address }: Candidate) => `${type} ${formatAddress(address)}`
  return `${side(local)} ↔ ${side(remote)}`
}

function describeOutput(output: AgentOutput): string {
  switch (output.type) {
    case 'candidate':
      return output.candidate
        ? `candidate ${output.candidate.type} ${formatAddress(output.candidate.address)}`
        : 'end of candidates'
    case 'candidatesremoved':
      return `candidates removed: ${output.candidates.map(({ address }) => formatAddress(address)).join(', ')}`
    case 'selectedpair':
      return `selected ${describePair(output.pair)} (${output.reason})`
    case 'state':
    case 'gatheringstate':
      return `${output.type} ${output.state}`
    case 'role':
      return `role ${output.role}`
    case 'candidateerror':
      return `candidateerror ${output.errorCode} ${output.errorText}`
    case 'log':
      return `· ${output.entry.event}: ${output.entry.detail}${output.entry.reason ? ` (${output.entry.reason})` : ''}`
    case 'packet':
    case 'data':
    case 'connect':
    case 'disconnect':
    case 'sockets':
    case 'release':
    case 'suspicion':
      return `${output.type}`
  }
}
