import {
  type Address,
  type DecodedMessage,
  encode,
  type Message,
  newTransactionId,
  type Packet,
  sameAddress,
} from '@floe/stun'
import type { Random } from './random.ts'

export interface ProbeOptions {
  readonly local: Address
  readonly to: Address
  readonly attributes?: Message['attributes']
  /** First retransmission, milliseconds; doubles when `backoff`. */
  readonly rto: number
  readonly backoff: boolean
  readonly sends: number
  /** Where answers may come from; the server asked, unless told. */
  readonly from?: readonly Address[]
  /** `message` is `undefined`: there was no answer. `roundTripTime` in milliseconds, when only one request was sent. */
  then(now: number, answer: ProbeAnswer | undefined): void
}

export interface ProbeAnswer {
  readonly message: DecodedMessage
  readonly remote: Address
  /** Milliseconds. */
  readonly roundTripTime: number
}

/**
 * A Binding request that may be answered from another address than it was sent to, which is what CHANGE-REQUEST
 * (RFC 5780 §7.2) is about and what `Transaction` of @floe/stun rightly refuses.
 */
class StunProbe {
  readonly id: string
  readonly options: ProbeOptions
  readonly #bytes: Uint8Array
  #sends = 0
  #deadline: number
  #sentAt: number

  /** Due at `now`. */
  constructor(now: number, random: Random, options: ProbeOptions) {
    this.options = options
    this.id = newTransactionId(random)
    const { attributes = {} } = options
    this.#bytes = encode({ method: 'binding', class: 'request', transactionId: this.id, attributes })
    this.#deadline = this.#sentAt = now
  }

  get deadline(): number {
    return this.#deadline
  }

  /** What to send now, if it is time and there is something; `'over'` when nothing has come of it. */
  next(now: number): Uint8Array | 'over' | undefined {
    if (now < this.#deadline) return undefined
    const { rto, backoff, sends } = this.options
    if (this.#sends >= sends) return 'over'
    const last = this.#sends + 1 === sends
    this.#deadline = now + (backoff && !last ? rto * 2 ** this.#sends : rto)
    if (last && backoff) this.#deadline = now + 2 * rto
    this.#sends++
    this.#sentAt = now
    return this.#bytes.slice()
  }

  /** The answer, if it is one. Measured from the last request: a lower bound when there were several. */
  match(now: number, message: DecodedMessage, local: Address, remote: Address): ProbeAnswer | undefined {
    const { from = [this.options.to] } = this.options
    if (message.transactionId !== this.id || message.method !== 'binding') return undefined
    if (message.class !== 'success' && message.class !== 'error') return undefined
    if (!sameAddress(local, this.options.local) || !from.some((each) => sameAddress(each, remote))) return undefined
    return { message, remote, roundTripTime: now - this.#sentAt }
  }
}

/** All requests that are under way. Each ends by calling its `then`, which may add others. */
export class StunProbes {
  readonly #random: Random
  readonly #emit: (packet: Packet) => void
  readonly #probes = new Set<StunProbe>()

  constructor(random: Random, emit: (packet: Packet) => void) {
    this.#random = random
    this.#emit = emit
  }

  get size(): number {
    return this.#probes.size
  }

  /** Due at `now`: `handleTimeout` sends it. */
  add(now: number, options: ProbeOptions): void {
    this.#probes.add(new StunProbe(now, this.#random, options))
  }

  handleMessage(now: number, message: DecodedMessage, local: Address, remote: Address): boolean {
    for (const probe of this.#probes) {
      const answer = probe.match(now, message, local, remote)
      if (answer === undefined) continue
      this.#probes.delete(probe)
      probe.options.then(now, answer)
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
        this.#emit({ protocol: 'udp', local, remote, bytes })
        continue
      }
      this.#probes.delete(probe)
      probe.options.then(now, undefined)
    }
  }

  timeout(): number {
    return Math.min(...[...this.#probes].map(({ deadline }) => deadline))
  }

  clear(): void {
    this.#probes.clear()
  }
}

/**
 * Where the server saw the request come from. Servers of RFC 3489's time know the plain attribute only. Port 0 is a lie, and
 * no socket sends there.
 */
export function mappedAddress(answer: ProbeAnswer | undefined): Address | undefined {
  const mapped = answer?.message.attributes.xorMappedAddress ?? answer?.message.attributes.mappedAddress
  return mapped?.port === 0 ? undefined : mapped
}

/** A second address of the server that differs in both, as RFC 5780 §3 has it; others would tell nothing. */
export function otherAddress(server: Address, { message }: ProbeAnswer): Address | undefined {
  const other = message.attributes.otherAddress
  return other && other.ip !== server.ip && other.port !== server.port && other.port !== 0 ? other : undefined
}
