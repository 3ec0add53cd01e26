import type { IceRole } from '@floe/ice'
import { describe, expect, test } from 'vitest'
import { assertAgreement } from '../invariants.ts'
import { Random } from '../random.ts'
import { simulate, type World } from '../world.ts'

const HIGHEST = 2n ** 64n - 1n
const ROLES = ['controlling', 'controlled'] as const

describe('D33 two agents with one role, whichever', () => {
  for (const role of ROLES)
    for (let seed = 1; seed <= 8; seed++)
      test(`both ${role}, seed ${seed}: one of each in the end, connected`, () =>
        simulate(seed, (world) => {
          const a = world.peer('a', { link: { latency: 20 } }, { role })
          const b = world.peer('b', { link: { latency: 20 } }, { role })
          world.connect(a, b, { roles: [null, null] })
          expect(world.runUntil(() => a.connected && b.connected, 1_000)).toBe(true)
          world.run(1_000)
          expect([a.agent.role, b.agent.role].sort()).toEqual(['controlled', 'controlling'])
          expect(a.selected?.nominated).toBe(true)
          expect(b.selected?.nominated).toBe(true)
          assertAgreement(world, a, b)
        }))

  for (const role of ROLES)
    test(`both ${role} with the same tie-breaker`, () =>
      simulate(1, (world) => {
        // The same randomness in both until the tie-breaker is drawn; parameters are given, so that only it is shared.
        const peers = ['a', 'b'].map((name) =>
          world.peer(name, {}, { role, parameters: parametersOf(name), random: new Random(5).bytes }),
        )
        const [a, b] = peers as [(typeof peers)[0], (typeof peers)[0]]
        world.connect(a, b, { roles: [null, null], skew: 3 })
        expect(world.runUntil(() => a.connected && b.connected, 2_000)).toBe(true)
        world.run(1_000)
        expect([a.agent.role, b.agent.role].sort()).toEqual(['controlled', 'controlling'])
        assertAgreement(world, a, b)
      }))
})

describe('D33 a peer of the same role, by tie-breaker (RFC 8445 §7.3.1.1)', () => {
  /** [role of both, the peer's tie-breaker] → our role afterwards, and whether its check was answered with 487. */
  const rows: [IceRole, 'lower' | 'equal' | 'higher', IceRole, boolean][] = [
    ['controlling', 'lower', 'controlling', true],
    ['controlling', 'equal', 'controlling', true],
    ['controlling', 'higher', 'controlled', false],
    ['controlled', 'lower', 'controlling', false],
    ['controlled', 'equal', 'controlling', false],
    ['controlled', 'higher', 'controlled', true],
  ]
  test.each(rows)('both %s, peer %s: we end as %s', (role, order, expected, refused) =>
    simulate(1, (world) => {
      const { agent, raw, to } = alike(world, role)
      world.run(10)
      const { iceControlling, iceControlled } = raw.requests()[0]!.message.attributes
      const ours = (iceControlling ?? iceControlled)!
      raw.tieBreaker = { lower: 0n, equal: ours, higher: HIGHEST }[order]
      const id = raw.check(to)
      world.run(10)
      const answer = raw.responseTo(id)!
      expect({ role: agent.agent.role, code: answer.attributes.errorCode?.code }).toEqual({
        role: expected,
        code: refused ? 487 : undefined,
      })
    }),
  )

  test('an unauthenticated check settles no role', () =>
    simulate(1, (world) => {
      const { agent, raw, to } = alike(world, 'controlling')
      raw.tieBreaker = HIGHEST
      raw.check(to, {}, { key: undefined })
      world.run(10)
      expect(agent.agent.role).toBe('controlling')
    }))

  test('a 487 answer switches our role, and the check is repeated in the new one with a new tie-breaker', () =>
    simulate(1, (world) => {
      const { agent, raw } = alike(world, 'controlling')
      raw.answer = (_, from) => {
        raw.answer = true
        raw.fail(from, 487, 'Role Conflict')
      }
      world.run(200)
      expect(agent.agent.role).toBe('controlled')
      const [first, second] = raw.requests().map(({ message }) => message.attributes)
      expect(first!.iceControlling).toBeDefined()
      expect(second!.iceControlled).toBeDefined()
      expect(second!.iceControlled).not.toBe(first!.iceControlling)
      expect(agent.connected).toBe(true)
    }))

  test('a peer that answers 487 for ever is no busy loop', () =>
    simulate(1, (world) => {
      const { agent, raw } = alike(world, 'controlling')
      raw.answer = (_, from) => raw.fail(from, 487, 'Role Conflict')
      world.run(60_000)
      expect(raw.requests().length).toBeLessThan(20)
      expect(agent.connected).toBe(false)
    }))
})

