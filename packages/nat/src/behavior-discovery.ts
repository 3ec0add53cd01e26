import {
  type Address,
  type DecodedMessage,
  decode,
  encode,
  isStun,
  type Machine,
  newTransactionId,
  type Packet,
  sameAddress,
} from '@floe/stun'
import {
  countLayers,
  type FilteringBehavior,
  type HairpinningBehavior,
  isCarrierGrade,
  judgeAllocation,
  judgeMapping,
  type NatBehavior,
  type Observation,
  type PortSample,
} from './behavior.ts'
import { NatError } from './error.ts'
import type { Random } from './random.ts'
import { mappedAddress, otherAddress, type ProbeAnswer, type ProbeOptions, StunProbes } from './stun-probe.ts'

export interface BehaviorDiscoveryOptions {
  /**
   * Bound UDP sockets of one local IP address that nothing has been sent from: one at least; two for filtering; three
   * and more for the port allocation, eight to be sure; hairpinning takes the last two.
   */
  readonly locals: readonly Address[]
  /** STUN servers of the same family, on two IP addresses at least to learn anything of the mapping. Eight at most. */
  readonly servers: readonly Address[]
  readonly random: Random
  /** External address of the home router, from a port mapping: tells one NAT from several. */
  readonly gatewayExternalIp?: string | undefined
}

export type BehaviorOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  /** The end, after five seconds at most. */
  | { readonly type: 'report'; readonly behavior: NatBehavior }

const TIMING = {
  /** First retransmission to a server, milliseconds: a report is wanted soon, and there are few packets in it. */
  rto: 200,
  /** Requests to one server: with `rto` it is over after 1.8 s. */
  sends: 4,
  /** Between the first packets of two sockets, milliseconds, so that they arrive in order. */
  pace: 20,
  /** A filtered answer is awaited three times this long plus the round trip time. */
  filteringSlack: 200,
  /** A hairpinned packet is sent so often, so far apart, and awaited so long, milliseconds. */
  hairpinSends: 3,
  hairpinPace: 100,
  hairpinEnd: 600,
} as const
const MAX_SERVERS = 8
const MAX_LOCALS = 16

/**
 * Finds out what the NATs on the way do (RFC 4787, by the tests of RFC 5780 §4 as far as the servers support them): one
 * socket to all servers, then all sockets to one server, then from one socket to another by their external addresses.
 * A few dozen small packets in all.
 */
export class BehaviorDiscovery implements Machine<BehaviorOutput> {
  readonly #options: BehaviorDiscoveryOptions
  readonly #servers: readonly Address[]
  readonly #outputs: BehaviorOutput[] = []
  readonly #probes: StunProbes
  readonly #observations: Observation[] = []
  readonly #answers: { readonly server: Address; readonly answer: ProbeAnswer }[] = []
  /** External address of each socket, as the server of the second step saw it. */
  readonly #mapped = new Map<Address, Address>()
  #step: 'servers' | 'sockets' | 'hairpin' | 'ended' = 'servers'
  #filtering: FilteringBehavior = 'unknown'
  #hairpinning: HairpinningBehavior = 'unknown'
  #hairpin: Hairpin | undefined

