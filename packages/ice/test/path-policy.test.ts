import { describe, expect, test } from 'vitest'
import type { AgentOptions, CandidatePair, PathPolicy } from '../src/index.ts'
import { IceAgent } from '../src/index.ts'
import { Side, seeded, Wire } from './wire.ts'

const FIRST = '10.0.0.1'
const SECOND = '10.0.1.1'

/** `a`, which controls, has two addresses. */
function connected(a: Partial<AgentOptions>, b: Partial<AgentOptions> = {}): Wire {
  const wire = new Wire(new Side(1, [FIRST, SECOND], a), new Side(2, ['10.0.0.2'], b))
  wire.latency = 20
  wire.connect()
  wire.run(3_000)
  return wire
}

/** The address that each end uses of `a`. */
function used({ sides: [a, b] }: Wire): (string | undefined)[] {
  return [a.agent.selectedPair?.local.base?.ip, b.agent.selectedPair?.remote.address.ip]
}

const isOver = (ip: string, { local, remote }: CandidatePair) => [local.base?.ip, remote.address.ip].includes(ip)
const on =
  (ip: string, verdict: ReturnType<PathPolicy>): PathPolicy =>
  (pair) =>
    isOver(ip, pair) ? verdict : undefined

test('without a policy the first address is used', () => {
  expect(used(connected({}))).toEqual([FIRST, FIRST])
})

describe('prefer', () => {
  test('the preferred pair carries data, and the other one takes over when it dies', () => {
    const wire = connected({ pathPolicy: on(SECOND, 'prefer') })
    expect(used(wire)).toEqual([SECOND, SECOND])
    wire.drop = ({ local, remote }) => [local.ip, remote.ip].includes(SECOND)
    wire.run(12_000)
    expect(used(wire)).toEqual([FIRST, FIRST])
  })

  test('it may change its mind', () => {
    let preferred = SECOND
    const wire = connected({ pathPolicy: (pair) => (isOver(preferred, pair) ? 'prefer' : undefined) })
    preferred = FIRST
    wire.run(7_000)
    expect(used(wire)).toEqual([FIRST, FIRST])
  })
})

describe('hold', () => {
  test('data stays where it is as long as that works', () => {
    let preferred: string | undefined = SECOND
    const wire = connected({
      pathPolicy: (pair, selected) => {
        if (preferred === undefined && pair === selected) return 'hold'
        return isOver(preferred ?? FIRST, pair) ? 'prefer' : undefined
      },
    })
    preferred = undefined
    wire.run(30_000)
    expect(used(wire)).toEqual([SECOND, SECOND])
    wire.drop = ({ local, remote }) => [local.ip, remote.ip].includes(SECOND)
    wire.run(12_000)
    expect(used(wire)).toEqual([FIRST, FIRST])
  })
})

describe('exclude', () => {
  test.each(['controlling', 'controlled'])('on the %s side: nothing but the other pair is used, or sent on', (role) => {
    const policy = { pathPolicy: on(FIRST, 'exclude') }
    const wire = role === 'controlling' ? connected(policy) : connected({}, policy)
    wire.run(60_000)
    expect(used(wire)).toEqual([SECOND, SECOND])
    const excluding = wire.sides[role === 'controlling' ? 0 : 1]
    const sent = excluding
      .all('packet')
      .filter(({ packet: { local, remote } }) => [local.ip, remote.ip].includes(FIRST))
    expect(sent).toEqual([])
  })

  test('of the pair in use: both ends leave it, without an ICE restart', () => {
    let excluded = ''
    const wire = connected({ pathPolicy: (pair) => (isOver(excluded, pair) ? 'exclude' : undefined) })
    excluded = FIRST
    wire.run(7_000)
    expect(used(wire)).toEqual([SECOND, SECOND])
    expect(wire.sides.map(({ agent }) => [agent.state, agent.generation])).toEqual([
      ['completed', 0],
      ['completed', 0],
    ])
  })

  test('of all pairs: there is no path, and that is said', () => {
    const wire = connected({ pathPolicy: () => 'exclude' })
    wire.run(60_000)
    expect(wire.sides.map(({ agent }) => agent.state)).toEqual(['failed', 'failed'])
  })
})

test('a policy that is none, and a verdict that is none, are named', () => {
  const options = (pathPolicy: unknown) => ({ random: seeded(1), pathPolicy: pathPolicy as PathPolicy })
  expect(() => new IceAgent(options('exclude'))).toThrow(expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }))
  expect(() => connected({ pathPolicy: () => 'include' as never })).toThrow('use hold, prefer, exclude or undefined')
})
