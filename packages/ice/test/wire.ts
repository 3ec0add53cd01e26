import type { Packet } from '@floe/stun'
import type { AgentOptions, AgentOutput, Candidate, IceAgent, LocalBase } from '../src/index.ts'
import { IceAgent as Agent } from '../src/index.ts'

/** A seeded source of randomness (mulberry32), so that a run can be repeated. */
export function seeded(seed: number): (length: number) => Uint8Array {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  return (length) => Uint8Array.from({ length }, () => next() & 255)
}

export type Output<T extends AgentOutput['type']> = Extract<AgentOutput, { type: T }>

/** An agent with its bases, and everything it has put out. */
export class Side {
  readonly agent: IceAgent
  readonly bases: readonly LocalBase[]
  readonly outputs: AgentOutput[] = []

  constructor(seed: number, ips: readonly string[], options: Partial<AgentOptions> = {}) {
    this.agent = new Agent({ random: seeded(seed), ...options })
    this.bases = ips.map((ip, index) => ({ address: { ip, port: 5000 + index } }))
  }

  all<T extends AgentOutput['type']>(type: T): Output<T>[] {
    return this.outputs.filter((output): output is Output<T> => output.type === type)
  }

  candidates(): Candidate[] {
    return this.all('candidate').flatMap(({ candidate }) => candidate ?? [])
  }
}

/** Two agents on one wire in virtual time: every packet takes `latency` ms, unless `drop` takes it. */
export class Wire {
  now = 0
  readonly sides: readonly [Side, Side]
  latency = 0
  drop: (packet: Packet, from: Side) => boolean = () => false
  readonly #queue: { at: number; packet: Packet; to: Side }[] = []

  constructor(a: Side, b: Side) {
    this.sides = [a, b]
  }

  /** Gathers, exchanges parameters and candidates, and starts both: A controls. */
  connect(): void {
    const [a, b] = this.sides
    for (const side of this.sides) side.agent.gather(this.now, side.bases)
    this.drain()
    a.agent.start(this.now, b.agent.localParameters, 'controlling')
    b.agent.start(this.now, a.agent.localParameters, 'controlled')
    for (const candidate of [...a.candidates(), null]) b.agent.addRemoteCandidate(this.now, candidate)
    for (const candidate of [...b.candidates(), null]) a.agent.addRemoteCandidate(this.now, candidate)
    this.drain()
  }

  /** Lets `duration` ms of virtual time pass. */
  run(duration: number): void {
    const end = this.now + duration
    this.drain()
    for (;;) {
      const next = Math.min(...this.sides.map(({ agent }) => agent.timeout()), ...this.#queue.map(({ at }) => at))
      if (next > end) break
      this.now = Math.max(this.now, next)
      const due = this.#queue.filter(({ at }) => at <= this.now)
      for (const entry of due) {
        this.#queue.splice(this.#queue.indexOf(entry), 1)
        this.deliver(entry.to, entry.packet)
      }
      for (const { agent } of this.sides) if (agent.timeout() <= this.now) agent.handleTimeout(this.now)
      this.drain()
    }
    this.now = end
  }

  deliver(to: Side, packet: Packet): boolean {
    const taken = to.agent.handlePacket(this.now, packet)
    this.drain()
    return taken
  }

  drain(): void {
    for (const side of this.sides) {
      for (let output = side.agent.poll(); output; output = side.agent.poll()) {
        side.outputs.push(output)
        if (output.type === 'packet') this.#route(side, output.packet)
      }
    }
  }

  #route(from: Side, packet: Packet): void {
    if (this.drop(packet, from)) return
    for (const to of this.sides) {
      const base = to.bases.find(
        ({ address }) => address.ip === packet.remote.ip && address.port === packet.remote.port,
      )
      if (!base) continue
      const arriving = { ...packet, local: base.address, remote: packet.local }
      this.#queue.push({ at: this.now + this.latency, packet: arriving, to })
    }
  }
}
