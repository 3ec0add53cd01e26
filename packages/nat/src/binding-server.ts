/** The server's side of STUN's Binding (RFC 8489 §12) and of NAT behaviour discovery (RFC 5780 §6), without sockets. */
import {
  type Address,
  addressFamily,
  type DecodedMessage,
  decode,
  encode,
  isStun,
  type Machine,
  networkOf,
  Outbox,
  type Packet,
  sameAddress,
  withoutScope,
} from '@floe/stun'
import { NatError } from './error.ts'

export interface BindingServerOptions {
  /**
   * Bound UDP sockets. Four of one family, on two IP addresses and two ports, make it an RFC 5780 server there:
   * OTHER-ADDRESS, RESPONSE-ORIGIN, CHANGE-REQUEST and RESPONSE-PORT. Leave those out where a NAT stands in front of the server.
   */
  readonly locals: readonly Address[]
  /** Answers to one IPv4 address or IPv6 /64 in a second, in the long run; ten times as many at once. Default: 20. */
  readonly ratePerSource?: number
  /** Answers to everybody in a second. Default: 2000. */
  readonly rate?: number
}

export interface BindingServerOutput {
  readonly type: 'packet'
  readonly packet: Packet
}

/** What a server has done since it was made. */
export interface BindingServerStats {
  readonly answered: number
  /** Requests that were not answered, because their source or everybody together asked too often. */
  readonly limited: number
}

/**
 * Tells clients where their packets come from. One answer at most to each request, never to anything else; each leaves
 * for the IP address that its request came from, to the same port or to the one that is asked for (RESPONSE-PORT). UDP
 * sources can be forged, port and all, so this bounds what a victim could get: an answer has 92 bytes at most, its packet
 * is little more than twice as long as the request's, and there are only so many in a second. Whose port is 0, and who
 * claims to be one of our own sockets, gets none.
 */
export class BindingServer implements Machine<BindingServerOutput> {
  readonly #locals: readonly Address[]
  readonly #outbox = new Outbox<BindingServerOutput>()
  readonly #everybody: Allowance
  readonly #perSource: number
  /** The least recent first. */
  readonly #sources = new Map<string, Allowance>()
  #answered = 0
  #limited = 0

  /** Throws ERR_NAT_ARGUMENT without sockets, or with a rate that is not above 0. */
  constructor({ locals, ratePerSource = 20, rate = 2_000 }: BindingServerOptions) {
    if (locals.length === 0) throw new NatError('ERR_NAT_ARGUMENT', 'a STUN server needs a bound socket at least')
    if (!(ratePerSource > 0 && rate > 0)) throw new NatError('ERR_NAT_ARGUMENT', 'rates must be above 0 per second')
    this.#locals = locals
    this.#perSource = ratePerSource
    this.#everybody = new Allowance(rate, rate)
  }

  get stats(): BindingServerStats {
    return { answered: this.#answered, limited: this.#limited }
  }

  /** RFC 5780's second address for who asks at `local`: another IP address and another port. */
  otherAddress(local: Address): Address | undefined {
    const changed = (changeIp: boolean, changePort: boolean) => this.#changed(local, changeIp, changePort)
    return changed(true, false) && changed(false, true) ? changed(true, true) : undefined
  }

  handlePacket(now: number, { local, remote, bytes, protocol }: Packet): boolean {
    if (protocol !== 'udp' || !isStun(bytes)) return false
    const request = decode(bytes)
    if (request?.method !== 'binding' || request.class !== 'request') return false
    if (!this.#isOther(remote)) return true
    if (!this.#allows(now, remote.ip)) {
      this.#limited++
      return true
    }
    this.#answered++
    this.#answer(request, this.#locals.find((own) => sameAddress(own, local)) ?? local, remote)
    return true
  }

  handleTimeout(_now: number): void {}

  timeout(): number {
    return Number.POSITIVE_INFINITY
  }

  poll(): BindingServerOutput | undefined {
    return this.#outbox.poll()
  }

  #answer(request: DecodedMessage, local: Address, remote: Address): void {
    const other = this.otherAddress(local)
    const unknown = unknownAttributes(request, other !== undefined)
    if (unknown.length > 0) {
      const errorCode = { code: 420, reason: 'Unknown Attribute' }
      return this.#send(request, local, remote, 'error', { errorCode, unknownAttributes: unknown })
    }
    const { changeRequest: { changeIp = false, changePort = false } = {}, responsePort } = request.attributes
    const origin = this.#changed(local, changeIp, changePort) ?? local
    const destination = responsePort === undefined ? remote : { ip: remote.ip, port: responsePort }
    if (!this.#isOther(destination)) return
    this.#send(request, origin, destination, 'success', {
      xorMappedAddress: { ip: withoutScope(remote.ip), port: remote.port },
      ...(other && { responseOrigin: origin, otherAddress: other }),
    })
  }

