import type { Address, Packet } from '@floe/stun'
import { ForwardingCheck } from '../forwarding-check.ts'
import { Alarm, clock } from './clock.ts'
import { random } from './random.ts'

/** Lets a mapper look whether a mapping forwards: STUN over the mapped socket itself, which somebody else owns. */
export interface MappingProbe {
  /** STUN servers to ask, as they are known by now. */
  servers(): readonly Address[]
  /** Sends from the mapped socket. */
  send(bytes: Uint8Array, remote: Address): void
  /** Set by the mapper: call it with what reaches the socket and is nobody else's. */
  onpacket: ((bytes: Uint8Array, remote: Address) => void) | undefined
}

/** Looks at one mapping when it is made, whenever `look()` is called, and at intervals. */
export class MappingWatch {
  readonly #probe: MappingProbe
  readonly #local: Address
  readonly #interval: number
  readonly #onverdict: (forwards: boolean) => void
  readonly #alarm = new Alarm(() => this.#wake())
  #external: Address | undefined
  #check: ForwardingCheck | undefined
  #lookAt = Number.POSITIVE_INFINITY

  /** `interval` in milliseconds. `onverdict` hears of certainty only. */
  constructor(probe: MappingProbe, local: Address, interval: number, onverdict: (forwards: boolean) => void) {
    this.#probe = probe
    this.#local = local
    this.#interval = interval
    this.#onverdict = onverdict
    probe.onpacket = (bytes, remote) => this.#receive({ protocol: 'udp', local, remote, bytes })
  }

  /** At the mapping as it is now; `undefined`: there is none to look at. */
  look(external: Address | undefined): void {
    this.#external = external
    this.#check = undefined
    this.#lookAt = external ? clock() + SETTLE : Number.POSITIVE_INFINITY
    this.#settle()
  }

  stop(): void {
    this.#probe.onpacket = undefined
    this.look(undefined)
  }

  #receive(packet: Packet): void {
    this.#check?.handlePacket(clock(), packet)
    this.#settle()
  }

  #wake(): void {
    const now = clock()
    if (this.#external && now >= this.#lookAt) this.#begin(now, this.#external)
    this.#check?.handleTimeout(now)
    this.#settle()
  }

  #begin(now: number, external: Address): void {
    this.#lookAt = now + this.#interval
    const family = this.#local.ip.includes(':')
    const servers = this.#probe.servers().filter(({ ip }) => ip.includes(':') === family)
    this.#check = new ForwardingCheck(now, { local: this.#local, external, servers, random })
  }

  #settle(): void {
    const check = this.#check
    for (let output = check?.poll(); output && check === this.#check; output = check?.poll()) {
      if (output.type === 'packet') this.#probe.send(output.packet.bytes, output.packet.remote)
      else if (output.verdict !== 'unknown') this.#onverdict(output.verdict === 'forwards')
    }
    this.#alarm.set(Math.min(this.#lookAt, this.#check?.timeout() ?? Number.POSITIVE_INFINITY))
  }
}

/** A router may need a moment to do what it says that it has done, milliseconds. */
const SETTLE = 100
