import { type Address, formatAddress } from '@floe/stun'
import { type Dependence, dependentPart } from './nat.ts'

/** A packet filter without translation: what stands before IPv6 hosts (RFC 6092) and corporate networks. */
export interface FirewallPolicy {
  /** Who may answer an inside endpoint that has sent outwards. Default `address-and-port-dependent`. */
  readonly filtering?: Dependence
  /** Destination ports that UDP may leave to; left out: all, empty: UDP is blocked. */
  readonly outgoingPorts?: readonly number[]
  /** Milliseconds that a permission lives after the last outbound packet. Default 120 s. */
  readonly timeout?: number
}

const TIMEOUT = 120_000

/** Stateful filtering. Returns the reason for a drop, or `undefined` to let pass. */
export class Firewall {
  readonly policy: FirewallPolicy
  readonly #permissions = new Map<string, number>()

  constructor(policy: FirewallPolicy) {
    this.policy = policy
  }

  outbound(now: number, source: Address, destination: Address): string | undefined {
    const { outgoingPorts, timeout = TIMEOUT } = this.policy
    if (outgoingPorts && !outgoingPorts.includes(destination.port)) return 'firewall: outgoing UDP blocked'
    this.#permissions.set(this.#key(source, destination), now + timeout)
    return undefined
  }

  inbound(now: number, source: Address, destination: Address): string | undefined {
    const until = this.#permissions.get(this.#key(destination, source))
    return until !== undefined && until > now ? undefined : 'firewall: unsolicited'
  }

  #key(inside: Address, outside: Address): string {
    const { filtering = 'address-and-port-dependent' } = this.policy
    return `${formatAddress(inside)}>${dependentPart(filtering, outside)}`
  }
}
