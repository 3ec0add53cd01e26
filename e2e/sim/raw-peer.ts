import { type Candidate, candidatePriority, type IceParameters, type IceRole } from '@floe/ice'
import {
  type Address,
  type Attributes,
  type DecodedMessage,
  decode,
  encode,
  type IntegrityKey,
  type Message,
  newTransactionId,
  type Packet,
  shortTermKey,
  type TransactionId,
} from '@floe/stun'
import type { Host, Socket } from './network.ts'

/** A STUN message as it came, or other bytes, with the path it took. */
export interface RawReceived {
  readonly time: number
  readonly message: DecodedMessage | undefined
  readonly bytes: Uint8Array
  readonly local: Address
  readonly remote: Address
}

export interface RawPeerOptions {
  readonly role?: IceRole
  readonly tieBreaker?: bigint
  readonly lite?: boolean
}

/** How a hand-made message deviates from a proper one. */
export interface Forgery {
  /** Another key, or none. */
  readonly key?: IntegrityKey | undefined
  readonly username?: string
  /** The source address to claim; the network believes it. */
  readonly source?: Address
  readonly transactionId?: TransactionId
  /** Attributes to leave away. */
  readonly without?: readonly (keyof Attributes)[]
}

/** The other side written by hand: sends exactly what a test says, and answers checks only as told. */
export class RawPeer {
  readonly host: Host
  readonly socket: Socket
  readonly parameters: IceParameters
  role: IceRole
  tieBreaker: bigint
  /** The parameters of the agent under test. */
  remote: IceParameters | undefined
  /** What to do with a check: answer it properly (true), keep silent (false), or something else. */
  answer: boolean | ((request: DecodedMessage, from: RawReceived) => void) = true
  readonly received: RawReceived[] = []

  constructor(host: Host, options: RawPeerOptions = {}) {
    this.host = host
    this.role = options.role ?? 'controlling'
    this.tieBreaker = options.tieBreaker ?? 1n
    this.parameters = {
      usernameFragment: `raw${host.name}`,
      password: `password-of-${host.name}-0123456789`,
      ...(options.lite && { iceLite: true }),
    }
    this.socket = host.bind(host.attachments[0]!.ip, undefined, (packet) => this.#receive(packet))
  }

  get address(): Address {
    return this.socket.address
  }

  /** A host candidate of this peer; other addresses and types to lead an agent astray. */
  candidate(more: Partial<Candidate> = {}): Candidate {
    const type = more.type ?? 'host'
    const priority = candidatePriority(type, 65_535)
    return { type, protocol: 'udp', address: this.address, foundation: 'raw', component: 1, priority, ...more }
  }

  /** Requests that came, without the retransmissions of one transaction unless asked for. */
  requests(retransmissions = false): (RawReceived & { readonly message: DecodedMessage })[] {
    const seen = new Set<TransactionId>()
    return this.received.filter((one): one is RawReceived & { message: DecodedMessage } => {
      if (one.message?.class !== 'request') return false
      const first = !seen.has(one.message.transactionId)
      seen.add(one.message.transactionId)
      return first || retransmissions
    })
  }

  /** The answer to a request of ours, once it has come. */
  responseTo(id: TransactionId): DecodedMessage | undefined {
    return this.received.find(({ message }) => message?.transactionId === id && message.class !== 'request')?.message
  }

  /** Sends a connectivity check (RFC 8445 §7.2.4) and returns its transaction id. */
  check(to: Address, attributes: Attributes = {}, forgery: Forgery = {}): TransactionId {
    const message = this.checkMessage(attributes, forgery)
    this.send(to, message, 'key' in forgery ? forgery.key : keyOf(this.remote!.password), forgery.source)
    return message.transactionId
  }

  /** The same unsent, for tests that forge its bytes. */
  checkMessage(attributes: Attributes = {}, forgery: Forgery = {}): Message {
    const username = forgery.username ?? `${this.remote!.usernameFragment}:${this.parameters.usernameFragment}`
    const role = this.role === 'controlling' ? { iceControlling: this.tieBreaker } : { iceControlled: this.tieBreaker }
    const all = { username, priority: candidatePriority('prflx', 65_535), ...role, ...attributes }
    for (const name of forgery.without ?? []) delete all[name as keyof typeof all]
    const transactionId = forgery.transactionId ?? newTransactionId(this.host.network.random.bytes)
    return { method: 'binding', class: 'request', transactionId, attributes: all }
  }

  /** A success response (RFC 8445 §7.3) to a request that came. */
  succeed(request: RawReceived, attributes: Attributes = { xorMappedAddress: request.remote }, forgery: Forgery = {}) {
    this.#respond(request, 'success', attributes, forgery)
  }

  fail(request: RawReceived, code: number, reason: string, forgery: Forgery = {}) {
    this.#respond(request, 'error', { errorCode: { code, reason } }, forgery)
  }

  send(to: Address, message: Message, key?: IntegrityKey, source?: Address) {
    this.socket.send(to, encode(message, key ? { key, fingerprint: true } : { fingerprint: true }), source)
  }

  #respond(request: RawReceived, kind: 'success' | 'error', attributes: Attributes, forgery: Forgery) {
    const transactionId = forgery.transactionId ?? request.message!.transactionId
    const key = 'key' in forgery ? forgery.key : keyOf(this.parameters.password)
    this.send(request.remote, { method: 'binding', class: kind, transactionId, attributes }, key, forgery.source)
  }

  #receive(packet: Packet) {
    const bytes = packet.bytes.slice()
    const message = decode(bytes)
    const { local, remote } = packet
    const received = { time: this.host.network.clock.now, message, bytes, local, remote }
    this.received.push(received)
    if (message?.class !== 'request') return
    if (this.answer === true) this.succeed(received)
    else if (this.answer) this.answer(message, received)
  }
}

const keys = new Map<string, IntegrityKey>()

function keyOf(password: string): IntegrityKey {
  let key = keys.get(password)
  if (key === undefined) keys.set(password, (key = shortTermKey(password)))
  return key
}