  /** Asks at once. Throws ERR_NAT_ARGUMENT without sockets or servers. */
  constructor(now: number, options: BehaviorDiscoveryOptions) {
    const { locals, servers } = options
    if (locals.length === 0 || servers.length === 0) {
      throw new NatError('ERR_NAT_ARGUMENT', 'behavior discovery needs a bound socket and a STUN server at least')
    }
    this.#options = { ...options, locals: locals.slice(0, MAX_LOCALS) }
    this.#probes = new StunProbes(options.random, (packet) => this.#outputs.push({ type: 'packet', packet }))
    this.#servers = servers.slice(0, MAX_SERVERS)
    for (const [index, server] of this.#servers.entries()) this.#observe(now + index * TIMING.pace, server)
    this.handleTimeout(now)
  }

  handlePacket(now: number, { local, remote, bytes }: Packet): boolean {
    if (this.#step === 'ended' || !isStun(bytes)) return false
    // The packet is borrowed and its message is kept. Not `slice()`: that of a Node Buffer doesn't copy.
    const message = decode(new Uint8Array(bytes))
    if (message === undefined) return false
    if (message.class === 'request') return this.#handleHairpin(now, message, local, remote)
    if (!this.#probes.handleMessage(now, message, local, remote)) return false
    this.#advance(now)
    return true
  }

  handleTimeout(now: number): void {
    this.#probes.handleTimeout(now)
    if (this.#hairpin && now >= this.#hairpin.sendAt) this.#sendHairpin(now, this.#hairpin)
    this.#advance(now)
  }

  timeout(): number {
    if (this.#step === 'ended') return Number.POSITIVE_INFINITY
    const { sendAt, end } = this.#hairpin ?? NEVER
    return Math.min(this.#probes.timeout(), sendAt, end)
  }

  poll(): BehaviorOutput | undefined {
    return this.#outputs.shift()
  }

  /** Goes on to the next step when the present one has nothing open any more. */
  #advance(now: number): void {
    if (this.#step === 'servers' && this.#probes.size === 0) this.#startSockets(now)
    if (this.#step === 'sockets' && this.#probes.size === 0) this.#startHairpin(now)
    if (this.#step === 'hairpin' && (this.#hairpin === undefined || now >= this.#hairpin.end)) this.#report()
  }

  #observe(now: number, server: Address): void {
    this.#probe(now, this.#options.locals[0]!, server, (_, answer) => {
      const mapped = mappedAddress(answer)
      if (answer === undefined || mapped === undefined) return
      this.#observations.push({ server, mapped })
      this.#answers.push({ server, answer })
    })
  }

  /** All other sockets at one server, the one with a second address when there is one, or else the quickest. */
  #startSockets(now: number): void {
    this.#step = 'sockets'
    const byTime = [...this.#answers].sort((a, b) => a.answer.roundTripTime - b.answer.roundTripTime)
    const chosen = byTime.find(({ server, answer }) => otherAddress(server, answer)) ?? byTime[0]
    if (chosen === undefined) return
    const { server, answer } = chosen
    const [first, second, ...more] = this.#options.locals
    this.#mapped.set(first!, mappedAddress(answer)!)
    const other = otherAddress(server, answer)
    if (other) {
      // RFC 5780 §4.3 tests II and III: another address, then another port on it.
      this.#observe(now, { ip: other.ip, port: server.port })
      this.#observe(now + TIMING.pace, other)
    }
    const sockets = second ? [second, ...more] : []
    for (const [index, local] of sockets.entries()) {
      this.#probe(now + (index + 1) * TIMING.pace, local, server, (later, result) => {
        const mapped = mappedAddress(result)
        if (mapped) this.#mapped.set(local, mapped)
        if (mapped && local === second && other) this.#filter(later, local, server, other, result!.roundTripTime)
      })
    }
  }

  /**
   * RFC 5780 §4.4 tests II and III, from a socket that has sent to `server` alone. A server that answers from the address
   * it was asked at, or with an error, does not do what OTHER-ADDRESS promises: that tells nothing.
   */
  #filter(now: number, local: Address, server: Address, other: Address, roundTripTime: number): void {
    const results: { anyAddress?: boolean; anyPort?: boolean } = {}
    const test = (name: keyof typeof results, changeIp: boolean, from: Address) =>
      this.#probe(
        now,
        local,
        server,
        (_, answer) => {
          const refused = answer && (answer.message.class === 'error' || sameAddress(answer.remote, server))
          if (!refused) results[name] = answer !== undefined
          this.#filtering = judgeFiltering(results.anyAddress, results.anyPort)
        },
        {
          attributes: { changeRequest: { changeIp, changePort: true } },
          from: [from, server],
          rto: roundTripTime + TIMING.filteringSlack,
          backoff: false,
          sends: 3,
        },
      )
    test('anyAddress', true, other)
    test('anyPort', false, { ip: server.ip, port: other.port })
  }

  #probe(now: number, local: Address, to: Address, then: ProbeOptions['then'], more: Partial<ProbeOptions> = {}): void {
    const { rto, sends } = TIMING
    this.#probes.add(now, { local, to, rto, sends, backoff: true, then, ...more })
  }

