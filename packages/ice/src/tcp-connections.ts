import type { Address } from '@floe/stun'
import type { Pair } from './candidate-pair.ts'
import type { Context } from './outputs.ts'

/** The TCP connections to the peer, RFC 6544: each carries one pair, whose base is the connection's name. */
export class TcpConnections {
  readonly #context: Context
  /** By connection, with whether it is open. Made with the first: most agents have none. */
  #pairs: Map<Address, { readonly pair: Pair; readonly isOpen: boolean }> | undefined

  constructor(context: Context) {
    this.#context = context
  }

  /** Whether a check on the pair may leave now: over UDP always. */
  isReady(pair: Pair): boolean {
    return pair.local.protocol === 'udp' || this.#pairs?.get(pair.base)?.isOpen === true
  }

  /** Connects, unless that is under way. A passive pair waits for the peer to do so. */
  open(now: number, pair: Pair): void {
    const { base, destination, local } = pair
    if (local.tcpType !== 'active' || this.#pairs?.has(base)) return
    this.#set(pair, false)
    this.#context.log(now, 'connect', () => `${pair.id} to ${destination.ip}:${destination.port}`)
    this.#context.emit({ type: 'connect', local: base, remote: destination, protocol: 'tcp', framing: 'rfc4571' })
  }

  /**
   * A connection that says nothing is not waited for: the network may have forgotten it, and TCP would find out in a
   * quarter of an hour (RFC 9293 §3.8.3). `false`: it stays, for it is new, not open yet, or the peer's to open.
   */
  renew(now: number, pair: Pair, isSilent: boolean): boolean {
    const isProven = isSilent || now >= pair.validAt + this.#context.timing.disconnectedTimeout
    if (pair.local.tcpType !== 'active' || !this.isReady(pair) || !isProven) return false
    this.close(pair)
    this.open(now, pair)
    return true
  }

  /** The peer has connected and proved on this connection who it is. */
  adopt(pair: Pair): void {
    this.#set(pair, true)
  }

  /** The pair whose connection is open now. */
  opened(connection: Address): Pair | undefined {
    const pair = this.#pairs?.get(connection)?.pair
    if (pair) this.#set(pair, true)
    return pair
  }

  /** The pair that has lost its connection, or never got it. */
  lost(connection: Address): Pair | undefined {
    const pair = this.#pairs?.get(connection)?.pair
    this.#pairs?.delete(connection)
    return pair
  }

  /** The pair is not needed any more. */
  close(pair: Pair): void {
    if (!this.#pairs?.delete(pair.base)) return
    this.#context.emit({ type: 'disconnect', local: pair.base })
  }

  /** Closes those of all pairs that are not to be kept. */
  closeAll(isKept: (pair: Pair) => boolean = () => false): void {
    for (const { pair } of [...(this.#pairs?.values() ?? [])]) if (!isKept(pair)) this.close(pair)
  }

  #set(pair: Pair, isOpen: boolean): void {
    this.#pairs ??= new Map()
    this.#pairs.set(pair.base, { pair, isOpen })
  }
}
