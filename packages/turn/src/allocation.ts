import type { Address, Attributes, Machine, Packet } from '@floe/stun'
import { addressFamily, decode, encode, newTransactionId, Outbox, sameAddress } from '@floe/stun'
import { channelNumber, channelPayload, encodeChannelData, isChannelData } from './channel-data.ts'
import { Channels } from './channels.ts'
import { Credentials, credentialsFault } from './credentials.ts'
import { type AllocationTiming, LIMITS, TIMING } from './defaults.ts'
import { TurnError } from './error.ts'
import { Exchanges, NO_ANSWER, type Outcome } from './exchanges.ts'
import type { AllocationOptions, AllocationOutput, AllocationState } from './outputs.ts'
import type { Peer } from './peers.ts'
import { type Context, isTransient, Permissions } from './permissions.ts'
import { explain } from './refusal.ts'
import { AllocateRequest, type Granted } from './request.ts'

/**
 * One allocation on a TURN server, from the client's side (RFC 8656): asks for it, keeps it and its permissions and
 * channels alive, carries data, gives it back. Ends for good with `redirect`, `mismatch`, `failed` or `released`.
 */
export class Allocation implements Machine<AllocationOutput> {
  readonly server: Address
  readonly username: string
  readonly #options: AllocationOptions
  readonly #timing: AllocationTiming
  readonly #outbox = new Outbox<AllocationOutput>()
  readonly #credentials: Credentials
  readonly #exchanges: Exchanges
  readonly #permissions: Permissions
  readonly #channels: Channels
  readonly #request: AllocateRequest
  /** Peers by the object that names them, so that the data path hashes no strings. */
  readonly #peers = new WeakMap<Address, Peer>()
  #state: AllocationState = 'new'
  #granted: Granted | undefined
  #refreshAt = Number.POSITIVE_INFINITY
  #expiresAt = Number.NEGATIVE_INFINITY
  #ticket: Uint8Array | undefined
  #moving = false
  #closed = false
  #giveUpAt = Number.POSITIVE_INFINITY
  /** The latest time that anybody told us: `poll` sends what calls have asked for, several wishes in one request. */
  #now = Number.NEGATIVE_INFINITY

