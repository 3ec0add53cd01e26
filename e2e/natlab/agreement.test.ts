/** Simulator and theory, cell by cell: what the kernel lab expects is what the same agents do in virtual time. */
import { expect, test } from 'vitest'
import { runScenario } from '../sim/runner.ts'
import { NAT_TYPES, type NatTypeName } from '../topology/nat-types.ts'
import { expectedOf } from './expected.ts'

/** Where the labs may differ, and why. */
const DIFFERENCES: readonly { readonly cell: RegExp; readonly reason: string }[] = [
  { cell: /^(no-udp public|public no-udp)$/, reason: 'the simulator carries UDP alone' },
  {
    cell: /^nat64 (?!nat64|v6-firewall)|^(?!nat64|v6-firewall)\S+ nat64$/,
    reason: 'the simulator’s peers have no driver that translates to IPv4',
  },
]

const NAMES = Object.keys(NAT_TYPES) as NatTypeName[]

test.each(NAMES)('%s with every other', (a) => {
  for (const b of NAMES) {
    if (DIFFERENCES.some(({ cell }) => cell.test(`${a} ${b}`))) continue
    const { connectedAfter } = runScenario({
      seed: 1,
      a: NAT_TYPES[a].placements,
      b: NAT_TYPES[b].placements,
      link: { latency: 10 },
      limit: 20_000,
    })
    // Without a relay: what is not direct is nothing.
    const route = connectedAfter < Number.POSITIVE_INFINITY ? 'direct' : 'relay'
    const { routes, reason } = expectedOf({ places: [a, b], peers: ['node', 'node'] })
    expect(routes, `${a} with ${b}: ${reason}`).toContain(route)
  }
})
