/** Sockets that end under an agent, one by one or with their interface: what the core makes of it. */
import { describe, expect, test } from 'vitest'
import { assertAgreement, isRelayed } from '../invariants.ts'
import { longestGap, talk } from '../talk.ts'
import { simulate } from '../world.ts'

const LINK = { latency: 20 }

describe.each(['a', 'b'])('a socket of %s dies, while its address stays', (name) => {
  test('another port of the address takes its place: pairs go on over it, and the peer follows', () =>
    simulate(1, (world) => {
      world.turnServer()
      const [a, b] = [world.peer('a', { link: LINK }), world.peer('b', { link: LINK })]
      world.connect(a, b)
      world.run(3_000)
      talk(world, [a, b], 2_000)
      const [mover, other] = name === 'a' ? [a, b] : [b, a]
      const dead = mover.selected!.local.base!
      const relayed = mover.agent.localCandidates.filter(({ type }) => type === 'relay').map(({ address }) => address)
      expect(relayed.length).toBeGreaterThan(0)
      const died = world.now
      const { address } = mover.addAddress(dead.ip)
      mover.call((agent) => agent.gather(world.now, [{ address }]))
      mover.removeSockets([dead])
      const removed = mover.outputs('candidatesremoved').flatMap(({ candidates }) => candidates)
      other.call((agent) => agent.removeRemoteCandidates(world.now, removed))
      talk(world, [a, b], 5_000)
      expect(removed.map(({ base }) => base)).toEqual([dead])
      expect(mover.selected!.local.base).toBe(address)
      expect(other.agent.remoteCandidates.map(({ address: { port } }) => port)).not.toContain(dead.port)
      // Relays are reached from the address, and not from this socket.
      expect(mover.agent.localCandidates.filter(({ type }) => type === 'relay').map(({ address: at }) => at)).toEqual(
        relayed,
      )
      for (const peer of [a, b]) expect(longestGap(peer, died)).toBeLessThan(300)
      for (const peer of [a, b]) expect(isRelayed(peer.selected!)).toBe(false)
      assertAgreement(world, a, b)
    }))
})

describe.each([0, 1])('the interface in use goes, and with it all that leads through it (seed %i)', (seed) => {
  /** `a` has two interfaces, of which the second lets nothing but the relay through; `ips`: of the first. */
  function leave(ips: 1 | 2) {
    simulate(seed, (world) => {
      const relay = world.turnServer()
      const relayOnly = { firewall: { outgoingPorts: [relay.address.port] }, link: { latency: 30 } }
      const a = world.peer('a', [...Array(ips).fill({ link: LINK }), relayOnly])
      const b = world.peer('b', { link: LINK })
      world.connect(a, b)
      world.run(10_000)
      talk(world, [a, b], 2_000)
      const first = a.host.attachments.slice(0, ips).map(({ ip }) => ip)
      expect(first).toContain(a.selected!.local.base!.ip)
      const gone = world.now
      a.removeSockets(a.sockets.map(({ address }) => address).filter(({ ip }) => first.includes(ip)))
      const removed = a.outputs('candidatesremoved').flatMap(({ candidates }) => candidates)
      b.call((agent) => agent.removeRemoteCandidates(world.now, removed))
      talk(world, [a, b], 10_000)
      // One word for all of it, and one move, to what is left.
      expect(a.outputs('candidatesremoved')).toHaveLength(1)
      expect(removed.filter(({ type }) => type === 'relay').length).toBeGreaterThan(0)
      for (const peer of [a, b]) expect(peer.agent.switches.filter(({ at }) => at >= gone)).toHaveLength(1)
      expect(isRelayed(a.selected!)).toBe(true)
      for (const peer of [a, b]) expect(longestGap(peer, gone)).toBeLessThan(400)
      assertAgreement(world, a, b)
    })
  }

  test('data does not move to a relay behind it on the way', () => leave(1))
  test('nor to another of its addresses', () => leave(2))
})