  /** Throws `TurnError` for a user name over 508 bytes, a lifetime that is no positive number, or no family at all. */
  constructor(options: AllocationOptions) {
    const { server, local, protocol, username, credential, random } = options
    validate(options)
    this.server = server
    this.username = username
    this.#options = options
    this.#timing = { ...TIMING, ...options.timing }
    this.#request = new AllocateRequest(options)
    const emit = (packet: Packet) => this.#outbox.push({ type: 'packet', packet })
    this.#credentials = new Credentials(username, credential)
    const credentials = this.#credentials
    this.#exchanges = new Exchanges(local, { server, protocol, credentials, timing: this.#timing, random, emit })
    const context: Context = {
      timing: this.#timing,
      request: (now, method, attributes, done) =>
        this.#exchanges.request(now, method, attributes, (then, outcome) => {
          // 437: there is no allocation (any more) that this could belong to, for example after a restart of the server.
          if (outcome.type === 'error' && outcome.code === 437) this.#fail(outcome.code, outcome.reason)
          else done(then, outcome)
        }),
      emit: (output) => this.#outbox.push(output),
    }
    this.#permissions = new Permissions(context)
    this.#channels = new Channels(context)
  }

  get state(): AllocationState {
    return this.#state
  }

  /** The local address that packets go over; another one after `move`. */
  get local(): Address {
    return this.#exchanges.local
  }

  /** Relayed addresses, one per family; none before `allocated`. */
  get relayed(): readonly Address[] {
    return this.#granted?.relayed ?? []
  }

  /** Our address as the server saw it when it allocated. */
  get mapped(): Address | undefined {
    return this.#granted?.mapped
  }

  /** When the server will forget the allocation unless it is refreshed, on the caller's clock. */
  get expiresAt(): number {
    return this.#expiresAt
  }

  /** The server gave a ticket, so `move` works. */
  get movable(): boolean {
    return this.#state === 'allocated' && this.#ticket !== undefined
  }

  /** Asks the server, once. Permissions and channels may be asked for before it answers. */
  allocate(now: number): void {
    if (this.#state !== 'new') throw new TurnError('ERR_TURN_STATE', 'allocate once; make another Allocation')
    this.#now = now
    this.#state = 'allocating'
    this.#allocate(now)
  }

  /** Lets us and the peer at `ip` exchange data, until `removePermission`. Idempotent, but for refusals that time may mend. */
  createPermission(now: number, ip: string): void {
    this.#now = now
    if (this.#isOver) return
    this.#permissions.want(ip)
    if (this.#granted) this.#permissions.restrict(this.#granted.relayed.map(familyOf))
  }

  /** Stops renewing the permission and the channels of this IP: nothing is sent there or taken from there any more. */
  removePermission(ip: string): void {
    const permission = this.#permissions.remove(ip)
    for (const peer of permission?.peers.values() ?? []) this.#channels.release(this.#now, peer)
  }

  /** Shortens the header of all data with this peer from 36 bytes to 4; asks for the permission, too. Idempotent. */
  bindChannel(now: number, peer: Address): void {
    this.createPermission(now, peer.ip)
    if (this.#isOver) return
    const known = this.#peerAt(peer)
    if (known && known.permission.state !== 'refused') this.#channels.want(now, known)
  }

  /**
   * Sends to a peer through the relay. `false` before `allocated`, while moving, and without a permission that was asked
   * for; one that the server has not confirmed yet will do. Throws `TurnError` for more than 65 400 bytes.
   */
  send(now: number, peer: Address, bytes: Uint8Array): boolean {
    this.#now = now
    if (bytes.length > LIMITS.data) throw new TurnError('ERR_TURN_ARGUMENT', `at most ${LIMITS.data} bytes at a time`)
    if (this.#state !== 'allocated' || this.#moving) return false
    const known = this.#peerAt(peer)
    if (known === undefined || known.permission.state === 'refused') return false
    // The server drops what comes before the request for its permission.
    if (known.permission.state === 'pending') this.#flush(now)
    const { protocol } = this.#options
    const { channel } = known
    const framed =
      channel?.state === 'bound'
        ? encodeChannelData(channel.number, bytes, protocol === 'tcp')
        : this.#sendIndication(known.address, bytes)
    const packet = { protocol, local: this.#exchanges.local, remote: this.server, bytes: framed }
    this.#outbox.push({ type: 'packet', packet })
    return true
  }

  /**
   * Takes the allocation along to another local address (RFC 8016): `moved` when the server agrees, `failed` when not.
   * Throws `TurnError` unless `movable`.
   */
  move(now: number, local: Address): void {
    if (!this.movable) throw new TurnError('ERR_TURN_STATE', 'the server gave no ticket to move with; allocate anew')
    this.#now = now
    this.#moving = true
    this.#exchanges.clear()
    this.#exchanges.local = local
    this.#refresh(now)
  }

  /** Asks now whether the server still knows the allocation, and not when it is due: `failed` when it does not. */
  verify(now: number): void {
    this.#now = now
    const isAsked = this.#refreshAt === Number.POSITIVE_INFINITY
    if (this.#state === 'allocated' && !this.#moving && !isAsked) this.#refresh(now)
  }

  /** Gives the allocation back. `released` follows once, from any state; a server that is silent delays it by `timing.release`. */
  close(now: number): void {
    this.#now = now
    if (this.#closed) return
    this.#closed = true
    const before = this.#state
    // Nothing was granted, and nothing can be by a request that only asks what to sign.
    const bare = before === 'new' || (before === 'allocating' && !this.#credentials.known)
    if (before === 'ended' || bare) return this.#end({ type: 'released' })
    this.#state = 'closing'
    this.#giveUpAt = now + this.#timing.release
    // An Allocate under way is waited for: what it brings would otherwise live on for its whole lifetime.
    if (before === 'allocated') this.#release(now)
  }

  handlePacket(now: number, packet: Packet): boolean {
    if (!sameAddress(packet.remote, this.server) || !sameAddress(packet.local, this.#exchanges.local)) return false
    if (packet.protocol !== this.#options.protocol || this.#state === 'new' || this.#state === 'ended') return false
    this.#now = now
    if (isChannelData(packet.bytes)) {
      this.#handleChannelData(packet.bytes)
      return true
    }
    const message = decode(packet.bytes)
    if (message === undefined) return false
    if (message.method !== 'data') return this.#exchanges.handleResponse(now, message, packet)
    this.#handleDataIndication(message.attributes)
    return true
  }

  handleTimeout(now: number): void {
    this.#now = now
    if (now >= this.#giveUpAt) return this.#end({ type: 'released' })
    this.#exchanges.handleTimeout(now)
    if (this.#state !== 'allocated') return
    if (now >= this.#refreshAt) this.#refresh(now)
    if (!this.#moving) this.#flush(now)
  }

  timeout(): number {
    const next = Math.min(this.#exchanges.timeout(), this.#giveUpAt)
    if (this.#state !== 'allocated') return next
    if (this.#moving) return Math.min(next, this.#refreshAt)
    return Math.min(next, this.#refreshAt, this.#permissions.timeout(), this.#channels.timeout())
  }

  poll(): AllocationOutput | undefined {
    if (this.#outbox.empty && this.#state === 'allocated' && !this.#moving) this.#flush(this.#now)
    return this.#outbox.poll()
  }

  get #isOver(): boolean {
    return this.#state === 'closing' || this.#state === 'ended'
  }

  #allocate(now: number): void {
    this.#exchanges.request(now, 'allocate', this.#request.attributes, (then, outcome) => {
      if (outcome.type === 'success') this.#allocated(then, outcome.attributes)
      else this.#refused(then, outcome)
    })
  }

  #allocated(now: number, attributes: Attributes): void {
    if (this.#state === 'closing') return this.#release(now)
    const granted = this.#request.granted(attributes)
    if (typeof granted === 'string') return this.#fail(NO_ANSWER, granted)
    const { relayed, mapped, refusedFamilies, lifetime } = granted
    this.#state = 'allocated'
    this.#granted = granted
    this.#keep(now, attributes, lifetime)
    this.#outbox.push({ type: 'allocated', relayed, mapped, lifetime, refusedFamilies })
    this.#permissions.restrict(relayed.map(familyOf))
  }

  #refused(now: number, outcome: Outcome & { readonly type: 'error' }): void {
    const { code, reason, attributes } = outcome
    const { alternateServer: server, alternateDomain: domain } = attributes
    if (this.#state === 'closing') this.#end({ type: 'released' })
    else if (code === 300 && server) this.#end({ type: 'redirect', server, ...(domain !== undefined && { domain }) })
    else if (code === 437) this.#end({ type: 'mismatch' })
    else if (this.#request.relax(code, attributes)) this.#allocate(now)
    else this.#fail(code, reason)
  }

  /** RFC 8656 §8. With a ticket it moves the allocation to where it is sent from, RFC 8016 §3.2. */
  #refresh(now: number): void {
    this.#refreshAt = Number.POSITIVE_INFINITY
    const ticket = this.#moving && this.#ticket && { mobilityTicket: this.#ticket }
    const attributes = { lifetime: this.#request.lifetime, ...ticket }
    this.#exchanges.request(now, 'refresh', attributes, (then, outcome) => {
      if (outcome.type === 'success') return this.#refreshed(then, outcome.attributes)
      if (!isTransient(outcome.code) || then >= this.#expiresAt) return this.#fail(outcome.code, outcome.reason)
      this.#refreshAt = outcome.code === NO_ANSWER ? then : then + this.#timing.retry
    })
  }

  #refreshed(now: number, attributes: Attributes): void {
    const lifetime = this.#request.lifetimeOf(attributes)
    if (lifetime === 0) return this.#fail(437, 'the server ended the allocation')
    this.#keep(now, attributes, lifetime)
    if (!this.#moving) return
    this.#moving = false
    this.#permissions.reset()
    this.#channels.reset()
    this.#outbox.push({ type: 'moved', local: this.#exchanges.local })
  }

  #keep(now: number, { mobilityTicket }: Attributes, lifetime: number): void {
    const { refreshMargin, shortestRefresh } = this.#timing
    this.#expiresAt = now + lifetime
    this.#refreshAt = now + Math.max(lifetime - refreshMargin, lifetime / 2, shortestRefresh)
    // The packet is borrowed, so the ticket must be copied.
    if (mobilityTicket?.length && mobilityTicket.length <= LIMITS.ticket) this.#ticket = mobilityTicket.slice()
  }

  /** RFC 8656 §8.1: a lifetime of zero. Whatever the answer, we have said it. */
  #release(now: number): void {
    const attributes = { lifetime: 0, ...(this.#moving && this.#ticket && { mobilityTicket: this.#ticket }) }
    this.#exchanges.clear()
    this.#exchanges.request(now, 'refresh', attributes, () => this.#end({ type: 'released' }))
  }

  #fail(code: number, reason: string): void {
    this.#end(this.#closed ? { type: 'released' } : { type: 'failed', code, reason: explain(code, reason) })
  }

  #end(output: AllocationOutput): void {
    this.#state = 'ended'
    this.#giveUpAt = Number.POSITIVE_INFINITY
    this.#moving = false
    this.#exchanges.clear()
    this.#outbox.push(output)
  }

  /** Requests for all permissions and channels that are wanted or about to end. */
  #flush(now: number): void {
    this.#permissions.flush(now)
    this.#channels.flush(now)
  }

  #peerAt(address: Address): Peer | undefined {
    const cached = this.#peers.get(address)
    if (cached && cached.permission.state !== 'removed') return cached
    const peer = this.#permissions.peer(address, true)
    if (peer) this.#peers.set(address, peer)
    return peer
  }

  #sendIndication(peer: Address, data: Uint8Array): Uint8Array {
    const attributes: Attributes = {
      xorPeerAddress: [peer],
      ...(this.#request.dontFragment && { dontFragment: true }),
      data,
    }
    const transactionId = newTransactionId(this.#options.random)
    // Nothing but TURN comes to a TURN port, so there is nothing that FINGERPRINT would tell it from.
    return encode({ method: 'send', class: 'indication', transactionId, attributes }, { fingerprint: false })
  }

  #handleChannelData(bytes: Uint8Array): void {
    const channel = this.#channels.at(channelNumber(bytes))
    const data = channelPayload(bytes)
    if (channel && channel.state !== 'idle' && data) this.#deliver(channel.peer, data)
  }

  #handleDataIndication({ xorPeerAddress, data }: Attributes): void {
    const peer = xorPeerAddress && this.#permissions.peer(xorPeerAddress[0]!, false)
    if (peer && data) this.#deliver(peer, data)
  }

  /** RFC 8656 §11.4: only from peers that we gave a permission. */
  #deliver({ address, permission }: Peer, bytes: Uint8Array): void {
    if (permission.state === 'refused' || permission.state === 'removed' || this.#state !== 'allocated') return
    const relayed = this.#granted?.relayed.find((one) => familyOf(one) === permission.family)
    if (relayed) this.#outbox.push({ type: 'data', relayed, peer: address, bytes })
  }
}

function familyOf({ ip }: Address): 4 | 6 {
  return ip.includes(':') ? 6 : 4
}

function validate({ username, credential, lifetime = 1, families = [4], server, local }: AllocationOptions): void {
  const wrong = (what: string) => new TurnError('ERR_TURN_ARGUMENT', what)
  const fault = credentialsFault(username, credential)
  if (fault !== undefined) throw wrong(fault)
  if (!(lifetime > 0 && lifetime <= 0xffff_ffff)) throw wrong('lifetime is a positive number of milliseconds')
  if (families.length === 0) throw wrong('ask for at least one address family')
  // An IPv4 server is reached from an IPv6 address as well: through a NAT64, which is the driver's affair.
  // 0.0.0.0 is whichever address the system takes, such as that on the way to a proxy.
  if (addressFamily(server.ip) === 6 && addressFamily(local.ip) === 4 && local.ip !== '0.0.0.0')
    throw wrong('no IPv4 address reaches an IPv6 server')
}