test('D34 a 487 for a check sent in a role that we have left since is stale: no second switch', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = alike(world, 'controlling')
    raw.answer = false
    world.run(10)
    const [sent] = raw.requests()
    expect(sent!.message.attributes.iceControlling).toBeDefined()
    raw.tieBreaker = HIGHEST
    raw.check(to)
    world.run(10)
    expect(agent.agent.role).toBe('controlled')
    raw.answer = true
    raw.fail(sent!, 487, 'Role Conflict')
    world.run(500)
    expect(agent.agent.role).toBe('controlled')
    expect(agent.connected).toBe(true)
  }))

describe('D35 ICE-lite', () => {
  test('a full agent controls a lite one whatever role it was told, and both select the same pair', () => {
    for (const role of ROLES)
      simulate(1, (world) => {
        const full = world.peer(
          'full',
          { nat: { mapping: 'endpoint-independent', filtering: 'address-dependent' } },
          { role },
        )
        const lite = world.peer('lite', {}, { lite: true })
        world.connect(full, lite, { roles: [role, null] })
        expect(world.runUntil(() => full.connected && lite.connected, 1_000)).toBe(true)
        world.run(1_000)
        expect([full.agent.role, lite.agent.role]).toEqual(['controlling', 'controlled'])
        expect(lite.agent.localParameters.iceLite).toBe(true)
        expect(lite.selected?.nominated).toBe(true)
        assertAgreement(world, full, lite)
      })
  })

  test('a lite agent never sends a check', () =>
    simulate(1, (world) => {
      const lite = world.peer('lite', {}, { lite: true })
      const raw = world.rawPeer('raw')
      world.introduce(lite, raw)
      raw.check(lite.sockets[0]!.address, { useCandidate: true })
      world.run(60_000)
      expect(raw.requests()).toEqual([])
      expect(raw.received.every(({ message }) => message?.class === 'success')).toBe(true)
    }))

  test('towards a lite peer USE-CANDIDATE is asked for in one transaction', () =>
    simulate(1, (world) => {
      const full = world.peer('full')
      const raw = world.rawPeer('raw', {}, { role: 'controlled', lite: true })
      world.introduce(full, raw)
      world.run(3_000)
      expect(full.selected?.nominated).toBe(true)
      expect(raw.requests().filter(({ message }) => message.attributes.useCandidate)).toHaveLength(1)
    }))

  test('a lite agent answers a controlled peer with 487 and never switches', () =>
    simulate(1, (world) => {
      const lite = world.peer('lite', {}, { lite: true })
      const raw = world.rawPeer('raw', {}, { role: 'controlled' })
      raw.remote = lite.agent.localParameters
      lite.gather()
      lite.start(raw.parameters)
      for (const tieBreaker of [0n, HIGHEST]) {
        raw.tieBreaker = tieBreaker
        const id = raw.check(lite.sockets[0]!.address)
        world.run(10)
        expect(raw.responseTo(id)?.attributes.errorCode?.code).toBe(487)
        expect(lite.agent.role).toBe('controlled')
      }
    }))

  test('two lite agents are a mistake that start() names, since nobody would check', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', {}, { lite: true }), world.peer('b', {}, { lite: true })]
      const start = () => a.start(b.agent.localParameters)
      expect(start).toThrow(expect.objectContaining({ code: 'ERR_ICE_ARGUMENT' }))
    }))
})

/** An agent and a raw peer that both hold this role; the raw peer has the lowest tie-breaker there is. */
function alike(world: World, role: IceRole) {
  const agent = world.peer('a')
  const raw = world.rawPeer('raw', {}, { role, tieBreaker: 0n })
  raw.remote = agent.agent.localParameters
  agent.gather()
  agent.start(raw.parameters, role)
  agent.addRemoteCandidate(raw.candidate())
  return { agent, raw, to: agent.sockets[0]!.address }
}

function parametersOf(name: string) {
  return { usernameFragment: `ufrag${name}`, password: `password-${name}-0123456789abcdef` }
}
