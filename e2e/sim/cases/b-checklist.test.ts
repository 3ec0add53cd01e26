import {
  type Candidate,
  type CandidatePair,
  candidatePriority,
  formatCandidate,
  LIMITS,
  Pacer,
  parseCandidate,
  TIMING,
} from '@floe/ice'
import { type Address, formatAddress } from '@floe/stun'
import { describe, expect, test } from 'vitest'
import type { Peer } from '../peer.ts'
import type { RawPeer } from '../raw-peer.ts'
import { simulate, type World } from '../world.ts'

describe('B14 pair priority is exact for all 32-bit inputs', () => {
  const extremes = [1, 2, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]
  test.each(['controlling', 'controlled'] as const)('%s', (role) =>
    simulate(1, (world) => {
      const { agent, raw } = pairOfPeers(world, role)
      for (const [index, priority] of extremes.entries()) {
        agent.addRemoteCandidate(raw.candidate({ priority, address: dead(index), foundation: `f${index}` }))
      }
      expect(agent.agent.checklist).toHaveLength(extremes.length)
      for (const { local, remote, priority } of agent.agent.checklist) {
        const [l, r] = [BigInt(local.priority), BigInt(remote.priority)]
        const [g, d] = role === 'controlling' ? [l, r] : [r, l]
        const [min, max] = g < d ? [g, d] : [d, g]
        expect(priority).toBe(2n ** 32n * min + 2n * max + (g > d ? 1n : 0n))
      }
      expect(agent.agent.checklist).toEqual(byPriority(agent.agent.checklist))
    }),
  )
})

test('B15 foundations are the same for same type, base address and server, else different', () =>
  simulate(1, (world) => {
    world.stunServer()
    world.stunServer()
    const nat = { mapping: 'address-dependent', filtering: 'endpoint-independent' } as const
    const placements = [{ nat }, { nat }]
    const [first, second] = [world.peer('a', placements), world.peer('b', placements)]
    for (const peer of [first, second]) {
      peer.gather()
      world.run(1_000)
      const kinds = candidatesOf(peer).map(({ type, base, url, foundation }) => [
        `${type} ${base!.ip} ${url}`,
        foundation,
      ])
      // Two bases: two host candidates; each seen by two servers at different addresses.
      expect(kinds).toHaveLength(6)
      expect(new Set(kinds.map(([kind]) => kind)).size).toBe(6)
      expect(new Set(kinds.map(([, foundation]) => foundation)).size).toBe(6)
    }
  }))

test('B15 two sockets on one address share their foundations', () =>
  simulate(1, (world) => {
    world.stunServer()
    const peer = world.peer('a', { nat: { mapping: 'endpoint-independent', filtering: 'endpoint-independent' } })
    peer.addAddress(peer.sockets[0]!.address.ip)
    peer.gather()
    world.run(1_000)
    const foundations = (type: string) =>
      candidatesOf(peer)
        .filter((it) => it.type === type)
        .map((it) => it.foundation)
    expect(foundations('host')).toHaveLength(2)
    expect(foundations('srflx')).toHaveLength(2)
    expect(new Set(foundations('host')).size).toBe(1)
    expect(new Set(foundations('srflx')).size).toBe(1)
  }))

describe('B16 a candidate line survives reading and writing', () => {
  test.each([
    'candidate:1 1 udp 2130706431 192.168.1.5 50000 typ host',
    'candidate:1 1 udp 2130706431 2001:db8::5 50000 typ host generation 0 network-id 3',
    'candidate:4 1 udp 1694498815 203.0.113.5 60000 typ srflx raddr 192.168.1.5 rport 50000',
    'candidate:9 1 tcp 1518280447 192.168.1.5 9 typ host tcptype active',
    'candidate:2 1 udp 2113937151 0f3a1b5c-7d5e-4a3a-9d3c-1f0e7b6c5d4e.local 50000 typ host ufrag abcd',
  ])('%s', (line) => {
    expect(formatCandidate(parseCandidate(line)!)).toBe(line)
    expect(parseCandidate(`a=${line}`)).toEqual(parseCandidate(line))
  })

  test('a scope id is local and does not leave', () => {
    const host = parseCandidate('candidate:1 1 udp 2130706431 fe80::5 50000 typ host')!
    const scoped = { ...host, address: { ip: 'fe80::5%eth0', port: 50_000 } }
    expect(formatCandidate(scoped)).toBe(formatCandidate(host))
  })
})

