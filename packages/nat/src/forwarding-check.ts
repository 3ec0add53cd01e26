/** Whether a port mapping really lets packets in: RFC 5780's test of filtering, from the mapped socket itself. */
import { type Address, type Attributes, decode, isStun, type Machine, type Packet, sameAddress } from '@floe/stun'
import type { Random } from './random.ts'
import { mappedAddress, otherAddress, type ProbeAnswer, type ProbeOptions, StunProbes } from './stun-probe.ts'

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
 * `forwards`: a packet came in from an address that nothing has been sent to. `dead`: it did not, although the same
 * comes in where something has been sent to. `unknown`: there is no server that would do this, or our packets leave
 * from another IP address than the mapped one, which nothing is learnt from.
 */
export type ForwardingVerdict = 'forwards' | 'dead' | 'unknown'

export type ForwardingOutput =
  | { readonly type: 'packet'; readonly packet: Packet }
  /** The end, after ten seconds at most. */
  | { readonly type: 'verdict'; readonly verdict: ForwardingVerdict }

/** A server that may serve: where its second address is, and where it sees us. */
interface Witness {
  readonly server: Address
  readonly other: Address
  readonly seen: Address
  /** Milliseconds. */
  readonly roundTripTime: number
}

/**
 * Asks servers where they see the socket. One that sees it at the mapped IP address is asked to answer from its second
 * address, and where our NAT gives our own packets another port than the mapped one, to that port (RESPONSE-PORT). What
 * does not come is asked for three times; then the same is asked for through a hole that is there: only when that comes
 * the mapping is to blame, and not the server. A NAT that filters nobody passes too, and that is as good.
 */
export class ForwardingCheck implements Machine<ForwardingOutput> {
  readonly #options: ForwardingCheckOptions
  readonly #outputs: ForwardingOutput[] = []
  readonly #probes: StunProbes
  readonly #witnesses: Witness[] = []
  #ended = false

  /** Asks at once. Without servers the verdict is `unknown`. */
  constructor(now: number, options: ForwardingCheckOptions) {
    this.#options = options
    this.#probes = new StunProbes(options.random, (packet) => this.#outputs.push({ type: 'packet', packet }))
    for (const server of options.servers.slice(0, MAX_SERVERS)) this.#ask(now, server)
    this.handleTimeout(now)
  }

  handlePacket(now: number, { local, remote, bytes }: Packet): boolean {
    if (this.#ended || !isStun(bytes)) return false
    const message = decode(new Uint8Array(bytes))
    if (message === undefined || !this.#probes.handleMessage(now, message, local, remote)) return false
    this.#advance(now)
    return true
  }

  handleTimeout(now: number): void {
    this.#probes.handleTimeout(now)
    this.#advance(now)
  }

  timeout(): number {
    return this.#ended ? Number.POSITIVE_INFINITY : this.#probes.timeout()
  }

  poll(): ForwardingOutput | undefined {
    return this.#outputs.shift()
  }

  #ask(now: number, server: Address): void {
    this.#probe(now, server, ASK, (_, answer) => {
      const [seen, other] = [mappedAddress(answer), answer && otherAddress(server, answer)]
      if (!answer || !other || seen?.ip !== this.#options.external.ip) return
      this.#witnesses.push({ server, other, seen, roundTripTime: answer.roundTripTime })
    })
  }

  /** Goes on when nothing is open. */
  #advance(now: number): void {
    if (this.#ended || this.#probes.size > 0) return
    const witness = this.#witnesses.shift()
    if (!witness) return this.#end('unknown')
    const { external } = this.#options
    this.#answerFrom(now, witness, witness.other, external.port, (later, answer) => {
      if (answer === undefined) this.#openHole(later, witness)
      else if (isAnswerFrom(witness.other, answer)) this.#end('forwards')
    })
    this.handleTimeout(now)
  }

  /**
   * Sends to a third address of the server, so that the one of the test stays unknown to the NAT for the next time, and
   * has it answer from there. That comes in whatever the mapping does, if the server is as good as its word.
   */
  #openHole(now: number, witness: Witness): void {
    const { server, other } = witness
    const hole = { ip: other.ip, port: server.port }
    this.#probe(now, hole, ASK, (later, direct) => {
      const port = mappedAddress(direct)?.port
      if (port === undefined) return
      this.#answerFrom(later, witness, hole, port, (_, answer) => {
        if (answer && isAnswerFrom(hole, answer)) this.#end('dead')
      })
    })
  }

  /** Has the server answer from one of its other addresses to one of our external ports. */
  #answerFrom(now: number, witness: Witness, from: Address, port: number, then: ProbeOptions['then']): void {
    const { server, seen, roundTripTime } = witness
    const attributes: Attributes = {
      changeRequest: { changeIp: true, changePort: from.port !== server.port },
      ...(port !== seen.port && { responsePort: port }),
    }
    const rto = roundTripTime + FILTERING_SLACK
    this.#probe(now, server, { attributes, from: [from, server], rto, backoff: false, sends: 3 }, then)
  }

  #probe(
    now: number,
    to: Address,
    options: Pick<ProbeOptions, 'rto' | 'backoff' | 'sends'> & Partial<ProbeOptions>,
    then: ProbeOptions['then'],
  ): void {
    this.#probes.add(now, { local: this.#options.local, to, then, ...options })
  }

  #end(verdict: ForwardingVerdict): void {
    if (this.#ended) return
    this.#ended = true
    this.#probes.clear()
    this.#outputs.push({ type: 'verdict', verdict })
  }
}

/** One that does not do what it promises, or refuses, says nothing. */
function isAnswerFrom(address: Address, { message, remote }: ProbeAnswer): boolean {
  return message.class === 'success' && sameAddress(remote, address)
}

const MAX_SERVERS = 3
/** An answer within 250 ms, or the next of three requests, milliseconds: nobody waits for this. */
const ASK = { rto: 250, backoff: true, sends: 3 } as const
/** A filtered answer is awaited three times the round trip and this, milliseconds. */
const FILTERING_SLACK = 200
