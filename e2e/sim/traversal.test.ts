import { formatCandidate, SEARCH, SearchGate } from '@floe/ice'
import { decode, isStun } from '@floe/stun'
import { expect, test } from 'vitest'
import type { PeerOptions } from './peer.ts'
import type { Datagram } from './trace.ts'
import {
  able,
  BLOCK,
  EASY,
  EPHEMERAL,
  HARD,
  meet,
  POISONING,
  plain,
  portsSentTo,
  SEQUENTIAL,
  search,
  timeToDirect,
} from './traversal-scene.ts'
import { simulate } from './world.ts'

const SKEWS = [-400, -150, -30, 0, 30, 150, 400]
const LATENCIES = [5, 40, 120]

test('routers that take unsolicited packets for their own: opened in three rounds, where a plain agent fails', () => {
  const direct = (options: () => PeerOptions) =>
    SKEWS.flatMap((skew) =>
      LATENCIES.map((latency) =>
        simulate(1, (world) => {
          const session = meet(world, [POISONING, POISONING], [options, options], { skew, latency }, false)
          return timeToDirect(world, session, 12_000)
        }),
      ),
    )
  const plainly = direct(plain).filter((time) => time < Number.POSITIVE_INFINITY)
  const opened = direct(() => able('off'))
  expect(plainly.length).toBeLessThan(opened.length / 3)
  expect(Math.max(...opened)).toBeLessThan(7_000)
  expect(opened.filter((time) => time < 1_000).length).toBeGreaterThan(opened.length / 2)
})

test.each([
  { name: 'random ports', hard: HARD, within: 12_000, rate: 0.95, runs: 40 },
  { name: 'random ephemeral ports', hard: EPHEMERAL, within: 12_000, rate: 0.99, runs: 20 },
  { name: 'a block of 512', hard: BLOCK, within: 8_000, rate: 0.97, runs: 40 },
  { name: 'sequential ports', hard: SEQUENTIAL, within: 8_000, rate: 0.97, runs: 10 },
])('$name and an easy NAT: direct, within all bounds', ({ hard, within, rate, runs }) => {
  const all = Array.from({ length: runs }, (_, i) => search(i + 1, [hard, EASY], [able, able]))
  const times = all.map(({ direct }) => direct)
  expect(times.filter((time) => time <= within).length, times.join(' ')).toBeGreaterThanOrEqual(rate * runs)
  for (const { a, b, relayed } of all) {
    expect(relayed).toBeLessThan(1_000) // The relay carries data meanwhile.
    expect(a.mostSockets).toBeLessThanOrEqual(1 + SEARCH.sockets)
    expect(a.sockets.length).toBeLessThanOrEqual(2)
    expect(a.packetsSent).toBeLessThan(3 * SEARCH.sockets + 250)
    expect(b.packetsSent).toBeLessThan(SEARCH.probes + 250)
  }
})

test('a search that finds nothing is made again after ten minutes', () => {
  const { direct, a } = simulate(1, (world) => {
    const session = meet(world, [HARD, EASY], [able, able], { latency: 20 }, true)
    // For a minute no check of the search arrives.
    const hosts = session.map(({ host }) => host)
    world.network.rules.push(({ destination }, sender) => {
      const isServers = world.configuredServers.some(({ address }) => address.ip === destination.ip)
      return world.now < 60_000 && hosts.includes(sender) && !isServers ? 'unlucky' : undefined
    })
    return { direct: timeToDirect(world, session, 14 * 60_000), a: session[0] }
  })
  expect(direct).toBeGreaterThan(10 * 60_000)
  expect(direct).toBeLessThan(11 * 60_000)
  expect(a.mostSockets).toBeLessThanOrEqual(1 + SEARCH.sockets)
})

test('who has to wait for the search of another agent in the process has its turn', () => {
  const gate = new SearchGate()
  const holder = {}
  gate.enter(0, holder, '192.0.2.99')
  const direct = simulate(2, (world) => {
    const waiting = () => ({ traversal: { hardNat: 'auto' as const, gate } })
    const session = meet(world, [BLOCK, EASY], [waiting, able], { latency: 20 }, true)
    expect(timeToDirect(world, session, 16_000)).toBe(Number.POSITIVE_INFINITY)
    gate.leave(holder)
    return timeToDirect(world, session, 60_000)
  })
  expect(direct).toBeLessThan(40_000)
})

test('a browser behind a block of 512, Node behind an easy NAT: swept', () => {
  const times = Array.from({ length: 20 }, (_, i) => search(i + 1, [EASY, BLOCK], [able, plain]).direct)
  expect(times.filter((time) => time <= 14_000).length, times.join(' ')).toBeGreaterThanOrEqual(18)
})

test('Node behind a block of 512, a browser behind an easy NAT: offered ports', () => {
  const times = Array.from({ length: 20 }, (_, i) => search(i + 1, [BLOCK, EASY], [able, plain]).direct)
  expect(times.filter((time) => time <= 16_000).length, times.join(' ')).toBeGreaterThanOrEqual(18)
})

