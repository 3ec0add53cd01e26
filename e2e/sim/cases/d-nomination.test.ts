import type { CandidatePair } from '@floe/ice'
import { type Address, type Attributes, decode, sameAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import { assertAgreement } from '../invariants.ts'
import type { Peer } from '../peer.ts'
import type { RawPeer } from '../raw-peer.ts'
import { simulate, type World } from '../world.ts'

describe('D36 both ends come to the same pair', () => {
  test('regular: a controlling agent nominates one pair, the controlled one follows', () => {
    for (let seed = 1; seed <= 10; seed++)
      simulate(seed, (world) => {
        const placements = [{ link: { latency: 30, jitter: 20 } }, { link: { latency: 10, jitter: 40 } }]
        const [a, b] = [world.peer('a', placements), world.peer('b', placements)]
        world.connect(a, b)
        world.run(5_000)
        expect(a.selected?.nominated).toBe(true)
        expect(b.selected?.nominated).toBe(true)
        assertAgreement(world, a, b)
      })
  })

  test('regular: one USE-CANDIDATE on the worse of two valid pairs is followed', () =>
    simulate(1, (world) => {
      const { agent, raw, low } = twoPaths(world)
      nominate(world, raw, low)
      expect(isOn(agent, low)).toBe(true)
      world.run(20_000)
      expect(isOn(agent, low)).toBe(true)
    }))

  test('aggressive: USE-CANDIDATE in every check; of the nominated pairs the best counts, in either order', () => {
    for (const order of ['low first', 'high first'])
      simulate(1, (world) => {
        const agent = world.peer('a', [{}, {}])
        const raw = world.rawPeer('raw')
        world.introduce(agent, raw)
        const [high, low] = basesByPriority(agent)
        for (const to of order === 'low first' ? [low, high] : [high, low]) nominate(world, raw, to)
        const selections = agent.outputs('selectedpair').length
        for (let repeat = 0; repeat < 3; repeat++) for (const to of [high, low]) nominate(world, raw, to)
        expect({ order, onHigh: isOn(agent, high) }).toEqual({ order, onHigh: true })
        expect(agent.outputs('selectedpair')).toHaveLength(selections)
      })
  })

  test('mixed: an aggressive nominator that loses a tie-break to a regular agent follows it', () =>
    simulate(1, (world) => {
      const agent = world.peer('a', [{}, {}])
      const raw = world.rawPeer('raw', {}, { role: 'controlling', tieBreaker: 0n })
      raw.remote = agent.agent.localParameters
      agent.gather()
      agent.start(raw.parameters, 'controlling')
      agent.addRemoteCandidate(raw.candidate())
      for (const { address } of agent.sockets) raw.check(address, { useCandidate: true })
      world.run(1_000)
      expect(agent.agent.role).toBe('controlling')
      const nominated = raw.requests().filter(({ message }) => message.attributes.useCandidate)
      expect(sameAddress(nominated.at(-1)!.remote, baseOf(agent.selected!))).toBe(true)
    }))

  test('a nomination of a pair that we have not validated yet counts once we have', () =>
    simulate(1, (world) => {
      const { agent, raw, to } = onePath(world)
      raw.answer = false
      raw.check(to, { useCandidate: true })
      world.run(100)
      expect(agent.selected).toBeUndefined()
      raw.answer = true
      world.run(1_000)
      expect(agent.selected?.nominated).toBe(true)
    }))

  test('reflected USE-CANDIDATE: our own request sent back to us nominates nothing', () =>
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw', {}, { role: 'controlled' })
      world.introduce(agent, raw)
      raw.answer = (message, from) => {
        raw.socket.send(from.remote, message.bytes)
        if (!message.attributes.useCandidate) raw.succeed(from)
      }
      world.run(5_000)
      expect(raw.requests().some(({ message }) => message.attributes.useCandidate)).toBe(true)
      expect(agent.selected?.nominated ?? false).toBe(false)
      expect(raw.received.every(({ message }) => message?.class === 'request')).toBe(true)
    }))
})

describe('D37 renomination by value (NOMINATION, 0xC001)', () => {
  test('a higher value wins whatever the priorities, a lower one is ignored', () =>
    simulate(1, (world) => {
      const { agent, raw, high, low } = twoPaths(world)
      const steps: [Address, number, Address][] = [
        [high, 1, high],
        [low, 2, low],
        [high, 1, low],
        [high, 3, high],
        [low, 2, high],
      ]
      for (const [to, nomination, expected] of steps) {
        nominate(world, raw, to, { nomination })
        expect({ nomination, on: isOn(agent, expected) }).toEqual({ nomination, on: true })
      }
    }))

  test('values of a controlling agent rise with each nomination', () =>
    simulate(1, (world) => {
      const { agent, raw } = reverse(world)
      world.run(500)
      const dying = baseOf(agent.selected!)
      world.network.rules.push(({ source, destination }) =>
        sameAddress(source, dying) || sameAddress(destination, dying) ? 'path cut' : undefined,
      )
      world.run(60_000)
      const values = raw.requests().flatMap(({ message }) => message.attributes.nomination ?? [])
      expect(new Set(values).size).toBeGreaterThan(1)
      expect(values).toEqual(values.toSorted((x, y) => x - y))
    }))
})

