import { IceError, type IceParameters } from '@floe/ice'
import { describe, expect, test } from 'vitest'
import { assertAgreement } from '../invariants.ts'
import type { Peer } from '../peer.ts'
import type { Signaling } from '../signaling.ts'
import { simulate, type World } from '../world.ts'

const NAT = { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' } as const
const LINK = { latency: 20 }

describe('H65 ICE restart', () => {
  const restarts: Record<string, (signaling: Signaling, a: Peer, b: Peer, world: World) => void> = {
    'by the controlling side': (signaling, a) => signaling.restart(a),
    'by the controlled side': (signaling, _, b) => signaling.restart(b),
    'twice in a row by one side': (signaling, a, _, world) => {
      signaling.restart(a)
      world.run(1_000)
      signaling.restart(a)
    },
    'by one side and then the other': (signaling, a, b, world) => {
      signaling.restart(a)
      world.run(1_000)
      signaling.restart(b)
    },
  }

  test.each(Object.entries(restarts))('%s: both on the new generation, the same pair, never failed', (_, restart) => {
    for (const placement of [{ link: LINK }, { link: LINK, nat: NAT }])
      simulate(1, (world) => {
        world.stunServer()
        const [a, b] = [world.peer('a', placement), world.peer('b', placement)]
        const signaling = world.connect(a, b)
        world.run(3_000)
        const before = [a.agent.localParameters, b.agent.localParameters]
        restart(signaling, a, b, world)
        world.run(5_000)
        for (const [index, peer] of [a, b].entries()) {
          const { usernameFragment, password } = peer.agent.localParameters
          expect(usernameFragment).not.toBe(before[index]!.usernameFragment)
          expect(password).not.toBe(before[index]!.password)
          expect(peer.agent.generation).toBeGreaterThan(0)
          expect(peer.agent.remoteParameters).toMatchObject((index === 0 ? b : a).agent.localParameters)
          expect(peer.agent.checklist).toContain(peer.selected)
          expect(peer.states).not.toContain('failed')
          expect(peer.states).not.toContain('disconnected')
        }
        assertAgreement(world, a, b)
      })
  })

  test('while candidates are still being gathered', () =>
    simulate(1, (world) => {
      world.stunServer({ link: { latency: 200 } })
      const [a, b] = [world.peer('a', { nat: NAT }), world.peer('b', { nat: NAT })]
      const signaling = world.connect(a, b)
      world.run(100)
      expect(a.agent.gatheringState).toBe('gathering')
      signaling.restart(a)
      world.run(5_000)
      assertAgreement(world, a, b)
      expect(a.agent.generation).toBe(1)
    }))

  test('after failed: a peer that has become reachable is found', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', { link: LINK })]
      let cut = true
      world.network.rules.push(() => (cut ? 'cut' : undefined))
      const signaling = world.connect(a, b)
      world.run(60_000)
      expect([a.state, b.state]).toEqual(['failed', 'failed'])
      cut = false
      signaling.restart(b)
      world.run(3_000)
      assertAgreement(world, a, b)
    }))

  test('after the path died: the restart finds the new one', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', [{ link: LINK }, { link: LINK }]), world.peer('b', { link: LINK })]
      const signaling = world.connect(a, b)
      world.run(3_000)
      a.removeAddress((a.selected!.local.base ?? a.selected!.local.address).ip)
      world.run(60_000)
      signaling.restart(a)
      world.run(3_000)
      assertAgreement(world, a, b)
    }))

  test('again and again right after start: no throw, and the last generation connects', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', { link: LINK })]
      const signaling = world.connect(a, b)
      for (let n = 0; n < 10; n++) {
        world.run(60)
        signaling.restart(n % 2 ? a : b)
      }
      world.run(5_000)
      assertAgreement(world, a, b)
    }))

  test('before gather, before start and ten times in one turn', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', { link: LINK })]
      for (let n = 0; n < 10; n++) a.restart()
      world.connect(a, b)
      world.run(3_000)
      assertAgreement(world, a, b)
    }))

  test('new remote parameters without restart() are a mistake that is named', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      world.introduce(agent, raw)
      const other = { ...raw.parameters, usernameFragment: 'other' }
      expect(() => agent.start(other)).toThrow(IceError)
      expect(() => agent.start(other)).toThrow(expect.objectContaining({ code: 'ERR_ICE_STATE' }))
    }))
})

describe('H66 make before break', () => {
  test('data flows both ways all through a restart, without a gap', () =>
    simulate(1, (world) => {
      world.stunServer()
      const [a, b] = [world.peer('a', { link: LINK, nat: NAT }), world.peer('b', { link: LINK, nat: NAT })]
      const signaling = world.connect(a, b, { latency: 500 })
      world.run(5_000)
      signaling.restart(a)
      for (let n = 0; n < 100; n++) {
        expect(a.sendText(`a${n}`)).toBe(true)
        expect(b.sendText(`b${n}`)).toBe(true)
        world.run(50)
      }
      world.run(100)
      expect(b.received.map(({ text }) => text)).toEqual(Array.from({ length: 100 }, (_, n) => `a${n}`))
      expect(a.received.map(({ text }) => text)).toEqual(Array.from({ length: 100 }, (_, n) => `b${n}`))
      expect([a.agent.generation, b.agent.generation]).toEqual([1, 1])
    }))

  test('a restart that the peer never answers leaves the old pair in use, consent and all', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', { link: LINK })]
      world.connect(a, b)
      world.run(3_000)
      a.restart()
      for (let n = 0; n < 20; n++) {
        world.run(5_000)
        expect(a.sendText(`a${n}`)).toBe(true)
        expect(b.sendText(`b${n}`)).toBe(true)
      }
      world.run(1_000)
      expect(a.received).toHaveLength(20)
      expect(b.received).toHaveLength(20)
    }))
})

describe('H67 generations are kept apart', () => {
  test('after restart() old checks are still answered with the old password, and make no new pair', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      world.introduce(agent, raw)
      world.run(100)
      agent.restart()
      const id = raw.check(agent.sockets[0]!.address, { useCandidate: true })
      world.run(100)
      expect(raw.responseTo(id)?.class).toBe('success')
      expect(agent.agent.checklist).toEqual([])
    }))

  test('candidates of another generation are not paired', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      world.introduce(agent, raw)
      const address = { ip: '203.0.113.99', port: 5 }
      agent.addRemoteCandidate(raw.candidate({ address, usernameFragment: 'stale' }))
      expect(agent.agent.checklist).toHaveLength(1)
      agent.addRemoteCandidate(raw.candidate({ address, usernameFragment: raw.parameters.usernameFragment }))
      expect(agent.agent.checklist).toHaveLength(2)
    }))

  test('candidates that overtake the parameters of their restart are used once those are here', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      world.introduce(agent, raw)
      world.run(100)
      const next: IceParameters = { usernameFragment: 'next', password: 'the-next-password-0123456789' }
      agent.addRemoteCandidate(raw.candidate({ usernameFragment: 'next' }))
      agent.restart()
      agent.start(next)
      expect(agent.agent.checklist).toHaveLength(1)
    }))

  test('remote candidates of the old generation are gone after a restart', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      world.introduce(agent, raw)
      world.run(100)
      agent.restart()
      agent.start({ usernameFragment: 'next', password: 'the-next-password-0123456789' })
      world.run(1_000)
      expect(agent.agent.remoteCandidates).toEqual([])
      expect(agent.agent.checklist).toEqual([])
    }))
})
