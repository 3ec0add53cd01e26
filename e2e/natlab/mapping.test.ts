/** Ports mapped at home routers, by real miniupnpd. `npm run natlab -- matrix` has what happens without. */
import { describe, expect, test } from 'vitest'
import type { NatBehavior } from '../topology/behavior.ts'
import { LINUX_MASQUERADE } from '../topology/nat-types.ts'
import type { Placement } from '../topology/placement.ts'
import { sideBySide } from './decisions.ts'
import { meet } from './encounter.ts'
import { Internet } from './internet.ts'
import { whyNot } from './namespaces.ts'
import { pause } from './time.ts'

const reason = whyNot()
const leftOut = reason ? ` (left out: ${reason})` : ''

/** Mapping and filtering by address and port, random ports: two of these never meet by themselves. */
const HARD: NatBehavior = {
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  allocation: 'random',
}
const CELL = {
  places: ['apdm-random', 'apdm-random'],
  peers: ['node', 'node'],
  relay: true,
  portMapping: true,
} as const
const PATIENCE = { connect: 10_000, upgrade: 8_000 }

describe.skipIf(reason).concurrent(`a port mapping${leftOut}`, () => {
  test.each(['pcp', 'nat-pmp', 'upnp'] as const)('by %s alone: hard with hard is direct', async (protocol) => {
    await expectDirect({ nat: HARD, mappingProtocols: [protocol] }, { nat: HARD })
  })

  test('at both ends', async () => {
    const placement: Placement = { nat: HARD, mappingProtocols: ['pcp', 'nat-pmp', 'upnp'] }
    await expectDirect(placement, placement)
  })

  test('at home, behind a carrier that does not hairpin: neighbours are direct', async () => {
    const carrier = { name: 'carrier', nat: { ...HARD, filtering: 'endpoint-independent' } as const }
    const placement: Placement = { nat: LINUX_MASQUERADE, carrier, mappingProtocols: ['pcp'] }
    await expectDirect(placement, placement)
  })
})

describe.skipIf(reason).concurrent(`a router that is restarted${leftOut}`, () => {
  test('has its mapping back by its own announcement', async ({ expect }) => {
    const a: Placement = { nat: HARD, mappingProtocols: ['pcp'] }
    await using internet = await Internet.build({ hosts: { a: [a], b: [{ nat: HARD }] } })
    const { route, ends } = await meet(internet, CELL, PATIENCE)
    expect(route).toBe('direct')
    const [router] = [...internet.mappingRouters.values()]
    const [before] = await router!.mappings()
    expect(before).toMatchObject({ forwards: true })
    await pause(4_000) // A clock that has run for less is forgiven for standing at zero (RFC 6887 §8.5).
    await router!.stop()
    expect(await router!.mappings()).toEqual([])
    await router!.start()
    await expect.poll(() => router!.mappings(), { timeout: 8_000, interval: 50 }).toEqual([before])
    expect(ends[0].pair).toMatch(/^srflx-/)
  })
})

async function expectDirect(a: Placement, b: Placement): Promise<void> {
  await using internet = await Internet.build({ hosts: { a: [a], b: [b] } })
  const outcome = await meet(internet, CELL, PATIENCE)
  const [one, other] = outcome.ends.map(({ decisions }) => decisions)
  expect(outcome.route, sideBySide(one!, other!)).toBe('direct')
  // Where both have routers that map ports, the faster one is enough.
  expect([...one!, ...other!].some(({ text }) => text.startsWith('mapped:'))).toBe(true)
}
