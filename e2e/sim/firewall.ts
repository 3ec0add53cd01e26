import { type Address, formatAddress } from '@floe/stun'
import type { FirewallPolicy } from '../topology/behavior.ts'
import { dependentPart } from './nat.ts'
import type { Datagram } from './trace.ts'

const TIMEOUT = 120_000

/** Stateful filtering. Returns the reason for a drop, or `undefined` to let pass. */
export class Firewall {
  readonly policy: FirewallPolicy
  readonly #permissions = new Map<string, number>()

  constructor(policy: FirewallPolicy) {
    this.policy = policy
  }

  outbound(now: number, { source, destination, tcp }: Datagram): string | undefined {
    const { outgoingPorts, outgoingTcpPorts, timeout = TIMEOUT } = this.policy
    const ports = tcp ? outgoingTcpPorts : outgoingPorts
    if (ports && !ports.includes(destination.port)) return `firewall: outgoing ${tcp ? 'TCP' : 'UDP'} blocked`
    this.#permissions.set(this.#key(source, destination), now + timeout)
    return undefined
  }

  inbound(now: number, source: Address, destination: Address): string | undefined {
    const until = this.#permissions.get(this.#key(destination, source))
    return until !== undefined && until > now ? undefined : 'firewall: unsolicited'
  }

  flush() {
    this.#permissions.clear()
  }

  #key(inside: Address, outside: Address): string {
    const { filtering = 'address-and-port-dependent' } = this.policy
    return `${formatAddress(inside)}>${dependentPart(filtering, outside)}`
  }
}