test('B17 a server-reflexive candidate that equals its host candidate is redundant', () =>
  simulate(1, (world) => {
    world.stunServer()
    const peer = world.peer('a')
    peer.gather()
    world.run(1_000)
    expect(candidatesOf(peer).map(({ type }) => type)).toEqual(['host'])
  }))

test('B17 a remote candidate told twice makes one pair, and the first of its kind stays', () =>
  simulate(1, (world) => {
    const { agent, raw } = pairOfPeers(world, 'controlled')
    raw.answer = false
    agent.addRemoteCandidate(raw.candidate({ priority: 1000 }))
    agent.addRemoteCandidate(raw.candidate({ priority: 2000 }))
    agent.addRemoteCandidate(raw.candidate({ priority: 500 }))
    world.run(200)
    expect(agent.agent.checklist).toHaveLength(1)
    expect(raw.requests()).toHaveLength(1)
  }))

test('B18 the same address as another kind of candidate does not disturb its pair', () =>
  simulate(1, (world) => {
    const { agent, raw } = pairOfPeers(world, 'controlled')
    agent.addRemoteCandidate(raw.candidate())
    world.run(50)
    const [pair] = agent.agent.checklist
    expect(pair!.state).toBe('succeeded')
    agent.addRemoteCandidate(raw.candidate({ type: 'srflx', relatedAddress: dead(1) }))
    world.run(50)
    expect(agent.agent.checklist.map(({ id, state }) => [id, state])).toEqual([[pair!.id, 'succeeded']])
    expect(agent.connected).toBe(true)
  }))

test('B19 of too many pairs the best are kept', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', [{}, { ip: '203.0.113.77' }])
    const raw = world.rawPeer('raw')
    agent.gather()
    const remotes = Array.from({ length: LIMITS.remoteCandidates - 10 }, (_, n) =>
      raw.candidate({
        address: dead(n),
        foundation: `f${n}`,
        priority: candidatePriority('srflx', 1 + ((n * 37) % 97)),
      }),
    )
    for (const remote of remotes) agent.addRemoteCandidate(remote)
    agent.start(raw.parameters, 'controlled')
    const all = agent.agent.localCandidates.flatMap((local) => remotes.map((remote) => pairPriority(remote, local)))
    const best = all.sort((x, y) => (x > y ? -1 : 1)).slice(0, LIMITS.pairs)
    expect(all.length).toBeGreaterThan(LIMITS.pairs)
    expect(agent.agent.checklist.map(({ priority }) => priority)).toEqual(best)
  }))

test('B20 families, link-local scopes, components and transports are not mixed', () =>
  simulate(1, (world) => {
    const agent = world.peer('a', [{ ip: '203.0.113.1' }, { ip: '2001:db8::1' }, { ip: 'fe80::1%eth0' }])
    const raw = world.rawPeer('raw')
    agent.gather()
    agent.start(raw.parameters, 'controlled')
    const add = (ip: string, more: Partial<Candidate> = {}) =>
      agent.addRemoteCandidate(raw.candidate({ address: { ip, port: 1000 }, ...more }))
    for (const ip of ['203.0.113.9', '2001:db8::9', 'fe80::9']) add(ip)
    add('203.0.113.10', { component: 2 })
    add('203.0.113.11', { protocol: 'tcp', tcpType: 'passive' })
    expect(agent.agent.checklist.map(({ local, remote }) => `${local.address.ip} ${remote.address.ip}`).sort()).toEqual(
      ['2001:db8::1 2001:db8::9', '203.0.113.1 203.0.113.9', 'fe80::1%eth0 fe80::9'],
    )
  }))

test('B21 server-reflexive candidates are replaced by their base: one pair per base and remote address', () =>
  simulate(1, (world) => {
    world.stunServer()
    world.stunServer()
    const nat = { mapping: 'address-dependent', filtering: 'endpoint-independent' } as const
    const agent = world.peer('a', [{ nat }, { nat }])
    const raw = world.rawPeer('raw')
    agent.gather()
    world.run(500)
    const reflexive = candidatesOf(agent).filter(({ type }) => type === 'srflx')
    // RFC 8445 §5.1.2.1: each has a priority of its own.
    expect(new Set(reflexive.map(({ priority }) => priority)).size).toBe(4)
    agent.start(raw.parameters, 'controlled')
    for (const n of [1, 2, 3]) agent.addRemoteCandidate(raw.candidate({ address: dead(n) }))
    const paths = agent.agent.checklist.map(
      ({ local, remote }) => `${formatAddress(local.base!)} ${remote.address.port}`,
    )
    expect(paths).toHaveLength(2 * 3)
    expect(new Set(paths).size).toBe(2 * 3)
  }))

