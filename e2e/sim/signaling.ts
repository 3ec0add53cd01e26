import { type Candidate, formatCandidate, type IceParameters, type IceRole, parseCandidate } from '@floe/ice'
import type { Clock } from './clock.ts'
import type { Peer } from './peer.ts'

export interface SignalingOptions {
  /** Milliseconds one way. Messages keep their order, as over a WebSocket. Default 20. */
  readonly latency?: number
  /** False: candidates travel with the parameters, once gathering has ended. Default true. */
  readonly trickle?: boolean
  /** Milliseconds by which the second peer begins later. */
  readonly skew?: number
  /** Roles told to the agents; `[undefined, undefined]` leaves them as constructed. Default: the first one controls. */
  readonly roles?: readonly [IceRole | undefined, IceRole | undefined]
}

/** What crosses the wire: text only, so that nothing but what RFC 8839 can say arrives. */
type Message = { readonly parameters: IceParameters; readonly restart?: true } | { readonly candidate: string | null }

/** The path beside the network over which two peers exchange parameters and candidates. */
export class Signaling {
  /** Sees every message as text, as an eavesdropper on the path would. */
  ontext: ((text: string, from: Peer) => void) | undefined
  readonly #clock: Clock
  readonly #options: SignalingOptions
  readonly #ends: readonly [Peer, Peer]

  constructor(clock: Clock, first: Peer, second: Peer, options: SignalingOptions = {}) {
    this.#clock = clock
    this.#options = options
    this.#ends = [first, second]
    this.#connect(first, second)
    this.#connect(second, first)
  }

  /** Both peers gather and tell each other. */
  start() {
    const [first, second] = this.#ends
    this.#begin(first)
    this.#clock.after(this.#options.skew ?? 0, () => this.#begin(second))
  }

  /** One peer restarts ICE and tells the other, which restarts too and tells back (RFC 8839 §4.4.1.1). */
  restart(initiator: Peer) {
    this.#restart(initiator, { restart: true })
  }

  get #latency(): number {
    return this.#options.latency ?? 20
  }

  #other(peer: Peer): Peer {
    return peer === this.#ends[0] ? this.#ends[1] : this.#ends[0]
  }

  #begin(peer: Peer) {
    if (this.#options.trickle ?? true) this.#send(peer, { parameters: peer.agent.localParameters })
    peer.gather()
  }

  /** Parameters first, then the candidates that restart() has put out. */
  #restart(peer: Peer, flag: { restart?: true }) {
    const signal = peer.oncandidate
    const candidates: (Candidate | null)[] = []
    peer.oncandidate = (candidate) => candidates.push(candidate)
    this.#send(peer, { parameters: peer.restart(), ...flag })
    peer.oncandidate = signal
    for (const candidate of candidates) signal?.(candidate)
  }

  #connect(from: Peer, to: Peer) {
    const held: (string | null)[] = []
    from.oncandidate = (candidate) => {
      const line = candidate && formatCandidate(candidate)
      if (this.#options.trickle ?? true) return this.#send(from, { candidate: line })
      held.push(line)
      if (line !== null) return
      this.#send(from, { parameters: from.agent.localParameters })
      for (const one of held.splice(0)) this.#send(from, { candidate: one })
    }
    from.peer = to
  }

  #send(from: Peer, message: Message) {
    const text = JSON.stringify(message)
    this.ontext?.(text, from)
    this.#clock.after(this.#latency, () => this.#receive(this.#other(from), JSON.parse(text)))
  }

  #receive(peer: Peer, message: Message) {
    if (peer.state === 'closed') return
    if ('candidate' in message) {
      return peer.addRemoteCandidate(message.candidate === null ? null : parseCandidate(message.candidate)!)
    }
    if (message.restart) this.#restart(peer, {})
    const roles = this.#options.roles ?? ['controlling', 'controlled']
    peer.start(message.parameters, roles[peer === this.#ends[0] ? 0 : 1])
  }
}