  /**
   * Two sockets send to each other's external addresses, both, so that no filter is in the way. Only where several
   * servers agree on our external IP address: one alone could point us at anybody.
   */
  #startHairpin(now: number): void {
    this.#step = 'hairpin'
    const [a, b] = this.#options.locals.slice(-2)
    const [mappedA, mappedB] = [a && this.#mapped.get(a), b && this.#mapped.get(b)]
    if (!a || !b || !mappedA || !mappedB || sameAddress(a, mappedA)) return
    const ips = this.#observations.filter(({ mapped }) => mapped.ip === mappedA.ip).map(({ server }) => server.ip)
    if (mappedA.ip !== mappedB.ip || new Set(ips).size < 2) return
    this.#hairpinning = 'none'
    const transactionId = newTransactionId(this.#options.random)
    const bytes = encode({ method: 'binding', class: 'request', transactionId, attributes: {} })
    this.#hairpin = {
      a,
      b,
      mappedA,
      mappedB,
      transactionId,
      bytes,
      sends: 0,
      sendAt: now,
      end: now + TIMING.hairpinEnd,
    }
    this.#sendHairpin(now, this.#hairpin)
  }

  #sendHairpin(now: number, hairpin: Hairpin): void {
    const { a, b, mappedA, mappedB, bytes } = hairpin
    this.#send(a, mappedB, bytes.slice())
    this.#send(b, mappedA, bytes.slice())
    hairpin.sends++
    hairpin.sendAt = hairpin.sends < TIMING.hairpinSends ? now + TIMING.hairpinPace : Number.POSITIVE_INFINITY
  }

  #handleHairpin(now: number, { transactionId }: DecodedMessage, local: Address, remote: Address): boolean {
    const hairpin = this.#hairpin
    if (hairpin === undefined || transactionId !== hairpin.transactionId) return false
    const { a, b, mappedA, mappedB } = hairpin
    const [sender, mappedSender] = sameAddress(local, b) ? [a, mappedA] : [b, mappedB]
    if (sameAddress(remote, sender)) this.#hairpinning = 'internal'
    else if (remote.ip === mappedSender.ip) this.#hairpinning = 'external'
    else return false
    hairpin.end = now
    this.#advance(now)
    return true
  }

  #send(local: Address, remote: Address, bytes: Uint8Array): void {
    this.#outputs.push({ type: 'packet', packet: { protocol: 'udp', local, remote, bytes } })
  }

  #report(): void {
    this.#step = 'ended'
    const { locals, gatewayExternalIp } = this.#options
    const local = locals[0]!
    const mapped = this.#observations[0]?.mapped
    const ips = new Set([...this.#mapped.values()].map(({ ip }) => ip))
    const samples = locals.flatMap((each): PortSample[] => {
      const external = this.#mapped.get(each)
      return external && external.ip === mapped?.ip ? [{ internal: each.port, external: external.port }] : []
    })
    const allocation = judgeAllocation(samples)
    const layers = mapped && countLayers(local, mapped, gatewayExternalIp)
    const behavior: NatBehavior = {
      local,
      reachable: mapped !== undefined,
      ...(mapped && { mapped, translated: !sameAddress(local, mapped) }),
      mapping: judgeMapping(this.#observations),
      filtering: this.#filtering,
      hairpinning: this.#hairpinning,
      ...(allocation && { allocation }),
      pooling: this.#mapped.size < 2 ? 'unknown' : ips.size === 1 ? 'paired' : 'arbitrary',
      ...(layers !== undefined && { layers }),
      carrierGrade: isCarrierGrade(local.ip, mapped?.ip, gatewayExternalIp),
      servers: this.#servers.map((address) => ({
        address,
        roundTripTime: this.#answers.find(({ server }) => server === address)?.answer.roundTripTime,
      })),
    }
    this.#outputs.push({ type: 'report', behavior })
  }
}

interface Hairpin {
  readonly a: Address
  readonly b: Address
  readonly mappedA: Address
  readonly mappedB: Address
  readonly transactionId: string
  readonly bytes: Uint8Array
  sends: number
  sendAt: number
  end: number
}

const NEVER = { sendAt: Number.POSITIVE_INFINITY, end: Number.POSITIVE_INFINITY }

/** `undefined`: no result. */
function judgeFiltering(anyAddress: boolean | undefined, anyPort: boolean | undefined): FilteringBehavior {
  if (anyAddress === true) return 'endpoint-independent'
  if (anyAddress === undefined || anyPort === undefined) return 'unknown'
  return anyPort ? 'address-dependent' : 'address-and-port-dependent'
}
