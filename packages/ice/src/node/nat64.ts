import { type Address, formatAddress, isIPv4, isIPv6, type Packet } from '@floe/stun'
import { addressScope } from '../candidate.ts'
import type { InterfaceAddress } from './interfaces.ts'
import type { SocketOwner } from './sockets.ts'
import { TranslatorChoice } from './translator-choice.ts'

/** Where a NAT64 has IPv4 addresses (RFC 6052): what `findTranslator()` of @floe/nat/node resolves to. */
export interface AddressTranslator {
  /** How many translators the network has, the best first; one unless told. */
  readonly count?: number
  /** The IPv6 address that stands for it, at the `choice`th translator, from 0; `undefined`: none does. */
  toIpv6(ipv4: string, choice?: number): string | undefined
  /** The IPv4 address that it stands for; `undefined`: it stands for none. */
  toIpv4(ipv6: string): string | undefined
}

/** Whether these are the addresses of a host without IPv4. A CLAT's counts as IPv4, since it works like one. */
export function isIpv6Only(hosts: readonly InterfaceAddress[]): boolean {
  const leading = hosts.filter(({ kind }) => kind === 'ordinary' || kind === 'vpn')
  return leading.some(isGlobal) && !leading.some(({ ip }) => isIPv4(ip) && addressScope(ip) !== 'link-local')
}

/** Whether packets from there can reach a translator. */
export function isGlobal({ ip }: InterfaceAddress): boolean {
  return isIPv6(ip) && addressScope(ip) !== 'link-local' && addressScope(ip) !== 'loopback'
}

/**
 * Stands between an agent and its sockets on an IPv6-only host: for the agent IPv4 peers and servers have their own
 * addresses, on the wire those that a NAT64 gave them. What the agent itself addresses by IPv6 stays so, both ways.
 */
export class Nat64Edge implements SocketOwner {
  #translator: AddressTranslator | undefined
  /** Where there is one: most networks have a single translator. */
  #choice: TranslatorChoice | undefined
  readonly #owner: SocketOwner
  /** By address on the wire of those that packets went to: the IP address that the agent has for it. */
  readonly #names = new Map<string, string>()
  /** Packets come in runs, to and from one peer, whose address object is the same as long as they do. */
  #lastOut: Address | undefined
  #lastWire: Address = { ip: '', port: 0 }
  #lastIn: Address | undefined
  #lastName: Address | undefined
  #lastChoice: number | undefined

  constructor(owner: SocketOwner) {
    this.#owner = owner
  }

  /** It has been found. */
  use(translator: AddressTranslator | undefined): void {
    this.#translator = translator
    const { count = 1 } = translator ?? {}
    this.#choice = count > 1 ? new TranslatorChoice(count) : undefined
    this.#lastOut = this.#lastIn = undefined
  }

  /** The address on the wire. */
  outward(remote: Address): Address {
    if (remote === this.#lastOut) return this.#lastWire
    const isForeign = this.#translator !== undefined && isIPv4(remote.ip)
    const choice = isForeign ? this.#choice?.next(remote) : undefined
    const ip = isForeign ? this.#translator?.toIpv6(remote.ip, choice) : undefined
    const wire = ip === undefined ? remote : { ip, port: remote.port }
    this.#note(formatAddress(wire), remote.ip)
    if (choice !== undefined) return wire // The next packet may have to take another way.
    this.#lastOut = remote
    this.#lastWire = wire
    return wire
  }

  handlePacket(packet: Packet): unknown {
    const { remote } = packet
    if (remote !== this.#lastIn) {
      this.#lastIn = remote
      const known = this.#names.get(formatAddress(remote))
      const ip = known ?? this.#translator?.toIpv4(remote.ip)
      this.#lastName = ip === undefined || ip === remote.ip ? undefined : { ip, port: remote.port }
      this.#lastChoice = known === undefined ? undefined : this.#choiceOf(known, remote.ip)
    }
    if (this.#lastChoice !== undefined) this.#choice?.heard(this.#lastChoice)
    return this.#owner.handlePacket(this.#lastName ? { ...packet, remote: this.#lastName } : packet)
  }

  #note(wire: string, ip: string): void {
    if (this.#names.get(wire) === ip) return
    const [oldest] = this.#names.size < MAX_NAMES ? [] : this.#names.keys()
    if (oldest !== undefined) this.#names.delete(oldest)
    this.#names.set(wire, ip)
    this.#lastIn = undefined // It may be from there, and have come before.
  }

  /** Of what has come from where packets went to. None: where one stands in for others that do not reach it. */
  #choiceOf(ipv4: string, wire: string): number | undefined {
    const { count = 1 } = this.#translator ?? {}
    if (count === 1 || !isIPv4(ipv4)) return undefined
    const choices = Array.from({ length: count }, (_, choice) => choice)
    const fitting = choices.filter((choice) => this.#translator?.toIpv6(ipv4, choice) === wire)
    return fitting.length === 1 ? fitting[0] : undefined
  }

  handleSocketError(local: string, error: NodeJS.ErrnoException): void {
    this.#owner.handleSocketError(local, error)
  }

  handleSocketDeath(): void {
    this.#owner.handleSocketDeath()
  }
}

/** More than an agent has pairs and servers; beyond them the translator's word counts. */
const MAX_NAMES = 256