describe('D38 what the controlled side sends on', () => {
  test('nomination before priority', () =>
    simulate(1, (world) => {
      const { agent, raw, high, low } = twoPaths(world)
      expect(isOn(agent, high)).toBe(true)
      nominate(world, raw, low)
      expect(isOn(agent, low)).toBe(true)
    }))

  test('nomination before data', () =>
    simulate(1, (world) => {
      const { agent, raw, high, low } = twoPaths(world)
      nominate(world, raw, high)
      for (let n = 0; n < 10; n++) {
        raw.socket.send(low, new TextEncoder().encode('data'))
        world.run(100)
      }
      expect(isOn(agent, high)).toBe(true)
    }))

  test('life before nomination: when the nominated path dies, data goes over the other one', () =>
    simulate(1, (world) => {
      const { agent, raw, high, low } = twoPaths(world)
      nominate(world, raw, high)
      world.network.rules.push(({ source, destination }) =>
        sameAddress(source, high) || sameAddress(destination, high) ? 'path cut' : undefined,
      )
      world.run(60_000)
      expect(isOn(agent, low)).toBe(true)
      expect(agent.states).not.toContain('failed')
    }))
})

describe('D39 once connected there is no ping-pong', () => {
  test('two idle agents send consent checks and nothing else', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', { link: { latency: 20 } }), world.peer('b', { link: { latency: 20 } })]
      world.connect(a, b)
      world.run(5_000)
      const before = a.packetsSent + b.packetsSent
      world.run(60_000)
      // Each side: at most one check every 4 s (RFC 7675 §5.1: 0.8 × 5 s), and its answer.
      expect(a.packetsSent + b.packetsSent - before).toBeLessThanOrEqual(2 * 2 * (60 / 4 + 1))
    }))

  test('checks on a valid pair are answered and not returned', () =>
    simulate(1, (world) => {
      const { raw, to } = onePath(world)
      raw.check(to, { useCandidate: true })
      world.run(1_000)
      const before = raw.requests(true).length
      for (let n = 0; n < 100; n++) {
        raw.check(to)
        world.run(10)
      }
      expect(raw.requests(true).length - before).toBeLessThanOrEqual(1)
      expect(raw.received.filter(({ message }) => message?.class === 'success').length).toBeGreaterThanOrEqual(100)
    }))
})

describe('D40 the nomination is lost', () => {
  test('for a while: it is repeated, nothing else changes', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a'), world.peer('b')]
      let lost = 0
      world.network.rules.push(({ bytes }) =>
        decode(bytes)?.attributes.useCandidate && lost++ < 3 ? 'nomination lost' : undefined,
      )
      world.connect(a, b)
      world.run(5_000)
      expect(lost).toBeGreaterThan(3)
      expect(b.selected?.nominated).toBe(true)
      assertAgreement(world, a, b)
    }))

  test('for ever on one path: another valid pair is used', () =>
    simulate(1, (world) => {
      const [a, b] = [world.peer('a', [{}, {}]), world.peer('b')]
      let cut: Address | undefined
      world.network.rules.push(({ source, bytes }) => {
        if (decode(bytes)?.attributes.useCandidate) cut ??= source
        return cut && sameAddress(source, cut) ? 'path cut at the nomination' : undefined
      })
      world.connect(a, b)
      world.run(30_000)
      expect(b.selected?.nominated).toBe(true)
      expect(sameAddress(baseOf(a.selected!), cut!)).toBe(false)
      assertAgreement(world, a, b)
    }))
})

/** A controlled agent that checks the raw peer's one candidate. */
function onePath(world: World) {
  const agent = world.peer('a')
  const raw = world.rawPeer('raw')
  world.introduce(agent, raw)
  return { agent, raw, to: agent.sockets[0]!.address }
}

/** A controlled agent with two valid pairs to the raw peer; `high` and `low` are its two bases. */
function twoPaths(world: World) {
  const agent = world.peer('a', [{}, {}])
  const raw = world.rawPeer('raw')
  world.introduce(agent, raw)
  const [high, low] = basesByPriority(agent)
  for (const to of [high, low]) raw.check(to)
  world.run(200)
  expect(agent.agent.checklist.map(({ state }) => state)).toEqual(['succeeded', 'succeeded'])
  return { agent, raw, high, low }
}

/** A controlling agent with two paths to the raw peer. */
function reverse(world: World) {
  const agent = world.peer('a', [{}, {}])
  const raw = world.rawPeer('raw', {}, { role: 'controlled' })
  world.introduce(agent, raw)
  return { agent, raw }
}

function nominate(world: World, raw: RawPeer, to: Address, more: Attributes = {}) {
  raw.check(to, { useCandidate: true, ...more })
  world.run(100)
}

function basesByPriority(agent: Peer): [Address, Address] {
  const [high, low] = agent.agent.checklist.map(baseOf)
  return [high!, low!]
}

function baseOf({ local }: CandidatePair): Address {
  return local.base ?? local.address
}

/** Where the agent's data really goes. */
function isOn(agent: Peer, base: Address): boolean {
  return agent.selected !== undefined && sameAddress(baseOf(agent.selected), base)
}