test.each([
  ['offered ports', plain],
  ['a search of both', able],
])('all that a peer hears says what our network costs, or it would seem to cost nothing: %s', (_, other) => {
  const base = () => ({ network: { id: 1, cost: 900 } })
  const costs = new Set<number | undefined>()
  const candidates = simulate(1, (world) => {
    const [node, peer] = meet(world, [BLOCK, EASY], [() => ({ ...able(), base }), other], { latency: 20 }, true)
    world.network.observers.push({
      sent: () => {},
      delivered: ({ bytes }, { name }) => {
        const { class: kind, attributes } = decode(bytes) ?? {}
        if (name === peer.name && kind === 'request') costs.add(attributes?.networkInfo?.cost)
      },
    })
    expect(timeToDirect(world, [node, peer], 30_000)).toBeLessThan(30_000)
    world.run(10_000)
    return [...node.outputs('candidate').flatMap(({ candidate }) => candidate ?? []), node.selected!.local]
  })
  for (const candidate of candidates) expect(formatCandidate(candidate)).toMatch(/ network-cost 900\b/)
  expect(costs).toEqual(new Set([900]))
})

test('a check that is overtaken by the next one, and says that there are no sockets yet, ends no search', () => {
  const direct = simulate(3, (world) => {
    const [hard, easy] = meet(world, [HARD, EASY], [able, able], { latency: 20 }, true)
    let early: Datagram | undefined
    world.network.observers.push({
      sent: (datagram, { name }) => {
        const { ip, port } = world.relays[0]!.address
        const isToRelay = datagram.destination.ip === ip && datagram.destination.port !== port
        if (name !== 'a' || !isToRelay || !isStun(datagram.bytes)) return
        const { portReport } = decode(datagram.bytes)?.attributes ?? {}
        if (portReport?.sockets === 0) early = datagram
      },
      delivered: () => {},
    })
    world.run(3_000)
    const repeated = early!
    for (let n = 0; n < 8; n++) {
      world.run(500)
      hard.sockets[0]!.send(repeated.destination, repeated.bytes, repeated.source)
    }
    return timeToDirect(world, [hard, easy], 12_000)
  })
  expect(direct).toBeLessThan(12_000)
})

test('two hard NATs, or a peer that does not want it: no search', () => {
  for (const [places, options] of [
    [
      [HARD, BLOCK],
      [able, able],
    ],
    [
      [BLOCK, EASY],
      [able, () => able('off')],
    ],
    [
      [BLOCK, EASY],
      [() => able('off'), able],
    ],
  ] as const) {
    const { direct, a, b } = search(1, places, options)
    expect(direct).toBe(Number.POSITIVE_INFINITY)
    for (const peer of [a, b]) expect(peer.mostSockets).toBeLessThanOrEqual(3)
    for (const peer of [a, b]) expect(peer.packetsSent).toBeLessThan(300)
  }
})

test('a malicious peer cannot aim a search at a third party, whatever it claims', () => {
  for (const [place, mapping] of [
    [EASY, 'endpoint-dependent'],
    [HARD, 'endpoint-independent'],
    [BLOCK, 'endpoint-independent'],
    [SEQUENTIAL, 'endpoint-dependent'],
  ] as const) {
    const received = simulate(1, (world) => {
      const victim = world.host('victim')
      const { ip } = victim.attachments[0]!
      let packets = 0
      world.network.observers.push({
        sent: (datagram) => void (datagram.destination.ip === ip && packets++),
        delivered: () => {},
      })
      world.stunServer()
      world.stunServer()
      world.turnServer()
      const node = world.peer('node', place, able())
      const attacker = world.rawPeer('attacker')
      attacker.remote = node.agent.localParameters
      node.gather()
      node.start(attacker.parameters, 'controlled')
      // Data goes over what looks like a relay, and the victim like the other end of a NAT.
      node.addRemoteCandidate(attacker.candidate({ type: 'relay', foundation: 'relay' }))
      for (const port of [20_000, 20_300])
        node.addRemoteCandidate(attacker.candidate({ type: 'srflx', address: { ip, port }, foundation: 'srflx' }))
      const portReport = {
        willing: true,
        mapping,
        sockets: 256,
        address: { ip, port: 20_000 },
        low: 1_024,
        high: 65_535,
        aim: 20_000,
      }
      for (let second = 0; second < 60; second++) {
        world.run(1_000)
        const [seen] = attacker.requests()
        if (!seen) continue
        attacker.check(seen.remote, { portReport })
        // A spoofed source proves nothing: the victim answers no check.
        attacker.check(seen.remote, { portReport }, { source: { ip, port: 20_000 } })
      }
      expect(node.connected).toBe(true)
      return packets
    })
    // Two candidates' checks, as for any candidate, and answers to what pretended to come from there.
    expect(received).toBeLessThan(150)
  }
})

test.each([0, 4_242])(
  'a peer that names port %i as its own: nothing is ever sent to port 0, which no socket takes',
  (port) => {
    const destinations = portsSentTo(HARD, { mapping: 'endpoint-independent', port, aim: 0 })
    expect(destinations.has(0)).toBe(false)
    expect((destinations.get(4_242) ?? 0) > 100).toBe(port === 4_242)
  },
)
