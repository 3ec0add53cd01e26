/** NATs that give every flow another port, and which one can be foretold. */
import { SEARCH, SearchGate } from '@floe/ice'
import { expect, test } from 'vitest'
import type { Placement } from '../topology/placement.ts'
import { able, EASY, HARD, meet, PRESERVING, portsSentTo, SEQUENTIAL, search, timeToDirect } from './traversal-scene.ts'
import { simulate, type World } from './world.ts'

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1)

test.each([
  { name: 'sequential, both', places: [SEQUENTIAL, SEQUENTIAL] },
  { name: 'preserving, both', places: [PRESERVING, PRESERVING] },
  { name: 'one of each', places: [PRESERVING, SEQUENTIAL] },
  { name: 'preserving, and an easy one', places: [PRESERVING, EASY] },
] as const)('$name: direct, with a handful of sockets and packets', ({ places }) => {
  const all = SEEDS.map((seed) => search(seed, places, [able, able]))
  const times = all.map(({ direct }) => direct)
  expect(times.filter((time) => time <= 4_000).length, times.join(' ')).toBeGreaterThanOrEqual(36)
  for (const { a, b, relayed } of all) {
    expect(relayed).toBeLessThan(1_000)
    for (const peer of [a, b]) {
      expect(peer.mostSockets).toBeLessThanOrEqual(2 + SEARCH.samples)
      expect(peer.sockets.length).toBeLessThanOrEqual(2)
      expect(peer.packetsSent).toBeLessThan(160)
    }
  }
})

test('others behind both NATs take ports in between', () => {
  const times = SEEDS.map((seed) =>
    simulate(seed, (world) => {
      const [a, b] = (['a', 'b'] as const).map((lan): Placement => ({ ...SEQUENTIAL, lan }))
      const session = meet(world, [a!, b!], [able, able], { latency: 20 }, true)
      for (const place of [a!, b!]) chatter(world, place)
      return timeToDirect(world, session, 12_000)
    }),
  )
  expect(times.filter((time) => time <= 4_000).length, times.join(' ')).toBeGreaterThanOrEqual(36)
})

test('half of the answers of our server get lost', () => {
  const times = SEEDS.map((seed) =>
    simulate(seed, (world) => {
      const session = meet(world, [PRESERVING, SEQUENTIAL], [able, able], { latency: 20 }, true)
      const random = world.network.random.fork('losses')
      const server = world.configuredServers[0]!.address
      world.network.rules.push(({ source }) =>
        source.ip === server.ip && world.now > 1_500 && random.integer(0, 1) === 0 ? 'lost' : undefined,
      )
      return timeToDirect(world, session, 12_000)
    }),
  )
  expect(times.filter((time) => time <= 6_000).length, times.join(' ')).toBeGreaterThanOrEqual(30)
})

test.each([
  ['preserving, and an easy one', [PRESERVING, EASY]],
  ['preserving, both', [PRESERVING, PRESERVING]],
  ['sequential, both', [SEQUENTIAL, SEQUENTIAL]],
] as const)('a tenth of all packets gets lost: %s', (_, places) => {
  const times = SEEDS.map((seed) =>
    simulate(seed, (world) => {
      const session = meet(world, places, [able, able], { latency: 20 }, true)
      const random = world.network.random.fork('losses')
      world.network.rules.push(() => (world.now > 500 && random.integer(0, 9) === 0 ? 'lost' : undefined))
      return timeToDirect(world, session, 25_000)
    }),
  )
  // Of 400 seeds it is 371 to 394, and 397 to 399.
  expect(times.filter((time) => time <= 12_000).length, times.join(' ')).toBeGreaterThanOrEqual(34)
  expect(times.filter((time) => time <= 25_000).length, times.join(' ')).toBeGreaterThanOrEqual(38)
})

test('where one of the two cannot be foretold there is no search, and little is sent', () => {
  // Its ports lie close together, as if it counted.
  const narrow: Placement = { nat: { ...HARD.nat!, allocation: { low: 20_000, high: 20_070 } } }
  for (const [places, sockets] of [
    [[SEQUENTIAL, HARD], 1 + SEARCH.samples],
    [[SEQUENTIAL, narrow], 1 + SEARCH.samples],
    [[narrow, narrow], 1 + SEARCH.samples],
  ] as const) {
    for (const seed of SEEDS.slice(0, 10)) {
      const { direct, a, b } = search(seed, places, [able, able])
      expect(direct).toBe(Number.POSITIVE_INFINITY)
      for (const peer of [a, b]) {
        expect(peer.mostSockets).toBeLessThanOrEqual(sockets)
        expect(peer.packetsSent).toBeLessThan(300)
      }
    }
  }
})

test.each([
  [2_500, true],
  [3_500, false],
])(
  'a search that ends %i ms after the beginning: that the peer may be searched for again at once is %s',
  (after, free) => {
    const gate = new SearchGate()
    simulate(1, (world) => {
      const options = () => ({ traversal: { hardNat: 'auto' as const, gate } })
      const [hard, easy] = meet(world, [HARD, EASY], [options, able], { latency: 20 }, true)
      world.run(after)
      expect(hard.mostSockets).toBe(1 + SEARCH.sockets)
      const candidates = easy.outputs('candidate').flatMap(({ candidate }) => candidate ?? [])
      const { ip } = candidates.find(({ type }) => type === 'srflx')!.address
      hard.agent.close(world.now)
      expect(gate.enter(world.now, {}, ip)).toBe(free)
    })
  },
)

test.each([
  [4_242, 1],
  [80, 0],
  [0, 0],
])(
  'a peer that foretells port %i, whatever for: it gets three packets of each socket at most, and only above 1023',
  (aim, some) => {
    const packets = portsSentTo(SEQUENTIAL, { mapping: 'endpoint-dependent', port: 0, aim }).get(aim) ?? 0
    expect(packets).toBeGreaterThanOrEqual(some)
    expect(packets).toBeLessThanOrEqual(some * 3 * SEARCH.samples)
  },
)

/** Another host of the LAN that begins five flows a second. */
function chatter(world: World, place: Placement) {
  const host = world.host(`beside ${place.lan}`, place)
  const { ip } = host.attachments[0]!
  const begin = () => {
    const [server] = world.configuredServers
    host.bind(ip).send({ ip: server!.address.ip, port: 9 }, new Uint8Array(1))
    if (world.now < 12_000) world.network.clock.after(200, begin)
  }
  begin()
}
