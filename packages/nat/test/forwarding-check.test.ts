import type { Packet } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { ForwardingCheck, type ForwardingOutput, type ForwardingVerdict } from '../src/index.ts'
import { NAT_IP, SERVERS, StunWorld } from './stun-world.ts'
import { seeded, Wire } from './virtual-time.ts'

const LOCAL = { ip: '192.168.1.2', port: 5000 }
const EXTERNAL = { ip: NAT_IP, port: 5000 }
const ONE = [{ ip: SERVERS[0], port: 3478 }]

function check(
  world: StunWorld,
  more: Partial<ConstructorParameters<typeof ForwardingCheck>[1]> = {},
  lose?: Wire['lose'],
) {
  const options = { local: LOCAL, external: EXTERNAL, servers: ONE, random: seeded(1), ...more }
  const wire = new Wire<ForwardingOutput>((now) => new ForwardingCheck(now, options), world)
  if (lose) wire.lose = lose
  wire.run(10_000)
  expect(wire.types()).toEqual(['verdict'])
  expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  expect(wire.sent.length).toBeLessThanOrEqual(18)
  return wire.events[0]!.verdict as ForwardingVerdict
}

function world(settings: Partial<StunWorld> = {}): StunWorld {
  return Object.assign(new StunWorld(), { allocate: () => EXTERNAL.port, ...settings })
}

describe('a mapping', () => {
  test('forwards when who was not sent to gets in', () => {
    expect(check(world({ filtering: 'endpoint-independent' }))).toBe('forwards')
  })

  test.each(['address-dependent', 'address-and-port-dependent'] as const)(
    'is dead where filtering is %s',
    (filtering) => {
      expect(check(world({ filtering }))).toBe('dead')
    },
  )

  test('nothing is learnt without servers, from plain ones, and from those that only pretend', () => {
    expect(check(world(), { servers: [] })).toBe('unknown')
    for (const rfc5780 of ['ignore', 'refuse', 'pretend'] as const)
      expect(check(world({ rfc5780 })), rfc5780).toBe('unknown')
  })

  const HARD = {
    mapping: 'address-and-port-dependent',
    allocate: (_: unknown, count: number) => 40_000 + count,
  } as const

  test.each([true, false])('behind a NAT that gives our own packets other ports, forwarding: %s', (forwards) => {
    const given = world({ ...HARD, ...(forwards && { forwarded: EXTERNAL }) })
    expect(check(given)).toBe(forwards ? 'forwards' : 'dead')
    // And again, since the first look must not be what the second one sees.
    expect(check(given)).toBe(forwards ? 'forwards' : 'dead')
  })

  test('nothing is learnt there from servers that do not know RESPONSE-PORT, nor where packets leave by another address', () => {
    expect(check(world({ ...HARD, responsePort: false }))).toBe('unknown')
    expect(check(world({ ...HARD, pool: () => '203.0.113.8' }))).toBe('unknown')
  })

  test('an address translated to another port than the mapped one is no obstacle', () => {
    const elsewhere = { ip: NAT_IP, port: 61_000 }
    expect(check(world({ forwarded: elsewhere }), { external: elsewhere })).toBe('forwards')
    expect(check(world(), { external: elsewhere })).toBe('dead')
  })

  test('a server whose second address is dead is not the mapping’s fault', () => {
    const broken = world()
    broken.dead.add(SERVERS[1])
    expect(check(broken)).toBe('unknown')
  })

  test('a server that dies meanwhile is not the mapping’s fault', () => {
    let answers = 0
    const lose = (_: Packet, toRouter: boolean) => !toRouter && ++answers > 1
    expect(check(world(), {}, lose)).toBe('unknown')
  })

  test('two lost packets in a row change nothing', () => {
    let n = 0
    expect(check(world({ filtering: 'endpoint-independent' }), {}, () => [1, 4, 5].includes(++n))).toBe('forwards')
  })
})
