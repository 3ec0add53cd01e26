import { type Candidate, formatCandidate, type IceParameters, parseCandidate } from '@floe/ice'
import type { SignalingPlan } from '../topology/scenario.ts'
import type { Clock } from './clock.ts'
import type { Peer } from './peer.ts'

/**
 * What crosses the wire: text only, so that nothing but what RFC 8839 can say arrives. `offer` and `answer` number the
 * restarts of their sender and receiver; the first parameters of a session are neither.
 */
type Message =
  | { readonly parameters: IceParameters; readonly offer?: number; readonly answer?: number }
  | { readonly candidate: string | null }

/** The path beside the network over which two peers exchange parameters and candidates. */
export class Signaling {
  /** Sees every message as text, as an eavesdropper on the path would. */
  ontext: ((text: string, from: Peer) => void) | undefined
  readonly #clock: Clock
  readonly #options: SignalingPlan
  readonly #ends: readonly [Peer, Peer]
  readonly #offers = new Map<Peer, number>()
  /** They have restarted, so that the first parameters of either are past. */
  #restarted = false
  /** The restart of this peer that the other one has not answered yet. */
  readonly #pending = new Map<Peer, number>()
  /** What waits for the path to come up again. */
  #waiting: (() => void)[] | undefined

  constructor(clock: Clock, first: Peer, second: Peer, options: SignalingPlan = {}) {
    this.#clock = clock
    this.#options = options
    this.#ends = [first, second]
    this.#connect(first, second)
    this.#connect(second, first)
  }

  /** Both peers gather and tell each other. */
  start() {
    const { skew = 0 } = this.#options
    const [first, second] = skew < 0 ? this.#ends.toReversed() : this.#ends
    this.#begin(first!)
    this.#clock.after(Math.abs(skew), () => this.#begin(second!))
  }

  /** One peer restarts ICE and tells the other, which restarts too and tells back (RFC 8839 §4.4.1.1). */
  restart(initiator: Peer) {
    const offer = (this.#offers.get(initiator) ?? 0) + 1
    this.#offers.set(initiator, offer)
    this.#pending.set(initiator, offer)
    this.#restart(initiator, { offer })
  }

  get isDown(): boolean {
    return this.#waiting !== undefined
  }

  /** Messages wait from now on, in order, until `up()`. */
  down() {
    this.#waiting ??= []
  }

  up() {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const send of waiting) send()
  }

  #latencyFrom(peer: Peer): number {
    const { latency = 20 } = this.#options
    if (typeof latency === 'number') return latency
    return latency[peer === this.#ends[0] ? 0 : 1]
  }

  #other(peer: Peer): Peer {
    return peer === this.#ends[0] ? this.#ends[1] : this.#ends[0]
  }

  #begin(peer: Peer) {
    // Signaling that has gone down meanwhile may have ended the session before.
    if (peer.state === 'closed') return
    if (this.#options.trickle ?? true) this.#send(peer, { parameters: peer.agent.localParameters })
    peer.gather()
  }

  /** Parameters first, then the candidates that restart() has put out. */
  #restart(peer: Peer, label: { offer: number } | { answer: number }) {
    const signal = peer.oncandidate
    const candidates: (Candidate | null)[] = []
    peer.oncandidate = (candidate) => candidates.push(candidate)
    this.#restarted = true
    this.#send(peer, { parameters: peer.restart(), ...label })
    peer.oncandidate = signal
    for (const candidate of candidates) signal?.(candidate)
  }

  #connect(from: Peer, to: Peer) {
    const held: (string | null)[] = []
    let told = false
    from.oncandidate = (candidate) => {
      const line = candidate && formatCandidate(candidate)
      if (this.#options.trickle ?? true) return this.#send(from, { candidate: line })
      held.push(line)
      if (line !== null) return
      // Once: what is gathered later belongs to them. Those of a restart have gone ahead and wait for no gathering.
      if (!this.#restarted && !told) this.#send(from, { parameters: from.agent.localParameters })
      told = true
      for (const one of held.splice(0)) this.#send(from, { candidate: one })
    }
    from.peer = to
  }

  #send(from: Peer, message: Message) {
    const text = JSON.stringify(message)
    this.ontext?.(text, from)
    const to = this.#other(from)
    const send = () => {
      // A process that stands still takes its messages later, like its packets.
      this.#clock.after(this.#latencyFrom(from), () =>
        to.host.at(this.#clock.now, () => this.#receive(to, JSON.parse(text))),
      )
    }
    if (this.#waiting) this.#waiting.push(send)
    else send()
  }

  #receive(peer: Peer, message: Message) {
    if (peer.state === 'closed') return
    if ('candidate' in message) {
      return peer.addRemoteCandidate(message.candidate === null ? null : parseCandidate(message.candidate)!)
    }
    const { parameters, offer, answer } = message
    if (offer !== undefined) return this.#receiveOffer(peer, parameters, offer)
    // An answer to a restart that another one has overtaken, or first parameters after a restart: nobody uses them.
    if (answer !== undefined ? answer !== this.#pending.get(peer) : this.#restarted) return
    this.#pending.delete(peer)
    this.#start(peer, parameters)
  }

  #receiveOffer(peer: Peer, parameters: IceParameters, offer: number) {
    const crossed = this.#pending.has(peer)
    // Two restarts have crossed: the first peer insists on its own, the second one answers with what it has offered.
    if (crossed && peer === this.#ends[0]) return
    this.#pending.delete(peer)
    if (crossed) this.#send(peer, { parameters: peer.agent.localParameters, answer: offer })
    else this.#restart(peer, { answer: offer })
    this.#start(peer, parameters)
  }

  #start(peer: Peer, parameters: IceParameters) {
    const roles = this.#options.roles ?? ['controlling', 'controlled']
    peer.start(parameters, roles[peer === this.#ends[0] ? 0 : 1] ?? undefined)
  }
}
