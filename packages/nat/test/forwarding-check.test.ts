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
  wire.run(6_000)
  expect(wire.types()).toEqual(['verdict'])
  expect(wire.machine.timeout()).toBe(Number.POSITIVE_INFINITY)
  expect(wire.sent.length).toBeLessThanOrEqual(15)
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

  test('nor where our own packets leave by another port than the mapped one', () => {
    expect(check(world({ mapping: 'address-and-port-dependent', allocate: () => 7777 }))).toBe('unknown')
  })

  test('a flow that is older than the mapping is told from newer ones', () => {
    const ports = [7777, EXTERNAL.port]
    const settings = { mapping: 'address-and-port-dependent', filtering: 'endpoint-independent' } as const
    expect(check(world({ ...settings, allocate: () => ports.shift() ?? EXTERNAL.port }))).toBe('forwards')
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
