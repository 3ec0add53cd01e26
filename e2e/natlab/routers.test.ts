/** The lab checks itself: what each router does on the wire is what its description says. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LabPlacement } from '../topology/placement.ts'
import { PLACE_NAMES, type PlaceName, place } from '../topology/places.ts'
import { Internet } from './internet.ts'
import { whyNot } from './namespaces.ts'
import { measure, Probe, reachesItself } from './probe.ts'

const reason = whyNot()

/** Those with one IPv4 address behind NAT that lets UDP out. */
const NATS = PLACE_NAMES.filter((name) => {
  const [first, ...others] = place(name).placements
  return first?.nat && !first.firewall && others.length === 0
})

describe.skipIf(reason)(`routers${reason ? ` (left out: ${reason})` : ''}`, () => {
  let internet: Internet
  let servers: Probe

  beforeAll(async () => {
    const hosts = Object.fromEntries(NATS.flatMap((name) => twoOf(name)))
    internet = await Internet.build({ hosts })
    servers = await Probe.start(internet, 'servers')
  })
  afterAll(() => internet?.close())

  test.each(NATS)('%s maps and filters as described', async (name) => {
    const described = outermost(name)
    const measured = await measure(internet, servers, await Probe.start(internet, name), name)
    // A Linux masquerade has a mapping per flow, all with the same port as long as nothing collides.
    expect(measured).toMatchObject({
      mapping: described.mapping,
      filtering: described.filtering,
      preserves: (described.allocation ?? 'preserve') === 'preserve',
    })
    if (described.allocation === 'block') {
      expect(Math.max(...measured.mappedPorts) - Math.min(...measured.mappedPorts)).toBeLessThan(512)
    }
  })

  test.each(NATS)('%s hairpins as described', async (name) => {
    const described = outermost(name)
    const [a, b] = [await Probe.start(internet, name), await Probe.start(internet, `${name}-too`)]
    const seen = await reachesItself(internet, servers, [a, name], [b, `${name}-too`])
    expect(seen).toBe(described.hairpin ?? 'none')
  })
})

/** The host, and a second one behind the same outermost router. */
function twoOf(name: PlaceName): [string, readonly LabPlacement[]][] {
  const [first] = place(name).placements as readonly LabPlacement[]
  const shared = [first!.carrier ? first! : { lan: `${name}-home`, ...first }]
  return [
    [name, shared],
    [`${name}-too`, shared],
  ]
}

function outermost(name: PlaceName) {
  const [first] = place(name).placements as readonly LabPlacement[]
  return first!.carrier?.nat ?? first!.nat!
}