test('B22 pairs of one foundation stay frozen until the first has succeeded', () =>
  simulate(1, (world) => {
    const { agent, raw } = pairOfPeers(world, 'controlled', 100)
    const others = [2, 3].map((n) => raw.candidate({ address: dead(n), priority: 1000 - n }))
    for (const candidate of [raw.candidate(), ...others]) agent.addRemoteCandidate(candidate)
    world.run(5 * TIMING.Ta)
    expect(agent.agent.checklist.map(({ state }) => state)).toEqual(['in-progress', 'frozen', 'frozen'])
    world.runUntil(() => agent.agent.checklist[0]!.state === 'succeeded', 1_000)
    world.run(3 * TIMING.Ta)
    expect(agent.agent.checklist.map(({ state }) => state)).toEqual(['succeeded', 'in-progress', 'in-progress'])
  }))

test('B22 pairs of one foundation wait for one of them, in whatever order they come', () =>
  simulate(1, (world) => {
    const { agent, raw } = pairOfPeers(world, 'controlled', 100)
    const priorities = [100, 300, 200, 250]
    for (const [n, priority] of priorities.entries()) {
      agent.addRemoteCandidate(raw.candidate({ address: dead(n + 2), priority }))
    }
    const begun = () => agent.agent.checklist.filter(({ state }) => state !== 'frozen')
    expect(begun()).toHaveLength(1)
    world.run(5 * TIMING.Ta)
    expect(begun()).toHaveLength(1)
  }))

test('B22 pairs of different foundations do not wait for each other', () =>
  simulate(1, (world) => {
    const { agent, raw } = pairOfPeers(world, 'controlled', 100)
    for (const n of [1, 2, 3]) agent.addRemoteCandidate(raw.candidate({ address: dead(n), foundation: `f${n}` }))
    world.run(3 * TIMING.Ta)
    expect(agent.agent.checklist.every(({ state }) => state === 'in-progress')).toBe(true)
  }))

test('B23 new transactions leave no faster than one per Ta of an agent and one per 5 ms of all', () =>
  simulate(1, (world) => {
    const pacer = new Pacer()
    const server = world.stunServer({ dead: true })
    const starts: { time: number; agent: number }[] = []
    const seen = new Set<string>()
    world.network.rules.push(({ bytes }, host) => {
      const id = Buffer.from(bytes.subarray(8, 20)).toString('hex')
      if (!seen.has(id)) starts.push({ time: world.now, agent: Number(host.name.slice(1)) })
      seen.add(id)
      return undefined
    })
    for (let i = 0; i < 10; i++) {
      const agent = world.peer(`a${i}`, {}, { pacer, servers: [server] })
      const raw = world.rawPeer(`raw${i}`)
      agent.gather()
      agent.start(raw.parameters, 'controlled')
      for (let n = 0; n < 20; n++) {
        agent.addRemoteCandidate(raw.candidate({ address: dead(n + 20 * i), foundation: `f${n}` }))
      }
    }
    world.run(3_000)
    expect(starts).toHaveLength(10 * 21)
    for (const [one, two] of pairwise(starts)) expect(two.time - one.time).toBeGreaterThanOrEqual(5 - 1e-9)
    for (let i = 0; i < 10; i++) {
      const own = starts.filter(({ agent }) => agent === i)
      for (const [one, two] of pairwise(own)) expect(two.time - one.time).toBeGreaterThanOrEqual(TIMING.Ta - 1e-9)
    }
  }))

test('B24 a triggered check jumps the queue, and of two triggers one is repeated', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = pairOfPeers(world, 'controlled')
    for (let n = 0; n < 20; n++) agent.addRemoteCandidate(raw.candidate({ address: dead(n), foundation: `f${n}` }))
    agent.addRemoteCandidate(raw.candidate({ priority: 1, foundation: 'last' }))
    raw.answer = false
    world.run(2 * TIMING.Ta)
    expect(raw.requests()).toHaveLength(0)
    raw.check(to)
    raw.check(to)
    world.run(TIMING.Ta)
    const sofar = raw.requests(true).length
    expect(sofar).toBeGreaterThan(0)
    // RFC 8445 §7.3.1.4: the second finds the check queued, or in progress and cancels it. Either way one is left.
    world.run(5_000)
    const repeated = raw.requests(true).slice(sofar)
    expect(repeated.length).toBeGreaterThan(1)
    expect(new Set(repeated.map(({ message }) => message.transactionId)).size).toBe(1)
  }))

