import type { Address } from '@floe/stun'
import type { FirewallPolicy } from '../topology/behavior.ts'
import { textOf } from './endpoint.ts'
import { dependentPart } from './nat.ts'
import type { Datagram } from './trace.ts'

const TIMEOUT = 120_000

/** Stateful filtering. Returns the reason for a drop, or `undefined` to let pass. */
export class Firewall {
  readonly policy: FirewallPolicy
  /** By the endpoint inside, and by the part of the one outside that filtering depends on: when it ends. */
  readonly #permissions = new Map<string, Map<string, number>>()

  constructor(policy: FirewallPolicy) {
    this.policy = policy
  }

  outbound(now: number, { source, destination, tcp }: Datagram): string | undefined {
    const { outgoingPorts, outgoingTcpPorts, timeout = TIMEOUT } = this.policy
    const ports = tcp ? outgoingTcpPorts : outgoingPorts
    if (ports && !ports.includes(destination.port)) return `firewall: outgoing ${tcp ? 'TCP' : 'UDP'} blocked`
    const from = textOf(source)
    let permissions = this.#permissions.get(from)
    if (permissions === undefined) this.#permissions.set(from, (permissions = new Map()))
    permissions.set(this.#partOf(destination), now + timeout)
    return undefined
  }

  inbound(now: number, source: Address, destination: Address): string | undefined {
    const until = this.#permissions.get(textOf(destination))?.get(this.#partOf(source))
    return until !== undefined && until > now ? undefined : 'firewall: unsolicited'
  }

  flush() {
    this.#permissions.clear()
  }

  #partOf(outside: Address): string {
    return dependentPart(this.policy.filtering ?? 'address-and-port-dependent', outside)
  }
}