  /** Not one of our own sockets, with which we would talk for ever. */
  #isOther(address: Address): boolean {
    return address.port !== 0 && !this.#locals.some((own) => sameAddress(own, address))
  }

  #send(
    { transactionId }: DecodedMessage,
    local: Address,
    remote: Address,
    kind: 'success' | 'error',
    attributes: DecodedMessage['attributes'],
  ): void {
    const message = { method: 'binding', class: kind, transactionId, attributes } as const
    // RFC 8489 §14.7 asks for FINGERPRINT where STUN shares a port with something else: here it has its own.
    const bytes = encode(message, { fingerprint: false })
    this.#outbox.push({ type: 'packet', packet: { protocol: 'udp', local, remote, bytes } })
  }

  #changed({ ip, port }: Address, changeIp: boolean, changePort: boolean): Address | undefined {
    const family = addressFamily(ip)
    return this.#locals.find(
      (own) => (own.ip !== ip) === changeIp && (own.port !== port) === changePort && addressFamily(own.ip) === family,
    )
  }

  #allows(now: number, ip: string): boolean {
    const name = networkOf(ip)
    const source = this.#sources.get(name) ?? new Allowance(this.#perSource, this.#perSource * BURST)
    this.#sources.delete(name)
    this.#sources.set(name, source)
    if (this.#sources.size > MAX_SOURCES) this.#sources.delete(this.#sources.keys().next().value!)
    // Not the other way round: one who asks too often must not use up what the others have.
    return source.take(now) && this.#everybody.take(now)
  }
}

/** How many seconds' worth of answers may be had at once: behind one address there may be an office. */
const BURST = 10

/** Sources that are remembered, a few hundred bytes each. */
const MAX_SOURCES = 10_000

/** So many a second; those that were not used are saved, up to `most`. */
class Allowance {
  readonly #perSecond: number
  readonly #most: number
  #left: number
  #at = Number.NEGATIVE_INFINITY

  constructor(perSecond: number, most: number) {
    this.#perSecond = perSecond
    this.#most = this.#left = Math.max(1, most)
  }

  take(now: number): boolean {
    const earned = ((now - this.#at) / 1_000) * this.#perSecond
    this.#left = Math.min(this.#most, this.#left + earned)
    this.#at = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}

/** Attributes of the table that a Binding request to a server may not have, by type: those of ICE, TURN and RFC 5780. */
const REFUSED = {
  changeRequest: 0x0003,
  priority: 0x0024,
  useCandidate: 0x0025,
  /** RFC 5780 §7.6: would make an answer as long as the request; nobody here asks for it. */
  padding: 0x0026,
  responsePort: 0x0027,
} as const

/** RFC 8489 §6.3.1, and RFC 5780 §6.1: without a second address the tests of that RFC are unknown. */
function unknownAttributes({ attributes, unknownRequired }: DecodedMessage, canChange: boolean): number[] {
  const refused = Object.entries(REFUSED).filter(([name]) => attributes[name as keyof typeof REFUSED] !== undefined)
  const types = refused.map(([, type]) => type).filter((type) => !(canChange && OF_TWO_ADDRESSES.has(type)))
  return [...types, ...unknownRequired].slice(0, MAX_UNKNOWN)
}

/** RFC 5780 §7.2, §7.5. */
const OF_TWO_ADDRESSES: ReadonlySet<number> = new Set([REFUSED.changeRequest, REFUSED.responsePort])

/** Keeps the answer short, however many attributes there are. */
const MAX_UNKNOWN = 4