test('B25 a request during our own check in progress cancels it and triggers a new one; the old answer still counts', () =>
  simulate(1, (world) => {
    const { agent, raw, to } = pairOfPeers(world, 'controlled')
    raw.answer = false
    agent.addRemoteCandidate(raw.candidate())
    world.run(10)
    const [first] = raw.requests()
    raw.check(to)
    world.run(10)
    const [, second] = raw.requests()
    expect(second).toBeDefined()
    const sofar = raw.requests(true).length
    world.run(1_000)
    expect(
      raw
        .requests(true)
        .slice(sofar)
        .every(({ message }) => message.transactionId === second!.message.transactionId),
    ).toBe(true)
    raw.succeed(first!)
    world.run(10)
    expect(agent.agent.checklist[0]!.state).toBe('succeeded')
  }))

test('B26 the first check leaves in the same turn in which parameters and a pair are known, in any order', () => {
  const steps = {
    gather: (agent: Peer) => agent.gather(),
    start: (agent: Peer, raw: RawPeer) => agent.start(raw.parameters, 'controlled'),
    candidate: (agent: Peer, raw: RawPeer) => agent.addRemoteCandidate(raw.candidate()),
  }
  for (const order of [
    'gather start candidate',
    'start gather candidate',
    'gather candidate start',
    'candidate start gather',
  ])
    simulate(1, (world) => {
      const agent = world.peer('a')
      const raw = world.rawPeer('raw')
      for (const step of order.split(' ')) {
        world.run(1_000)
        expect(agent.packetsSent).toBe(0)
        steps[step as keyof typeof steps](agent, raw)
      }
      expect({ order, sent: agent.packetsSent }).toEqual({ order, sent: 1 })
    })
})

test('B27 with many dead pairs each is tried soon and often enough', () =>
  simulate(1, (world) => {
    const { agent, raw } = pairOfPeers(world, 'controlled')
    const count = 40
    const sends = new Map<string, number[]>()
    world.network.rules.push(({ destination }, host) => {
      if (host.name === 'a')
        sends.set(formatAddress(destination), [...(sends.get(formatAddress(destination)) ?? []), world.now])
      return undefined
    })
    for (let n = 0; n < count; n++) agent.addRemoteCandidate(raw.candidate({ address: dead(n), foundation: `f${n}` }))
    world.run(45_000)
    expect(sends.size).toBe(count)
    for (const times of sends.values()) {
      expect(times[0]).toBeLessThanOrEqual(count * TIMING.Ta)
      expect(times).toHaveLength(TIMING.Rc)
    }
  }))

/** An agent that knows the raw peer's parameters but no candidate of it yet, over a wire of this latency. */
function pairOfPeers(world: World, role: 'controlling' | 'controlled', latency = 0) {
  const agent = world.peer('a', { link: { latency } })
  const raw = world.rawPeer('raw', {}, { role: role === 'controlling' ? 'controlled' : 'controlling' })
  raw.remote = agent.agent.localParameters
  agent.gather()
  agent.start(raw.parameters, role)
  return { agent, raw, to: agent.sockets[0]!.address }
}

/** An address where nobody is. */
function dead(n: number): Address {
  return { ip: '203.0.113.250', port: 10_000 + n }
}

function candidatesOf(peer: Peer): Candidate[] {
  return peer.outputs('candidate').flatMap(({ candidate }) => candidate ?? [])
}

function pairPriority(controlling: Candidate, controlled: Candidate): bigint {
  const [g, d] = [BigInt(controlling.priority), BigInt(controlled.priority)]
  return 2n ** 32n * (g < d ? g : d) + 2n * (g > d ? g : d) + (g > d ? 1n : 0n)
}

function byPriority(pairs: readonly CandidatePair[]): CandidatePair[] {
  return pairs.toSorted((x, y) => (x.priority > y.priority ? -1 : 1))
}

function pairwise<T>(list: readonly T[]): [T, T][] {
  return list.slice(1).map((item, i) => [list[i]!, item])
}
