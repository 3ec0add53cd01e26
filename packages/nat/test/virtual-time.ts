import type { Packet } from '@floe/stun'
import type { HttpRequest, HttpResponse, MappingClientOptions, MappingClientOutput } from '../src/index.ts'

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

export const GATEWAY = '192.168.1.1'
export const INTERNAL = { ip: '192.168.1.2', port: 5000 }
export const CONTROL = { ip: '192.168.1.2', port: 40000 }

export function clientOptions(more: Partial<MappingClientOptions> = {}): MappingClientOptions {
  return { internal: INTERNAL, control: CONTROL, gateway: GATEWAY, random: seeded(1), lifetime: 7_200_000, ...more }
}

/** What the machines under test have in common. */
interface Mapper<Output> {
  handlePacket(now: number, packet: Packet): boolean
  handleResponse?(now: number, id: number, response: HttpResponse | undefined): void
  handleTimeout(now: number): void
  timeout(): number
  poll(): Output | undefined
}

/** A router as a script: what it answers, each answer with the address that it comes from. */
export interface Router {
  handlePacket?(now: number, packet: Packet): readonly Answer[]
  /** `undefined`: no answer. `refused`: no connection, which is known at once. */
  handleRequest?(now: number, request: HttpRequest): HttpResponse | 'refused' | undefined
}

export interface Answer {
  readonly bytes: Uint8Array
  readonly from?: Packet['remote']
  /** The socket that gets it; the one that asked, unless told. */
  readonly to?: Packet['local']
}

/** A machine and a router on one wire in virtual time. */
export class Wire<Output extends { readonly type: string } = MappingClientOutput> {
  now: number
  /** One way, milliseconds. */
  latency = 5
  /** Whether this datagram is lost. */
  lose: (packet: Packet, toRouter: boolean) => boolean = () => false
  router: Router
  readonly machine: Mapper<Output>
  /** Everything but packets and requests. */
  readonly events: (Exclude<Output, { type: 'packet' | 'request' }> & { readonly at: number })[] = []
  readonly sent: { readonly at: number; readonly packet: Packet }[] = []
  readonly requests: { readonly at: number; readonly request: HttpRequest }[] = []
  readonly #queue: { at: number; run: () => void }[] = []

  constructor(make: (now: number) => Mapper<Output>, router: Router, now = 1_000_000) {
    this.now = now
    this.router = router
    this.machine = make(now)
    this.#drain()
  }

  /** Lets time pass, milliseconds. */
  run(duration: number): void {
    const end = this.now + duration
    for (let steps = 0; ; steps++) {
      if (steps > 100_000) throw new Error('the machine does not come to rest')
      const next = Math.min(this.machine.timeout(), ...this.#queue.map(({ at }) => at))
      if (next > end) break
      this.now = Math.max(this.now, next)
      for (const due of this.#queue.filter(({ at }) => at <= this.now)) {
        this.#queue.splice(this.#queue.indexOf(due), 1)
        due.run()
      }
      this.machine.handleTimeout(this.now)
      this.#drain()
    }
    this.now = end
  }

  /** Calls the machine, and takes what comes out. */
  call(action: (now: number) => void): void {
    action(this.now)
    this.#drain()
  }

  /** A datagram arrives at the machine right now. */
  deliver(bytes: Uint8Array, from: Packet['remote'] = { ip: GATEWAY, port: 5351 }, to = CONTROL): boolean {
    const mine = this.machine.handlePacket(this.now, { protocol: 'udp', local: to, remote: from, bytes })
    this.#drain()
    return mine
  }

  types(): string[] {
    return this.events.map(({ type }) => type)
  }

  #drain(): void {
    for (let output = this.machine.poll(); output; output = this.machine.poll()) {
      const any = output as unknown as MappingClientOutput
      if (any.type === 'packet') this.#transmit(any.packet)
      else if (any.type === 'request') this.#request(any.request)
      else this.events.push({ ...(output as Exclude<Output, { type: 'packet' | 'request' }>), at: this.now })
    }
  }

  #transmit(packet: Packet): void {
    this.sent.push({ at: this.now, packet })
    this.#after(this.latency, () => {
      if (this.lose(packet, true)) return
      for (const { bytes, from = packet.remote, to = packet.local } of this.router.handlePacket?.(this.now, packet) ??
        []) {
        const answer = { ...packet, remote: from, local: to, bytes }
        if (!this.lose(answer, false)) this.#after(this.latency, () => this.machine.handlePacket(this.now, answer))
      }
    })
  }

  #request(request: HttpRequest): void {
    this.requests.push({ at: this.now, request })
    this.#after(this.latency, () => {
      const response = this.router.handleRequest?.(this.now, request)
      if (!response) return
      const body = response === 'refused' ? undefined : response
      this.#after(this.latency, () => this.machine.handleResponse?.(this.now, request.id, body))
    })
  }

  #after(delay: number, run: () => void): void {
    this.#queue.push({ at: this.now + delay, run })
  }
}
