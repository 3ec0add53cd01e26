import { describe, expect, test } from 'vitest'
import type { LinkQuality, NatBehavior } from '../topology/behavior.ts'
import type { Placement } from '../topology/placement.ts'
import { runScenario } from './runner.ts'

/** The NATs of issue 2 in RFC 4787's words: EIM/APDM mapping, EIF/ADF/APDF filtering. */
const KINDS = {
  open: {},
  'EIM/EIF': nat('endpoint-independent', 'endpoint-independent'),
  'EIM/ADF': nat('endpoint-independent', 'address-dependent'),
  'EIM/APDF': nat('endpoint-independent', 'address-and-port-dependent'),
  APDM: nat('address-and-port-dependent', 'address-and-port-dependent', 'random'),
} satisfies Record<string, Placement>
type Kind = keyof typeof KINDS

/** Both ends name the path by the same two candidates. */
type Path = `${'host' | 'srflx' | 'prflx'}-${'host' | 'srflx' | 'prflx'}`

/** Why there is no path without a relay. */
const PORT_UNKNOWN = 'the port-filtering side cannot know the port that the other NAT will pick for it'

/**
 * Row: a, who controls. Column: b. The types are those of a's pair. In foul weather a check's answer may tell a reflexive
 * address before the STUN server does, so that only `reflexive` is certain.
 */
const EXPECTED: Record<Kind, Record<Kind, Path | typeof PORT_UNKNOWN>> = {
  open: row('host-host', 'host-srflx', 'host-srflx', 'host-srflx', 'host-prflx'),
  'EIM/EIF': row('srflx-host', 'srflx-srflx', 'srflx-srflx', 'srflx-srflx', 'srflx-prflx'),
  'EIM/ADF': row('srflx-host', 'srflx-srflx', 'srflx-srflx', 'srflx-srflx', 'srflx-prflx'),
  'EIM/APDF': row('srflx-host', 'srflx-srflx', 'srflx-srflx', 'srflx-srflx', PORT_UNKNOWN),
  APDM: row('prflx-host', 'prflx-srflx', 'prflx-srflx', PORT_UNKNOWN, PORT_UNKNOWN),
}

/** What the wires of both peers do, and how long the worst of the seeds may take. */
const WEATHER: Record<string, { link: LinkQuality; bound: number; seeds: number }> = {
  fair: { link: {}, bound: 500, seeds: 1 },
  '10 % loss': { link: { latency: 5, loss: 0.05 }, bound: 5_000, seeds: 5 },
  '150 ms latency': { link: { latency: 75 }, bound: 2_000, seeds: 1 },
  reorder: { link: { latency: 5, reorder: 0.3 }, bound: 1_500, seeds: 3 },
  duplication: { link: { latency: 5, duplicate: 0.3 }, bound: 500, seeds: 3 },
}

/** Without a path both ends must say `failed`: after the PAC timer (39.5 s), and not much after. */
const FAILED_WITHIN = 60_000

describe.each(Object.keys(KINDS) as Kind[])('%s with', (a) => {
  for (const b of Object.keys(KINDS) as Kind[])
    for (const [weather, { link, bound, seeds }] of Object.entries(WEATHER))
      test(`${b}, ${weather}: ${EXPECTED[a][b]}`, () => {
        const expected = EXPECTED[a][b]
        for (let seed = 1; seed <= seeds; seed++) {
          const reachable = expected !== PORT_UNKNOWN
          const limit = reachable ? bound : FAILED_WITHIN
          const outcome = runScenario({ seed, a: KINDS[a], b: KINDS[b], link, limit })
          const connectedInTime = outcome.connectedAfter <= bound
          const seen = (path: string) => (weather === 'fair' ? path : path.replace(/srflx|prflx/g, 'reflexive'))
          expect({ seed, connectedInTime, a: seen(outcome.a), b: seen(outcome.b), states: outcome.states }).toEqual(
            reachable
              ? { seed, connectedInTime: true, a: seen(expected), b: seen(mirror(expected)), states: CONNECTED }
              : { seed, connectedInTime: false, a: 'none', b: 'none', states: ['failed', 'failed'] },
          )
        }
      })
})

/** Any of the two, for both ends. */
const CONNECTED = [expect.stringMatching(/^(connected|completed)$/), expect.stringMatching(/^(connected|completed)$/)]

describe('neighbours', () => {
  const home = nat('endpoint-independent', 'address-and-port-dependent')

  test('two hosts of one LAN use their host candidates, also where the router would hairpin', () => {
    for (const hairpin of ['none', 'internal', 'external'] as const) {
      const lan = { nat: { ...home.nat, hairpin }, lan: 'home' }
      expect(runScenario({ seed: 1, a: lan, b: lan, limit: 500 })).toMatchObject({ a: 'host-host', b: 'host-host' })
    }
  })

  test('two homes behind one carrier NAT meet by its hairpin', () => {
    const outcome = (hairpin: 'none' | 'internal' | 'external', filtering: NatBehavior['filtering']) => {
      const carrier = { name: 'isp', nat: { ...nat('endpoint-independent', 'endpoint-independent').nat, hairpin } }
      const home = { ...nat('endpoint-independent', filtering), carrier }
      const { a, states } = runScenario({ seed: 1, a: home, b: home, limit: FAILED_WITHIN })
      return `${a} ${states[0]}`
    }
    expect(outcome('external', 'address-and-port-dependent')).toMatch(/^srflx-srflx c/)
    expect(outcome('none', 'endpoint-independent')).toBe('none failed')
    // RFC 4787 REQ-9 forbids it, boxes do it: the peer appears under its inside address, which a filter has not seen.
    expect(outcome('internal', 'endpoint-independent')).toMatch(/-prflx c/)
    expect(outcome('internal', 'address-and-port-dependent')).toBe('none failed')
  })

  test('behind a firewall without NAT both families connect host to host', () => {
    for (const family of [4, 6] as const) {
      const office = { firewall: {}, family }
      const outcome = runScenario({ seed: 1, a: office, b: office, limit: 500 })
      expect(outcome).toMatchObject({ a: 'host-host', b: 'host-host' })
    }
  })

  test('with UDP blocked there is nothing to find, and both say so', () => {
    const outcome = runScenario({ seed: 1, a: { firewall: { outgoingPorts: [] } }, b: {}, limit: FAILED_WITHIN })
    expect(outcome).toMatchObject({ a: 'none', states: ['failed', 'failed'] })
  })

  test('with UDP blocked a relay over TCP is what is left, where TCP may leave to its port', () => {
    const outcome = (outgoingTcpPorts: number[]) => {
      const a = { firewall: { outgoingPorts: [], outgoingTcpPorts } }
      return runScenario({ seed: 1, a, b: {}, relays: [{ tcp: true }], limit: FAILED_WITHIN })
    }
    expect(outcome([443])).toMatchObject({ a: 'relay-host', b: 'host-relay' })
    expect(outcome([80])).toMatchObject({ a: 'none', states: ['failed', 'failed'] })
  })
})

function nat(
  mapping: NatBehavior['mapping'],
  filtering: NatBehavior['filtering'],
  allocation: NonNullable<NatBehavior['allocation']> = 'preserve',
) {
  return { nat: { mapping, filtering, allocation } }
}

function row(...cells: (Path | typeof PORT_UNKNOWN)[]): Record<Kind, Path | typeof PORT_UNKNOWN> {
  return Object.fromEntries((Object.keys(KINDS) as Kind[]).map((kind, i) => [kind, cells[i]!])) as never
}

function mirror(path: string): string {
  return path.split('-').reverse().join('-')
}
