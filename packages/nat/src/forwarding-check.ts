/** Whether a port mapping really lets packets in: RFC 5780's test of filtering, from the mapped socket itself. */
import { type Address, decode, isStun, type Machine, type Packet, sameAddress } from '@floe/stun'
import type { Random } from './random.ts'
import { type ProbeAnswer, StunProbe } from './stun-probe.ts'

export interface ForwardingCheckOptions {
  /** The mapped socket's address. */
  readonly local: Address
  /** Where the router says that it is reached. */
  readonly external: Address
  /** STUN servers of its family; those with a second address (RFC 5780) are of use. Three are asked. */
  readonly servers: readonly Address[]
  readonly random: Random
}

/**
 * `forwards`: a packet came in from an address that nothing has been sent to. `dead`: it did not, although the server
 * answers otherwise. `unknown`: no server with a second address, or the NAT gives our own packets another port than the
 * mapped one, which nothing is learnt from.
 */
export type ForwardingVerdict = 'forwards' | 'dead' | 'unknown'

export type ForwardingOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  /** The end, after six seconds at most. */
  | { readonly type: 'verdict'; readonly verdict: ForwardingVerdict }

/**
 * Asks servers where they see the socket. One that sees it at the mapped address is asked to answer from its other
 * address; what does not come is asked for three times, and then the server once more to answer as usual: only when it
 * does the mapping is to blame. A NAT that filters nobody passes too, and that is as good.
 */
export class ForwardingCheck implements Machine<ForwardingOutput> {
  readonly #options: ForwardingCheckOptions
  readonly #outputs: ForwardingOutput[] = []
  readonly #probes = new Set<StunProbe>()
  #candidates: { readonly server: Address; readonly answer: ProbeAnswer }[] = []
  #ended = false

  /** Asks at once. Without servers the verdict is `unknown`. */
  constructor(now: number, options: ForwardingCheckOptions) {
    this.#options = options
    for (const server of options.servers.slice(0, MAX_SERVERS)) this.#ask(now, server, true)
    this.handleTimeout(now)
  }

  handlePacket(now: number, { local, remote, bytes }: Packet): boolean {
    if (this.#ended || !isStun(bytes)) return false
    const message = decode(new Uint8Array(bytes))
    if (message === undefined) return false
    for (const probe of this.#probes) {
      const answer = probe.match(now, message, local, remote)
      if (answer === undefined) continue
      this.#probes.delete(probe)
      probe.options.then(now, answer)
      this.#advance(now)
      return true
    }
    return false
  }

  handleTimeout(now: number): void {
    for (const probe of [...this.#probes]) {
      const bytes = probe.next(now)
      if (bytes === undefined) continue
      if (bytes !== 'over') {
        const { local, to: remote } = probe.options
        this.#outputs.push({ type: 'packet', packet: { protocol: 'udp', local, remote, bytes } })
        continue
      }
      this.#probes.delete(probe)
      probe.options.then(now, undefined)
    }
    this.#advance(now)
  }

  timeout(): number {
    if (this.#ended) return Number.POSITIVE_INFINITY
    return Math.min(...[...this.#probes].map(({ deadline }) => deadline))
  }

  poll(): ForwardingOutput | undefined {
    return this.#outputs.shift()
  }

  #ask(now: number, server: Address, tryOtherPort: boolean): void {
    this.#probe(now, server, ASK, (later, answer) => {
      const other = answer?.message.attributes.otherAddress
      if (!answer || !other || other.ip === server.ip || other.port === server.port || other.port === 0) return
      if (this.#isMapped(answer)) this.#candidates.push({ server, answer })
      // A flow to this port may be older than the mapping, and keep its port as long as it lives.
      else if (tryOtherPort) this.#ask(later, { ip: server.ip, port: other.port }, false)
    })
  }

  /** Goes on when nothing is open. */
  #advance(now: number): void {
    if (this.#ended || this.#probes.size > 0) return
    const chosen = this.#candidates.shift()
    if (!chosen) return this.#end('unknown')
    const { server, answer } = chosen
    const other = answer.message.attributes.otherAddress!
    const options = {
      attributes: { changeRequest: { changeIp: true, changePort: true } },
      from: [other, server],
      rto: answer.roundTripTime + FILTERING_SLACK,
      backoff: false,
      sends: 3,
    }
    this.#probe(now, server, options, (later, result) => {
      if (!result) return this.#confirm(later, server)
      // One that does not do what it promises says nothing.
      if (result.message.class === 'success' && sameAddress(result.remote, other)) this.#end('forwards')
    })
    this.handleTimeout(now)
  }

  #confirm(now: number, server: Address): void {
    this.#probe(now, server, ASK, (_, answer) => this.#end(answer && this.#isMapped(answer) ? 'dead' : 'unknown'))
  }

  #isMapped({ message: { attributes } }: ProbeAnswer): boolean {
    const seen = attributes.xorMappedAddress ?? attributes.mappedAddress
    return seen !== undefined && sameAddress(seen, this.#options.external)
  }

  #probe(
    now: number,
    to: Address,
    options: Pick<StunProbe['options'], 'rto' | 'backoff' | 'sends'> & Partial<StunProbe['options']>,
    then: StunProbe['options']['then'],
  ): void {
    const { local, random } = this.#options
    this.#probes.add(new StunProbe(now, random, { local, to, then, ...options }))
  }

  #end(verdict: ForwardingVerdict): void {
    if (this.#ended) return
    this.#ended = true
    this.#probes.clear()
    this.#outputs.push({ type: 'verdict', verdict })
  }
}

const MAX_SERVERS = 3
/** An answer within 250 ms, or the next of three requests, milliseconds: nobody waits for this. */
const ASK = { rto: 250, backoff: true, sends: 3 } as const
/** A filtered answer is awaited three times the round trip and this, milliseconds. */
const FILTERING_SLACK = 200
